# SPDX-License-Identifier: Apache-2.0
"""Which generations are to be kept, and which are surplus: pure, the same for the plan and for the collection.

Kept are, for each declared environment: the current one, the pinned ones, as many former ones as declared, and what
another run may have staged, or may just be staging. What is in use beside these is found out on the node, when surplus
ones are removed (generation_collection).
"""

from __future__ import annotations

import calendar
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils.clock import FORM, stamp
from ansible_collections.condafleet.core.plugins.module_utils.generation_history import (
    FOUND,
    LONGEST,
    Entry,
    times,
)
from ansible_collections.condafleet.core.plugins.module_utils.generation_spared import is_spared

# How old a generation that was never current may be when the link moves to another one. Between the steps of a build no
# lock is held, so what is unfinished may be somebody's; what is finished may wait for a switch that is days apart, by
# another run with another lock. Counted from the link's last move, and not from now, so that time alone makes no work.
UNFINISHED_SECONDS = 24 * 3600
STAGED_SECONDS = 14 * UNFINISHED_SECONDS
# Of each environment, so that staging again and again, and never switching, does not fill the disk.
STAGED_LOCKS = 2


def plan_collection(
    observed: Mapping[str, Any], part: Mapping[str, Any], environments: Mapping[str, Mapping[str, Any]]
) -> Dict[str, List[str]]:
    """{purge: [ENV], collect: [generation]} of a plan: what is left to remove once it has been carried out.

    `part` holds declared, keep, pinned, purge, collect_shared; without `keep` nothing is collected. `environments` is
    the plan's. What the last collection spared is no work to be done: it is looked at again when there is some.
    """
    if part.get("keep") is None:
        return {"purge": [], "collect": []}
    declared = [entry["name"] for entry in part["declared"]]
    moves = {
        name: entry["generation"]
        for name, entry in environments.items()
        if entry["action"] not in ("none", "blocked", "unknown") and entry["generation"]
    }
    purge = bool(part.get("purge"))
    names = surplus(observed, declared, keep=part["keep"], pinned=part.get("pinned") or (), purge=purge, moves=moves)
    shared = bool(part.get("collect_shared"))
    spared = {record["name"] for record in observed.get("generations") or [] if is_spared(record, shared)}
    unfinished = list((observed.get("root") or {}).get("removing") or [])
    return {
        "purge": purged(observed.get("environments") or {}, declared) if purge else [],
        "collect": [name for name in names if name not in spared] + unfinished,
    }


def purged(environments: Mapping[str, Mapping[str, Any]], declared: Sequence[str]) -> List[str]:
    """The environments whose link is condafleet's and that are declared no more."""
    return [name for name, state in sorted(environments.items()) if state.get("generation") and name not in declared]


def surplus(
    observed: Mapping[str, Any],
    declared: Sequence[str],
    *,
    keep: int,
    pinned: Sequence[str] = (),
    purge: bool = False,
    moves: Optional[Mapping[str, str]] = None,
) -> List[str]:
    """The names of all generations that nothing declared keeps, the oldest first of each environment.

    `observed` has time, environments, generations and history, as conda_facts. `moves` are the links that a plan is
    about to move, {ENV: generation}: what is surplus then is told. With `purge` nothing but what is pinned is kept of
    environments that are declared no more; without it these are left alone.
    """
    found: List[str] = []
    by_environment: Dict[str, List[Mapping[str, Any]]] = {}
    for record in observed.get("generations") or []:
        by_environment.setdefault(record["environment"], []).append(record)
    for name, records in sorted(by_environment.items()):
        gone = name not in declared
        if gone and not purge:
            continue
        entries = list((observed.get("history") or {}).get(name) or [])
        current = ((observed.get("environments") or {}).get(name) or {}).get("generation")
        to_be = None if gone else (moves or {}).get(name, current)
        if _unknown(gone, current, to_be, entries):
            continue
        # Once its link has moved what was there before is former; once it is gone, what was staged before is nobody's.
        last = observed["time"] if current != to_be else (str(entries[-1]["since"]) if entries else "")
        kept = {to_be, *pinned, *_kept_former(records, entries, to_be, pinned, 0 if gone else keep)}
        kept.update(_kept_staged(records, entries, last if gone else earlier(last, STAGED_SECONDS), to_be))
        left = [record for record in records if record["name"] not in kept and _superfluous(record, entries, last)]
        found += [record["name"] for record in sorted(left, key=lambda record: (record["made"], record["name"]))]
    return found


def _unknown(gone: bool, current: Optional[str], to_be: Optional[str], entries: List[Entry]) -> bool:
    """Whether there is no link, and nobody took it away on purpose: then what is current can't be told."""
    if gone:
        return current is None and not (entries and entries[-1]["generation"] is None)
    return to_be is None


def _kept_former(
    records: Sequence[Mapping[str, Any]],
    entries: List[Entry],
    current: Optional[str],
    pinned: Sequence[str],
    keep: int,
) -> List[str]:
    """One whole generation of each of the locks that were current most recently: these are the ways back.

    A lock that was built again, for a repair, counts once, and what is kept anyway takes no one's place.
    """
    used = times(entries)
    locks: Dict[str, str] = {}
    for name, since in [*used.items(), *((one["name"], one["made"]) for one in records if _was_current(one, entries))]:
        lock, since = _lock(name), used.get(name, since)
        locks[lock] = max(since, locks.get(lock, since))
    # What was found damaged before is noted, so that plan and collection know the same of it.
    whole = [record for record in records if record["finished"] and not record.get("drifted")]
    kept_anyway = {_lock(record["name"]) for record in whole if record["name"] in pinned}
    if current:
        kept_anyway.add(_lock(current))
    best: Dict[str, Mapping[str, Any]] = {}
    for record in sorted(whole, key=lambda one: (used.get(one["name"], ""), one["made"], one["name"])):
        if _lock(record["name"]) in locks and _lock(record["name"]) not in kept_anyway:
            best[_lock(record["name"])] = record
    newest = sorted(best, key=lambda lock: (locks[lock], lock), reverse=True)
    return [best[lock]["name"] for lock in newest[:keep]]


def _kept_staged(
    records: Sequence[Mapping[str, Any]], entries: List[Entry], oldest: str, current: Optional[str]
) -> List[str]:
    """One whole generation of each of the locks that were staged most recently, and not before `oldest`."""
    best: Dict[str, Mapping[str, Any]] = {}
    for record in sorted(records, key=lambda one: (one["made"], one["serial"])):
        whole = record["finished"] and not record.get("drifted") and record["name"] != current
        if whole and record["made"] >= oldest and not _was_current(record, entries):
            best[_lock(record["name"])] = record
    newest = sorted(best.values(), key=lambda one: (one["made"], one["name"]), reverse=True)
    return [record["name"] for record in newest[:STAGED_LOCKS]]


def _lock(name: str) -> str:
    """The name without its serial."""
    return name.rpartition("-")[0]


def _was_current(record: Mapping[str, Any], entries: List[Entry]) -> bool:
    """Of what is older than a history that does not tell the beginning nobody knows that it was not."""
    told = not entries or (entries[0]["why"] != FOUND and len(entries) < LONGEST)
    return record["name"] in times(entries) or (not told and bool(record["made"] < entries[0]["since"]))


def _superfluous(record: Mapping[str, Any], entries: List[Entry], last: str) -> bool:
    """Of those that nothing keeps: all that are finished, and of the others those that nobody can be building."""
    if record["finished"]:
        return True
    return record["made"] < earlier(last, UNFINISHED_SECONDS) or record["name"] in times(entries)


def earlier(moment: str, seconds: float) -> str:
    """A time so many seconds before another one; before all others where there is none."""
    return stamp(calendar.timegm(time.strptime(moment, FORM)) - seconds) if moment else ""
