# SPDX-License-Identifier: Apache-2.0
"""What a host's validation came to, for the report: stored results that still hold, and those of this run. Pure."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.condafleet.core.plugins.module_utils.findings import ERROR, worst
from ansible_collections.condafleet.core.plugins.module_utils.mappings import at, merge
from ansible_collections.condafleet.core.plugins.module_utils.report_environments import environments_report


def validation_report(data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return {ENVIRONMENT: {verdict, test_accuracy, images_per_second, frameworks: {NAME: the whole result}}}.

    The verdict is the worst of the environment's frameworks, the figures are the lowest.
    """
    stored = _stored_validations(data)
    fresh = at(data, "validation")
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(set(stored) | set(fresh)):
        frameworks = merge(_frameworks(stored.get(name)), _frameworks(fresh.get(name)))
        if frameworks:
            found[name] = _summary(frameworks)
    return found


def _stored_validations(data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the results that were found on the node and still hold: of the generation that is current now."""
    environments = environments_report(data)
    found: dict[str, dict[str, Any]] = {}
    for name, frameworks in at(data, "observed", "validations").items():
        current = environments.get(name, {}).get("generation")
        kept = {
            key: one for key, one in _frameworks(frameworks).items() if current and one.get("generation") == current
        }
        if kept:
            found[name] = kept
    return found


def _frameworks(entry: Any) -> dict[str, dict[str, Any]]:
    """Return {FRAMEWORK: result}, whether it came so or as one result that names its framework."""
    if not isinstance(entry, Mapping):
        return {}
    if "verdict" in entry:
        inner = entry.get("frameworks")
        return dict(inner) if isinstance(inner, Mapping) else {str(entry.get("framework") or "default"): dict(entry)}
    return {str(key): dict(value) for key, value in entry.items() if isinstance(value, Mapping)}


def _summary(frameworks: dict[str, dict[str, Any]]) -> dict[str, Any]:
    summary: dict[str, Any] = {"verdict": worst(str(one.get("verdict", ERROR)) for one in frameworks.values())}
    for figure in ("test_accuracy", "images_per_second"):
        values = [one[figure] for one in frameworks.values() if isinstance(one.get(figure), (int, float))]
        summary[figure] = min(values) if values else None
    reasons = [
        str(one.get("reason") or one.get("message"))
        for one in frameworks.values()
        if one.get("reason") or one.get("message")
    ]
    summary["reason"] = "; ".join(reasons) or None
    summary["frameworks"] = frameworks
    return summary
