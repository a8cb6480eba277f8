# SPDX-License-Identifier: Apache-2.0
"""Loss curves of the same training beside each other, or beside what more nodes have shown before. Pure."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import findings, fleet_limits, fleet_memory
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME
from ansible_collections.condafleet.core.plugins.module_utils.figures import is_figure
from ansible_collections.condafleet.core.plugins.module_utils.fleet_nodes import (
    ANEW,
    STEPS,
    Finding,
    Fleet,
    Key,
    Node,
    Training,
    Width,
    tell,
)

CURVE = "train.curve"
TRAININGS = "trainings"


def compare_curves(
    nodes: Mapping[str, Node],
    memory: Mapping[str, fleet_memory.Index],
    found: Fleet,
    deviations: Optional[float] = None,
    gap_percent: Optional[float] = None,
) -> None:
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
    for (subject, alike), members in groups.items():
        key = (CURVE, TRAININGS, subject, "%d %s" % (check.version, alike))
        about, fresh = fleet_memory.about(*key), {}
        for host, training in members.items():
            rows = fleet_memory.outweighing(memory[host].get(about, ()), len(members))
            if rows:
                found.changed[host].append(_remembered(subject, training, rows))
            else:
                fresh[host] = training
        curves = {host: training.curve for host, training in members.items()}
        width = Width.of((nodes[host] for host in members), deviations, gap_percent)
        odd = fleet_limits.curve_outliers(curves, *width)
        for host, training in fresh.items():
            found.changed[host].append(_judged(subject, training, odd.get(host), len(members)))
        _tell_all(key, curves, fresh, found, *width)


def _tell_all(
    key: Key, curves: Mapping[str, Sequence[float]], by: Iterable[str], found: Fleet, deviations: float, gap: float
) -> None:
    hosts = [(host,) for host in by]
    for epoch in range(max(map(len, curves.values())) if hosts else 0):
        values = {host: curve[epoch] for host, curve in curves.items() if len(curve) > epoch}
        band = fleet_limits.band(list(values.values()), deviations, gap)
        if band is None:
            continue
        outside = [host for host, value in values.items() if not band.low <= value <= band.high]
        judged = hosts if 2 * len(outside) < len(values) else []
        row = {"median": band.median, "low": band.low, "high": band.high, "source": band.source}
        tell(key, values, outside if judged else (), row, judged, found, epoch=epoch + 1)


def _remembered(subject: str, training: Training, rows: Sequence[Mapping[str, Any]]) -> Finding:
    """By what the curves of more nodes were before."""
    check, last, first = BY_NAME[CURVE], training.curve[-1], rows[0]
    said = [
        "epoch %d: %.4g, the others' band was %.4g to %.4g (%s, at %s)"
        % (row["epoch"], training.curve[row["epoch"] - 1], row["low"], row["high"], row["source"], row["run"])
        for row in rows
        if row["epoch"] <= len(training.curve) and not row["low"] <= training.curve[row["epoch"] - 1] <= row["high"]
    ]
    if said:
        why = "its losses leave the band that %d nodes showed at %s, first at %s" % (
            *(first["count"], first["run"], said[0]),
        )
        return findings.failed(check, subject, last, why, STEPS["train."] + ANEW, evidence=said)
    line = "like the curves that %d nodes showed at %s" % (first["count"], first["run"])
    return findings.passed(check, subject, last, evidence=[line])


def _judged(subject: str, training: Training, said: Optional[List[str]], count: int) -> Finding:
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
