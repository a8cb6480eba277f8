# SPDX-License-Identifier: Apache-2.0
"""The report of a run: made from per-host data, by the action `report` and by the Python wrapper alike. Pure."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.condafleet.core.plugins.module_utils.mappings import at, merge
from ansible_collections.condafleet.core.plugins.module_utils.report_checks import checks_report, fleet_checks
from ansible_collections.condafleet.core.plugins.module_utils.report_environments import environments_report
from ansible_collections.condafleet.core.plugins.module_utils.report_gate import gate_report
from ansible_collections.condafleet.core.plugins.module_utils.report_groups import groups, sentences
from ansible_collections.condafleet.core.plugins.module_utils.report_validation import validation_report

SCHEMA_VERSION = 1
STATUSES = ("ok", "changed", "failed", "unreachable")


def build_report(
    hosts: Mapping[str, Mapping[str, Any]],
    started: str,
    ended: str,
    condafleet_version: str,
    gate: Mapping[str, Mapping[str, Any]] | None = None,
    figures: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return the report (schema_version 1) of {NAME: {status, message, data}}.

    `data` is what the actions handed over under `condafleet`: what the plan observed, and what came of it since.
    `gate` is {plan|stage|rollback: decision} of the gates that the run came to, `figures` what the fleet's validation
    found of each check and kind of node.
    """
    found = {
        name: host_report(host["status"], host.get("message"), host.get("data") or {})
        for name, host in sorted(hosts.items())
    }
    fleet: dict[str, Any] = {"hosts": len(found)}
    fleet.update({status: sum(host["status"] == status for host in found.values()) for status in STATUSES})
    fleet["groups"] = groups(found)
    fleet["differences"] = sentences(fleet["groups"])
    fleet["checks"] = fleet_checks(found, figures or [])
    return {
        "schema_version": SCHEMA_VERSION,
        "condafleet_version": condafleet_version,
        "started": started,
        "ended": ended,
        "fleet": fleet,
        "gate": gate_report(gate or {}),
        "hosts": found,
    }


def host_report(status: str, message: str | None, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return one host's part of the report."""
    if status not in STATUSES:
        raise ValueError("status: %s is not accepted. Accepted: %s." % (status, ", ".join(STATUSES)))
    return {
        "status": status,
        "message": message,
        "installation": installation_report(data),
        "environments": environments_report(data),
        "validation": validation_report(data),
        "checks": checks_report(data),
        "checked": at(data, "observed").get("checked"),
        "dependants": at(data, "observed").get("dependants"),
        "users_environments": at(data, "observed").get("users_environments"),
        "plan": at(data, "plan") or None,
        "rollback": at(data, "rollback") or None,
    }


def report_summary(report: Mapping[str, Any]) -> str:
    """Return one line: how many hosts are what."""
    counts = ", ".join("%d %s" % (report["fleet"][status], status) for status in STATUSES)
    hosts = report["fleet"]["hosts"]
    return "%d host%s: %s" % (hosts, "" if hosts == 1 else "s", counts)


def installation_report(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of the installation: what was observed first, what was done about it since."""
    observed = at(data, "observed", "installation")
    newer = at(data, "installation")
    return {key: value for key, value in merge(observed, newer).items() if key not in ("condarc", "condarc_site")}
