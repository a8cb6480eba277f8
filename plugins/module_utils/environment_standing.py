# SPDX-License-Identifier: Apache-2.0
"""How one environment of a node stands: ok, behind, unfinished, drifted, replaced or broken. Pure."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils.generation_history import FOUND, Entry, reconciled

OK, BEHIND, UNFINISHED, DRIFTED, REPLACED, BROKEN = "ok", "behind", "unfinished", "drifted", "replaced", "broken"
# From good to bad.
STATES = (OK, BEHIND, UNFINISHED, DRIFTED, REPLACED, BROKEN)


def recorded(entries: List[Entry], link: Optional[Mapping[str, Any]]) -> Optional[str]:
    """The generation that condafleet made current last, by an environment's history; None where it made none.

    `link` is what stands there, {generation, moved}. A move that was noted and then cut short does not count, and where
    there was no history yet, what the link leads to is taken for ours.
    """
    known = reconciled(entries, link)
    if len(known) > 1 and known[-1]["why"] == FOUND:
        known = known[:-1]
    return known[-1]["generation"] if known else None


def is_moved(link: Mapping[str, Any]) -> bool:
    """Whether a link that condafleet made was moved by somebody else. `link` is observed, with `recorded`."""
    return link["kind"] != "directory" and bool(link.get("recorded")) and link["recorded"] != link["generation"]


def standing(planned: Mapping[str, Any], seen: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    """The state, by the plan's entry, by what stands at the environment's name, and by the generation it leads to.

    What was replaced by hand with exactly what is declared is ok.
    """
    if planned.get("action") == "none":
        return OK
    if not seen:
        return BEHIND
    if seen.get("kind") == "broken" or current.get("broken"):
        return BROKEN
    if seen.get("kind") == "directory" or not seen.get("generation") or is_moved(seen):
        return REPLACED
    if not current:
        return BROKEN
    if current.get("drifted"):
        return DRIFTED
    return BEHIND if current.get("finished", True) else UNFINISHED
