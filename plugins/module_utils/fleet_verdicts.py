# SPDX-License-Identifier: Apache-2.0
"""What the fleet says of each node: its findings beside those of the others of its kind. Pure.

Only what a node has passed by its own limits is compared. Whether nodes are of one kind is told by `validation_group`
(a site's own word), and by the GPU's model for what was found on a GPU, by the models of GPUs and CPU for what was
found on a node; which GPUs a node has, and how many, is compared among nodes with the same CPU. Trainings are compared
where environment, framework, versions, device and job are the same too. What pairs of nodes did is judged where
culprits are sought (node_pairs.py), since a bad pair says nothing against its other half.
"""

from __future__ import annotations

import json
import math
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import findings, fleet_limits
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME, ENVIRONMENT, GROUP
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Limit

Finding = Dict[str, Any]
# (check, kind in words, subject or nothing, all that has to be the same)
Key = Tuple[str, str, str, str]
CURVE = "train.curve"
# What a node has decides its kind; these ask for that.
WHAT_IS_THERE = ("gpu.count", "gpu.model")
OWN_GROUP = "or put nodes of another kind into a validation_group of their own"
STEPS = {
    "host.": "give the node what the others have (BIOS, limits of its containers, memory modules), " + OWN_GROUP,
    "gpu.": "give the node what the others have, " + OWN_GROUP,
    "speed.": "look for what slows this one down: other jobs, power and clock limits, heat, a quota of CPUs, its slot; "
    + OWN_GROUP,
    "train.": "look at speed.* and host.* of this node for the cause; if they are well, run again with "
    "validation_rerun_previous to tell software from hardware",
}


class Training(NamedTuple):
    """What a training on a node is compared by. `curve` holds a loss for each epoch."""

    subject: str
    alike: str
    curve: Sequence[float]


class Node(NamedTuple):
    """A node as it is compared. `trained` are {SUBJECT: Training}; `asks_curves` says that curves are asked for."""

    findings: Sequence[Finding]
    identity: Mapping[str, Any]
    trained: Mapping[str, Training]
    group: str = "fleet"
    asks_curves: bool = True


class Fleet(NamedTuple):
    """`changed` are {HOST: [finding]} to stand instead of a node's own, or beside them; `figures` one row for each
    check and kind: {check, kind, subject, unit, count, median, low, high, common, odd, source}."""

    changed: Dict[str, List[Finding]]
    figures: List[Dict[str, Any]]


def compare(nodes: Mapping[str, Node], deviations: float, gap_percent: float) -> Fleet:
    """Hold all nodes beside each other. See fleet_limits.py for `deviations` and `gap_percent`."""
    found = Fleet({name: [] for name in nodes}, [])
    for key, sample in sorted(_samples(nodes).items()):
        if BY_NAME[key[0]].fleet == "same":
            _same(key, sample, found)
        else:
            _figures(key, sample, found, deviations, gap_percent)
    _curves(nodes, found, deviations, gap_percent)
    return found


def merged(own: Iterable[Finding], changed: Sequence[Finding]) -> List[Finding]:
    """A node's findings with what the fleet says of them."""
    newer = {(one["check"], one["subject"]): one for one in changed}
    kept = [newer.pop((one["check"], one["subject"]), one) for one in own]
    return kept + list(newer.values())


def gpu_names(identity: Mapping[str, Any]) -> str:
    return " and ".join(sorted({str(gpu.get("name")) for gpu in identity.get("gpus") or []}))


def is_figure(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


Sample = List[Tuple[str, Finding]]


def _samples(nodes: Mapping[str, Node]) -> Dict[Key, Sample]:
    found: Dict[Key, Sample] = {}
    for host, node in nodes.items():
        models = {str(gpu.get("uuid")): str(gpu.get("name")) for gpu in node.identity.get("gpus") or []}
        gpus, cpu = gpu_names(node.identity), str(node.identity.get("cpu") or "an unknown CPU")
        whole = "%s with %s" % (gpus, cpu) if gpus else cpu
        for one in node.findings:
            check = BY_NAME.get(one["check"])
            if check is None or not check.fleet or check.scope == GROUP or one["verdict"] != findings.PASS:
                continue
            if one["value"] is None or (check.fleet != "same" and not is_figure(one["value"])):
                continue
            kind = cpu if check.name in WHAT_IS_THERE else models.get(one["subject"], whole)
            subject, alike = "", ""
            if check.scope == ENVIRONMENT:
                training = node.trained.get(one["subject"])
                subject, alike = one["subject"], training.alike if training else ""
            version = "%s %s" % (one["version"], node.group)
            found.setdefault((check.name, kind, subject, version + alike), []).append((host, one))
    return found


def _figures(key: Key, sample: Sample, found: Fleet, deviations: float, gap_percent: float) -> None:
    better = BY_NAME[key[0]].fleet
    values = {str(number): float(one["value"]) for number, (_host, one) in enumerate(sample)}
    band = fleet_limits.band(list(values.values()), deviations, gap_percent)
    if band is None:
        _too_few(key, sample, found)
        return
    odd = fleet_limits.outliers(values, better, deviations, gap_percent)
    figures = {"median": band.median, "low": band.low, "high": band.high, "common": None, "source": band.source}
    found.figures.append(_row(key, sample, len(odd), figures))
    outside = [value for value in values.values() if not band.low <= value <= band.high]
    if 2 * len(outside) >= len(values):
        _say(sample, found, "fleet: not judged, %d of %d stand apart from each other (%s)"
             % (len(outside), len(values), band.source))  # fmt: skip
    elif better == "higher" and band.low <= 0 < band.median:
        _say(sample, found, "fleet: not judged, the %d are so unlike each other that none could be odd (%s)"
             % (len(values), band.source))  # fmt: skip
    limit = {"higher": Limit(least=band.low), "lower": Limit(most=band.high)}.get(better, Limit(band.low, band.high))
    limit = limit._replace(source=band.source)
    for number in odd:
        host, one = sample[int(number)]
        line = "fleet: median %s, band %s to %s, of %d %s (%d others)" % (
            *(_short(figure) for figure in (band.median, band.low, band.high)),
            *(len(sample), key[1], len(sample) - 1),
        )
        found.changed[host].append(_fail(one, str(limit.complaint(one["value"], one["unit"])), line, limit))


def _same(key: Key, sample: Sample, found: Fleet) -> None:
    values = {str(number): _hashable(one["value"]) for number, (_host, one) in enumerate(sample)}
    if len(values) < fleet_limits.FEWEST:
        _too_few(key, sample, found)
        return
    odd = fleet_limits.odd_ones(values)
    different = len(set(values.values()))
    if different > 1 and not odd:
        _say(sample, found, "fleet: not judged, no value is that of more than half (%d values of %d)"
             % (different, len(values)))  # fmt: skip
        return
    common = next(one["value"] for number, (_host, one) in enumerate(sample) if str(number) not in odd)
    count = len(sample) - len(odd)
    source = "what %d of %d have" % (count, len(sample))
    figures = {"median": None, "low": None, "high": None, "common": common, "source": source}
    found.figures.append(_row(key, sample, len(odd), figures))
    for number in odd:
        host, one = sample[int(number)]
        said = ("%s %s" % (_short(common), one["unit"])).strip()
        why = "it is %s, while %d of %d of its kind (%s) have %s" % (
            *(("%s %s" % (_short(one["value"]), one["unit"])).strip(), count, len(sample), key[1], said),
        )
        line = "fleet: %s is that of %d of %d %s" % (said, count, len(sample), key[1])
        found.changed[host].append(_fail(one, why, line, Limit(equal=common, source=source)))


def _curves(nodes: Mapping[str, Node], found: Fleet, deviations: float, gap_percent: float) -> None:
    groups: Dict[Tuple[str, str], Dict[str, Training]] = {}
    check = BY_NAME[CURVE]
    for host, node in nodes.items():
        for subject, training in node.trained.items() if node.asks_curves else ():
            bad = [number for number, loss in enumerate(training.curve, 1) if not is_figure(loss)]
            if bad:
                why = "the loss of epoch %d is no finite number" % bad[0]
                step = "train again on this node; if it stays so, its memory or GPU reckons wrongly: drain it"
                found.changed[host].append(findings.failed(check, subject, None, why, step))
            elif training.curve:
                groups.setdefault((subject, node.group + training.alike), {})[host] = training
    for (subject, _alike), members in groups.items():
        curves = {host: training.curve for host, training in members.items()}
        odd = fleet_limits.curve_outliers(curves, deviations, gap_percent)
        for host, training in members.items():
            found.changed[host].append(_curve(subject, training, odd.get(host), len(members)))


def _curve(subject: str, training: Training, said: Optional[List[str]], count: int) -> Finding:
    check, last = BY_NAME[CURVE], training.curve[-1]
    if count < fleet_limits.FEWEST:
        why = "%s the same training (versions, device, job), and %d are needed to say which is odd" % (
            "no other node did" if count == 1 else "only %d nodes did" % count,
            fleet_limits.FEWEST,
        )
        return findings.skipped(check, subject, why, "validate more nodes of this kind in one run")
    if said:
        why = "its losses leave the band of %d other nodes, first at %s" % (count - 1, said[0])
        return findings.failed(check, subject, last, why, STEPS["train."], evidence=said)
    return findings.passed(check, subject, last, evidence=["like the curves of %d other nodes" % (count - 1)])


def _fail(one: Finding, why: str, line: str, limit: Limit) -> Finding:
    step = next((step for prefix, step in STEPS.items() if one["check"].startswith(prefix)), STEPS["gpu."])
    return {**_with(one, line), "verdict": findings.FAIL, "limit": limit.to_dict(), "reason": why, "next_step": step}


def _too_few(key: Key, sample: Sample, found: Fleet) -> None:
    """A fleet that is too small to judge is no proof: it is said."""
    _say(sample, found, "fleet: not judged, %d of %s, and %d are needed to say which is odd"
         % (len(sample), key[1], fleet_limits.FEWEST))  # fmt: skip


def _say(sample: Sample, found: Fleet, line: str) -> None:
    for host, one in sample:
        found.changed[host].append(_with(one, line))


def _with(one: Finding, line: str) -> Finding:
    """The finding with one more line of evidence, which stands last whatever had to go for it."""
    kept = list(one.get("evidence") or [])[: findings.EVIDENCE_LINES - 1]
    return {**one, "evidence": [*kept, line[: findings.EVIDENCE_WIDTH]]}


def _row(key: Key, sample: Sample, odd: int, figures: Mapping[str, Any]) -> Dict[str, Any]:
    check, kind, subject, _alike = key
    told = {"check": check, "kind": kind, "subject": subject or None, "unit": BY_NAME[check].unit}
    return {**told, "count": len(sample), "odd": odd, **figures}


def _hashable(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, type(None))) else json.dumps(value, sort_keys=True)


def _short(value: Any) -> str:
    return "%.4g" % value if isinstance(value, float) else str(value)
