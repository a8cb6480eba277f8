# SPDX-License-Identifier: Apache-2.0
"""What the fleet says of each node: its findings beside those of the others of its kind. Pure.

Only what a node has passed by its own limits is compared. Whether nodes are of one kind is told by `validation_group`
(a site's own word), and by the GPU's model for what was found on a GPU, by the models of GPUs and CPU for what was
found on a node; which GPUs a node has, and how many, is compared among nodes with the same CPU. Trainings are compared
where environment, framework, versions, device and job are the same too. What pairs of nodes did is judged where
culprits are sought (node_pairs.py), since a bad pair says nothing against its other half. Where few are looked at, what
the fleet has shown before counts instead (fleet_memory.py).
"""

from __future__ import annotations

import json
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import findings, fleet_limits, fleet_memory
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME, ENVIRONMENT, GROUP
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Limit
from ansible_collections.condafleet.core.plugins.module_utils.figures import is_figure, short
from ansible_collections.condafleet.core.plugins.module_utils.fleet_curves import compare_curves
from ansible_collections.condafleet.core.plugins.module_utils.fleet_nodes import (
    ANEW,
    STEPS,
    Finding,
    Fleet,
    Key,
    Node,
    Width,
    tell,
)

# What a node has decides its kind; these ask for that.
WHAT_IS_THERE = ("gpu.count", "gpu.model")
# Where validation_gap_percent is too coarse: one memory module of 32 is 3 %, and the rest of it varies by far less.
GAPS = {"host.memory": 1.5}
SITE = "validation_checks"
Sample = List[Tuple[str, Finding]]


def compare(
    nodes: Mapping[str, Node], deviations: Optional[float] = None, gap_percent: Optional[float] = None
) -> Fleet:
    """Hold all nodes beside each other. `deviations` and `gap_percent` go before what is declared for the nodes."""
    found = Fleet({name: [] for name in nodes}, [], {name: [] for name in nodes})
    memory = {name: fleet_memory.index(node.learnt) for name, node in nodes.items()}
    for key, sample in sorted(_samples(nodes).items()):
        held = _by_memory(key, sample, memory, found)
        if len(held) == len(sample):
            continue
        if BY_NAME[key[0]].fleet == "same":
            _same(key, sample, held, found)
        else:
            width = Width.of((nodes[host] for host, _one in sample), deviations, gap_percent)
            gap = min(width.gap_percent, GAPS.get(key[0], width.gap_percent))
            _figures(key, sample, held, found, width.deviations, gap)
    compare_curves(nodes, memory, found, deviations, gap_percent)
    return found


def merged(own: Iterable[Finding], changed: Sequence[Finding]) -> List[Finding]:
    """A node's findings with what the fleet says of them."""
    newer = {(one["check"], one["subject"]): one for one in changed}
    kept = [newer.pop((one["check"], one["subject"]), one) for one in own]
    return kept + list(newer.values())


def gpu_names(identity: Mapping[str, Any]) -> str:
    """The models, as far as the GPUs say: one that is lost does not make a node another kind of node."""
    return " and ".join(sorted({str(gpu["name"]) for gpu in identity.get("gpus") or [] if gpu.get("name")}))


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
            if check.fleet == "same" and (one["limit"] or {}).get("source") == SITE:
                continue  # the site has said of this node what it is to have
            kind = cpu if check.name in WHAT_IS_THERE else models.get(one["subject"], whole)
            subject, alike = "", ""
            if check.scope == ENVIRONMENT:
                training = node.trained.get(one["subject"])
                subject, alike = one["subject"], training.alike if training else ""
            version = "%s %s" % (one["version"], node.group)
            found.setdefault((check.name, kind, subject, version + alike), []).append((host, one))
    return found


def _by_memory(key: Key, sample: Sample, memory: Mapping[str, fleet_memory.Index], found: Fleet) -> Set[int]:
    """Judge those by what the fleet has shown before that are too few to judge by; return their places."""
    better, held, about = BY_NAME[key[0]].fleet, set(), fleet_memory.about(*key)
    for place, (host, one) in enumerate(sample):
        for row in fleet_memory.outweighing(memory[host].get(about, ()), len(sample)):
            if not fleet_memory.holds(row, one):
                continue
            held.add(place)
            source = "%s, at %s" % (row["source"], row["run"])
            limit = Limit(equal=row["common"]) if better == "same" else _limit(better, row["low"], row["high"])
            why = limit._replace(source=source).complaint(one["value"], one["unit"])
            line = "fleet: held against what %d %s showed at %s; only %d are looked at now" % (
                *(row["count"], key[1], row["run"], len(sample)),
            )
            found.changed[host].append(
                _fail(one, why, line, limit._replace(source=source), ANEW) if why else _with(one, line)
            )
    return held


def _figures(key: Key, sample: Sample, held: Set[int], found: Fleet, deviations: float, gap_percent: float) -> None:
    better = BY_NAME[key[0]].fleet
    rest = [one for place, one in enumerate(sample) if place not in held]
    values = {str(number): float(one["value"]) for number, (_host, one) in enumerate(sample)}
    band = fleet_limits.band(list(values.values()), deviations, gap_percent)
    if band is None:
        _too_few(key, sample, rest, found)
        return
    odd = fleet_limits.outliers(values, better, deviations, gap_percent)
    outside = [value for value in values.values() if not band.low <= value <= band.high]
    why = None
    if 2 * len(outside) >= len(values):
        why = "%d of %d stand apart from each other" % (len(outside), len(values))
    elif better == "higher" and band.low <= 0 < band.median:
        why = "the %d are so unlike each other that none could be odd" % len(values)
    row = {"median": band.median, "low": band.low, "high": band.high, "source": band.source}
    tell(key, sample, odd, row, () if why else rest, found)
    if why:
        _say(rest, found, "fleet: not judged, %s (%s)" % (why, band.source))
    limit = _limit(better, band.low, band.high)._replace(source=band.source)
    for number in odd:
        host, one = sample[int(number)]
        if int(number) in held:
            continue
        line = "fleet: median %s, band %s to %s, of %d %s (%d others)" % (
            *(short(figure) for figure in (band.median, band.low, band.high)),
            *(len(sample), key[1], len(sample) - 1),
        )
        found.changed[host].append(_fail(one, str(limit.complaint(one["value"], one["unit"])), line, limit))


def _limit(better: str, low: float, high: float) -> Limit:
    return {"higher": Limit(least=low), "lower": Limit(most=high)}.get(better, Limit(low, high))


def _same(key: Key, sample: Sample, held: Set[int], found: Fleet) -> None:
    rest = [one for place, one in enumerate(sample) if place not in held]
    values = {str(number): _hashable(one["value"]) for number, (_host, one) in enumerate(sample)}
    if len(values) < fleet_limits.FEWEST:
        _too_few(key, sample, rest, found)
        return
    odd = fleet_limits.odd_ones(values)
    different = len(set(values.values()))
    if different > 1 and not odd:
        _say(rest, found, "fleet: not judged, no value is that of more than half (%d values of %d)"
             % (different, len(values)))  # fmt: skip
        return
    common = next(one["value"] for number, (_host, one) in enumerate(sample) if str(number) not in odd)
    count = len(sample) - len(odd)
    source = "what %d of %d have" % (count, len(sample))
    tell(key, sample, odd, {"common": common, "source": source}, rest, found)
    for number in odd:
        host, one = sample[int(number)]
        if int(number) in held:
            continue
        said = ("%s %s" % (short(common), one["unit"])).strip()
        why = "it is %s, while %d of %d of its kind (%s) have %s" % (
            *(("%s %s" % (short(one["value"]), one["unit"])).strip(), count, len(sample), key[1], said),
        )
        line = "fleet: %s is that of %d of %d %s" % (said, count, len(sample), key[1])
        found.changed[host].append(_fail(one, why, line, Limit(equal=common, source=source)))


def _fail(one: Finding, why: str, line: str, limit: Limit, more: str = "") -> Finding:
    step = next((step for prefix, step in STEPS.items() if one["check"].startswith(prefix)), STEPS["gpu."]) + more
    return {**_with(one, line), "verdict": findings.FAIL, "limit": limit.to_dict(), "reason": why, "next_step": step}


def _too_few(key: Key, sample: Sample, rest: Sample, found: Fleet) -> None:
    """A fleet that is too small to judge is no proof: it is said."""
    _say(rest, found, "fleet: not judged, %d of %s, and %d are needed to say which is odd"
         % (len(sample), key[1], fleet_limits.FEWEST))  # fmt: skip


def _say(sample: Sample, found: Fleet, line: str) -> None:
    for host, one in sample:
        found.changed[host].append(_with(one, line))


def _with(one: Finding, line: str) -> Finding:
    """The finding with one more line of evidence, which stands last whatever had to go for it."""
    kept = list(one.get("evidence") or [])[: findings.EVIDENCE_LINES - 1]
    return {**one, "evidence": [*kept, line[: findings.EVIDENCE_WIDTH]]}


def _hashable(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, type(None))) else json.dumps(value, sort_keys=True)
