# SPDX-License-Identifier: Apache-2.0
"""How a host's environments stand against their declaration, for the report. Pure."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.condafleet.core.plugins.module_utils.environment_standing import STATES, standing
from ansible_collections.condafleet.core.plugins.module_utils.mappings import at, merge, worst


def environments_report(data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return {NAME: {generation, digest, target, state, why, fingerprint, files, drift}} for every environment that was
    declared or handled. `files` is ok, damaged, unknown, or None where they were not looked at; `drift` is how the
    generation differs from its receipt, or None.
    """
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
            "state": standing(entry, seen, current),
            "why": entry.get("why") or None,
            "fingerprint": current.get("fingerprint"),
            "files": files_state(at(current, "drift")),
            "drift": current.get("drift") if current.get("drifted") else None,
        }
        newer = at(data, "environments", name)
        if newer.get("generation") and newer["generation"] != base["generation"]:
            # It was switched since it was observed.
            base.update(state="ok", why=None, fingerprint=None, files=None, drift=None)
        found[name] = merge(base, newer)
    return found


def files_state(drift: Mapping[str, Any]) -> str | None:
    """Return ok, damaged, or unknown where there is no list to compare with; None where no file was looked at."""
    if drift.get("verified") in (None, "quick"):
        return None
    if drift["verified"] == "unknown":
        return "unknown"
    counts = at(drift, "files", "counts")
    return "damaged" if not counts or any(counts.values()) else "ok"


def host_state(data: Mapping[str, Any]) -> str:
    """Return how a whole host stands: its worst environment, or behind if the installation or a shell differs."""
    states = [entry.get("state", "ok") for entry in environments_report(data).values()]
    plan = at(data, "plan")
    if at(data, "observed", "installation").get("state") == "unfinished":
        states.append("unfinished")
    if plan.get("damage"):
        states.append("drifted")
    if any(plan.get(part) for part in ("installation", "shells", "modulefiles", "purge", "collect", "blocked")):
        states.append("behind")
    return worst(states, STATES, "ok")
