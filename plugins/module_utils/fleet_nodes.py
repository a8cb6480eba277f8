# SPDX-License-Identifier: Apache-2.0
"""Nodes as they are compared with each other, and what comes of that. Pure."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Sized, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import fleet_memory
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME

Finding = Dict[str, Any]
# (check, kind in words, subject or nothing, all that has to be the same)
Key = Tuple[str, str, str, str]
OWN_GROUP = "or put nodes of another kind into a validation_group of their own"
STEPS = {
    "host.": "give the node what the others have (BIOS, limits of its containers, memory modules), " + OWN_GROUP,
    "gpu.": "give the node what the others have, " + OWN_GROUP,
    "speed.": "look for what slows this one down: other jobs, power and clock limits, heat, a quota of CPUs, its slot; "
    + OWN_GROUP,
    "train.": "look at speed.* and host.* of this node for the cause; if they are well, run again with "
    "validation_rerun_previous to tell software from hardware",
}

# Where the fleet's memory condemns: it may be the fleet that has changed.
ANEW = "; if the whole fleet has changed since, validate at least half of it in one run"
DEVIATIONS, GAP_PERCENT = 4.0, 10.0


class Training(NamedTuple):
    """What a training on a node is compared by. `curve` holds a loss for each epoch."""

    subject: str
    alike: str
    curve: Sequence[float]


class Node(NamedTuple):
    """A node as it is compared. `trained` are {SUBJECT: Training}; `asks_curves` says that curves are asked for.

    `learnt` are the rows that it keeps of earlier runs; `deviations` and `gap_percent` are as declared for it.
    """

    findings: Sequence[Finding]
    identity: Mapping[str, Any]
    trained: Mapping[str, Training]
    group: str = "fleet"
    asks_curves: bool = True
    learnt: Sequence[Mapping[str, Any]] = ()
    deviations: float = DEVIATIONS
    gap_percent: float = GAP_PERCENT


class Fleet(NamedTuple):
    """`changed` are {HOST: [finding]} to stand instead of a node's own, or beside them; `figures` one row for each
    check and kind (and epoch, of a curve): {check, kind, subject, alike, epoch, unit, count, odd, median, low, high,
    common, source}; `judged_by` are {HOST: the places of the rows that it was judged by}."""

    changed: Dict[str, List[Finding]]
    figures: List[Dict[str, Any]]
    judged_by: Dict[str, List[int]]


class Width(NamedTuple):
    """How far from the median is odd: see fleet_limits.py."""

    deviations: float
    gap_percent: float

    @classmethod
    def of(cls, nodes: Iterable[Any], deviations: Optional[float], gap_percent: Optional[float]) -> Width:
        """For nodes that are held beside each other. Where one of them is allowed more than others, all are: a band is
        that of a kind, and nobody is odd for what its like may do."""
        declared = [(one.deviations, one.gap_percent) for one in nodes]
        widest = [max(column) for column in zip(*declared)] or [DEVIATIONS, GAP_PERCENT]
        return cls(widest[0] if deviations is None else deviations, widest[1] if gap_percent is None else gap_percent)


def tell(
    key: Key, sample: Sized, odd: Sized, row: Mapping[str, Any], by: Iterable[Any], found: Fleet, **more: Any
) -> None:
    """Note a row of figures, and for the hosts of `by` that they were judged by it."""
    check, kind, subject, alike = key
    told: Dict[str, Any] = {"check": check, "kind": kind, "subject": subject or None, "epoch": None}
    told.update(alike=fleet_memory.digest_of(alike), unit=BY_NAME[check].unit, count=len(sample), odd=len(odd))
    told.update(median=None, low=None, high=None, common=None)
    for host in dict.fromkeys(one[0] for one in by):
        found.judged_by[host].append(len(found.figures))
    found.figures.append({**told, **row, **more})
