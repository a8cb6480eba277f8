# SPDX-License-Identifier: Apache-2.0
"""What each environment's link led to, and since when: `ROOT/history.json`, written under the node lock.

The link is the truth. A move is written down right before it is made, so that why it was made is never lost; one that
was cut short in between is known by the link, which still is the older one, and is forgotten. What somebody moved by
hand is found by the link too. Everything but `read` and `announce` is pure.
"""

from __future__ import annotations

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

# {generation: name, or None where the link was removed; since; why; run: what all moves of one run share, or None}
Entry = Dict[str, Any]
Histories = Dict[str, List[Entry]]


def entry(generation: Optional[str], since: str, why: str, run: Optional[str] = None) -> Entry:
    return {"generation": generation, "since": since, "why": why, "run": run}


def reconciled(entries: List[Entry], link: Optional[Mapping[str, Any]]) -> List[Entry]:
    """The entries of one environment as its link, {generation, moved} or None, shows them to be."""
    leads_to = link.get("generation") if link else None
    last = entries[-1]["generation"] if entries else None
    # Where there is no link of ours, nobody can tell since when.
    if leads_to == last or not link or not leads_to:
        return list(entries)
    since = str(link.get("moved") or now())
    if len(entries) > 1 and entries[-2]["generation"] == leads_to and since <= entries[-1]["since"]:
        return list(entries[:-1])
    return [*entries, entry(leads_to, since, FOUND)][-LONGEST:]


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
            entry(one["generation"], str(one["since"]), str(one.get("why")), one.get("run"))
            for one in entries
            if isinstance(one, dict) and "generation" in one and one.get("since")
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
    histories[environment] = [*entries, entry(generation, now(), why, run)][-LONGEST:]
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
