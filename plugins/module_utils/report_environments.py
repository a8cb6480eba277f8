# SPDX-License-Identifier: Apache-2.0
"""How a host's environments stand against their declaration, for the report. Pure."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.condafleet.core.plugins.module_utils.mappings import at, merge, worst

# From good to bad.
STATES = ("ok", "behind", "unfinished", "drifted", "replaced")


def environments_report(data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return {NAME: {generation, digest, target, state, …}} for every environment that was declared or handled."""
    planned = at(data, "plan", "environments")
    observed = at(data, "observed", "environments")
    generations = {entry["name"]: entry for entry in (at(data, "observed").get("generations") or [])}
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(set(planned) | set(at(data, "environments"))):
        entry = planned.get(name) or {}
        seen = observed.get(name) or {}
        current = generations.get(seen.get("generation")) or {}
        base = {
            "generation": seen.get("generation"),
            "digest": current.get("digest") or at(current, "receipt").get("digest"),
            "target": current.get("target") or at(current, "receipt").get("target") or entry.get("target"),
            "state": environment_state(entry, seen, current),
            "why": entry.get("why") or None,
        }
        newer = at(data, "environments", name)
        if newer.get("generation") and newer["generation"] != base["generation"]:
            base.update(state="ok", why=None)  # it was switched since it was observed
        found[name] = merge(base, newer)
    return found


def environment_state(planned: Mapping[str, Any], seen: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    """Return how one environment stands: ok, behind, unfinished, drifted, or replaced by what is not condafleet's."""
    if planned.get("state") in STATES:
        return str(planned["state"])
    if seen and (seen.get("kind") == "directory" or not seen.get("generation")):
        return "replaced"
    if current.get("drifted") or planned.get("action") == "repair":
        return "drifted"
    if seen.get("kind") == "broken" or (current and not current.get("finished", True)):
        return "unfinished"
    return "ok" if planned.get("action", "none") == "none" else "behind"


def host_state(data: Mapping[str, Any]) -> str:
    """Return how a whole host stands: its worst environment, or behind if the installation or a shell differs."""
    states = [entry.get("state", "ok") for entry in environments_report(data).values()]
    plan = at(data, "plan")
    if at(data, "observed", "installation").get("state") == "unfinished":
        states.append("unfinished")
    if plan.get("damage"):
        states.append("drifted")
    if plan.get("installation") or plan.get("shells") or plan.get("modulefiles"):
        states.append("behind")
    return worst(states, STATES, "ok")
