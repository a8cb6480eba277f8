# SPDX-License-Identifier: Apache-2.0
"""What each environment's newest switch brought on each node, and what the newest run brought to the fleet. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Set, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.generation_history import FOUND, ROLLBACK, Entry
from ansible_collections.condafleet.core.plugins.module_utils.generations import parse_name

# ENV and the start of its lock's digest.
Lock = Tuple[str, str]


@dataclass(frozen=True)
class Newest:
    """The newest switch of one environment: what it brought, in which run, and what was current before."""

    lock: Lock
    run: str
    before: Optional[str]
    before_run: str
    by_hand: bool


def newest_switch(conda: Mapping[str, Any], name: str) -> Optional[Newest]:
    """The newest switch that was no rollback, of a lock that was built again the first one."""
    entries: List[Entry] = [one for one in conda["history"].get(name) or [] if one["generation"]]
    forward = [index for index, one in enumerate(entries) if one["why"] != ROLLBACK]
    if not forward:
        return None
    first = forward[-1]
    lock = lock_of(entries[first]["generation"])
    while first and lock_of(entries[first - 1]["generation"]) == lock:
        first -= 1
    noted, former = entries[first], entries[first - 1] if first else None
    return Newest(
        lock=lock,
        run=_run(noted),
        before=former["generation"] if former else None,
        before_run=_run(former) if former else "",
        by_hand=noted["why"] == FOUND,
    )


def _run(noted: Entry) -> str:
    return str(noted["run"] or noted["since"])


def brought(newest: Mapping[str, Mapping[str, Newest]]) -> Set[Lock]:
    """The locks that the newest run of the fleet brought.

    A lock came with the first run that brought it to any node: those that were down, or that are new, got it later.
    What somebody moved by hand came with no run. A lock that came back came when it came back, also where a node has
    had it all along.
    """
    switches: Dict[Lock, List[Newest]] = {}
    for found in newest.values():
        for one in found.values():
            if not one.by_hand:
                switches.setdefault(one.lock, []).append(one)
    came = {}
    for lock, some in switches.items():
        left = max(one.before_run for one in some)
        # Of a clock that went backwards nothing can be told.
        came[lock] = min((one.run for one in some if one.run >= left), default=left)
    last = max(came.values(), default=None)
    return {lock for lock, run in came.items() if run == last}


def lock_of(generation: str) -> Lock:
    parsed = parse_name(generation)
    return (parsed.environment, parsed.digest12) if parsed else (generation, "")
