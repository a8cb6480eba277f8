# SPDX-License-Identifier: Apache-2.0
"""What a run left in a host's variables, as the report takes it. Pure."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from ansible_collections.condafleet.core.plugins.module_utils.mappings import at, merge

# The variables of a host that the action reads: the plan, and what the role validation registered.
PLAN = "condafleet_plan"
READ_BY_REPORT = (PLAN, "__validation_trained", "__validation_judged", "__validation_recorded")
# What tells when the run began: the role environments notes it, else the first look at a node is the first sign.
BEGAN, LOOKED = "__environments_run", "__validation_node"


def began(hosts: Iterable[Mapping[str, Any]], ended: str) -> str:
    """Return when the run began, as far as the hosts' variables tell; clocks of nodes may be ahead of the end."""
    told = [str(one) for known in hosts for one in (known.get(BEGAN), at(known, LOOKED).get("began")) if one]
    return min([*told, ended])


def host_status(variables: Mapping[str, Any], alive: bool, missing: str | None = None) -> tuple[str, str | None]:
    """Return (status, message) of a host, from its variables and from whether it still takes part in the run.

    `missing` is what the gate said of it, if it was missing there.
    """
    planned = at(variables, "condafleet_plan")
    if planned.get("unreachable"):
        return "unreachable", str(planned.get("msg") or "it could not be reached")
    if planned.get("failed"):
        return "failed", str(planned.get("msg") or "it could not be planned")
    recorded = at(variables, "__validation_recorded")
    if not alive and refused(variables):
        said = (recorded.get("complaint"), recorded.get("msg") if recorded.get("failed") else None)
        return "failed", " ".join(str(text) for text in said if text)
    if missing and not alive:
        return "failed", missing
    if not alive:
        return "failed", "it failed or was lost after the plan; the output of the run says where"
    return ("changed" if at(planned, "plan").get("state") == "pending" else "ok"), None


def refused(variables: Mapping[str, Any]) -> bool:
    """Whether the validation refuses the host, or could not keep its record."""
    recorded = at(variables, "__validation_recorded")
    return bool(recorded.get("complaint") or recorded.get("failed"))


def host_data(variables: Mapping[str, Any], done: bool) -> dict[str, Any]:
    """Return a host's data from its variables: the registered plan, and what came of it since.

    `done` says that the plan was carried out there: its generations are the current ones then. A host that was
    trained on was switched before.
    """
    planned = at(variables, "condafleet_plan")
    data: dict[str, Any] = {}
    if planned.get("observed"):
        data = {"observed": planned["observed"], "plan": at(planned, "plan")}
    trained = _trained(variables)
    if done or trained:
        data["environments"] = {
            name: {key: entry[key] for key in ("generation", "digest", "target")}
            for name, entry in at(planned, "plan", "environments").items()
            if entry.get("action") in ("build", "switch", "repair")
        }
    for item in trained:
        job, result = at(item, "__validation_job"), at(item, "result")
        if job and result:
            data = merge(data, {"validation": {job["environment"]: {job["framework"]: result}}})
    record = at(variables, "__validation_recorded", "record")
    return {**data, "checks": record} if record else data


def lost_records(hosts: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """{HOST: record} of hosts that dropped out before they could keep theirs, as the others know it."""
    told = {id(one): at(one, "lost") for one in (variables.get("__validation_judged") for variables in hosts)}
    return {host: record for lost in told.values() for host, record in lost.items()}


def fleet_figures(hosts: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the last comparison of the fleet found: each host knows it, since one told it for all."""
    judged = [at(variables, "__validation_judged") for variables in hosts]
    newest = max(judged, key=lambda one: str(one.get("run") or ""), default={})
    return list(newest.get("figures") or [])


def _trained(variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        dict(item) for item in at(variables, "__validation_trained").get("results") or [] if not item.get("skipped")
    ]
