# SPDX-License-Identifier: Apache-2.0
"""What each environment's link led to, and since when: `ROOT/history.json`, written under the node lock.

The link is the truth. A move is written down right before it is made, as one that is being made, so that why it was
made is never lost; of one that was cut short the link tells whether it was made. What somebody moved by hand is found
by the link too. Everything but `read`, `announce` and `confirm` is pure.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.clock import now

FILE = "history.json"
SCHEMA_VERSION = 1
SWITCH, ROLLBACK, ADOPT, PURGE = "switch", "rollback", "adopt", "purge"
# Moved by somebody else, or before there was a history.
FOUND = "found"
# Of one environment; what is older decides nothing any more.
LONGEST = 50

# In the file, of a move that was announced and not confirmed yet.
MOVING = "moving"

# {generation: name, or None where the link was removed; since; why; run: what all moves of one run share, or None}
Entry = Dict[str, Any]
Histories = Dict[str, List[Entry]]


def entry(generation: Optional[str], since: str, why: str, run: Optional[str] = None) -> Entry:
    return {"generation": generation, "since": since, "why": why, "run": run}


def reconciled(entries: List[Entry], link: Optional[Mapping[str, Any]]) -> List[Entry]:
    """The entries of one environment as its link, {generation, moved} or None, shows them to be."""
    leads_to = link.get("generation") if link else None
    known = [{key: value for key, value in one.items() if key != MOVING} for one in entries]
    if entries and entries[-1].get(MOVING) and leads_to != entries[-1]["generation"]:
        known.pop()
    # Where there is no link of ours, nobody can tell since when.
    if not leads_to or not link or (known and known[-1]["generation"] == leads_to):
        return known
    return [*known, entry(leads_to, str(link.get("moved") or now()), FOUND)][-LONGEST:]


def reconcile(histories: Mapping[str, List[Entry]], links: Mapping[str, Mapping[str, Any]]) -> Histories:
    """All histories as the links, {ENV: {generation, moved}}, show them to be."""
    return {name: reconciled(histories.get(name, []), links.get(name)) for name in sorted({*histories, *links})}


def times(entries: List[Entry]) -> Dict[str, str]:
    """{generation: when it was last made current}."""
    return {str(one["generation"]): str(one["since"]) for one in entries if one["generation"]}


def read(root: str) -> Histories:
    """What is noted; nothing where the file is missing or damaged: then the links tell what is current."""
    stored = files.read_json(os.path.join(root, FILE))
    environments = stored.get("environments") if isinstance(stored, dict) else None
    if not isinstance(environments, dict):
        return {}
    return {
        str(name): [
            dict(one) for one in entries if isinstance(one, dict) and {"generation", "since", "why"} <= set(one)
        ]
        for name, entries in environments.items()
        if isinstance(entries, list)
    }


def announce(
    root: str,
    environment: str,
    link: Optional[Mapping[str, Any]],
    generation: Optional[str],
    why: str,
    run: Optional[str] = None,
) -> None:
    """Write down that the link, {generation, moved} as it is now, is about to be moved. Under the node lock."""
    histories = read(root)
    entries = reconciled(histories.get(environment, []), link)
    histories[environment] = [*entries, {**entry(generation, now(), why, run), MOVING: True}][-LONGEST:]
    _write(root, histories)


def confirm(root: str, environment: str) -> None:
    """Write down that what was announced has been done. Where that can't be written, the link tells it."""
    histories = read(root)
    if histories.get(environment):
        histories[environment][-1].pop(MOVING, None)
        with contextlib.suppress(OSError):
            _write(root, histories)


def _write(root: str, histories: Histories) -> None:
    files.write_json(os.path.join(root, FILE), {"schema_version": SCHEMA_VERSION, "environments": histories})


def annotate(
    generations: List[Dict[str, Any]],
    histories: Mapping[str, List[Entry]],
    spared: Mapping[str, Mapping[str, Any]],
) -> None:
    """Put into the records of generations since when each is, or was, current, and why it was spared, or None."""
    for record in generations:
        record["since"] = times(histories.get(record["environment"], [])).get(record["name"])
        record["spared"] = (spared.get(record["name"]) or {}).get("why")
