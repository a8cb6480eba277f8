# SPDX-License-Identifier: Apache-2.0
"""The report of a run: made from per-host data, by the action `report` and by the Python wrapper alike. Pure."""

from __future__ import annotations

from typing import Any, Mapping

SCHEMA_VERSION = 1
STATUSES = ("ok", "changed", "failed", "unreachable")
# From good to bad. ERROR (could not tell) is no PASS, and a FAIL that was seen is worse.
VERDICTS = ("PASS", "SKIP", "ERROR", "FAIL")
# How an environment stands against its declaration, from good to bad.
STATES = ("ok", "behind", "unfinished", "drifted", "replaced")


# The variables of a host that the action reads: the plan, and what the role validation registered.
READ_BY_REPORT = ("condafleet_plan", "__validation_trained")


def merge(older: Mapping[str, Any], newer: Mapping[str, Any]) -> dict[str, Any]:
    """Return both, mapping by mapping; where both have a value, the newer one."""
    merged = dict(older)
    for key, value in newer.items():
        known = merged.get(key)
        merged[key] = merge(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return merged


def build_report(
    hosts: Mapping[str, Mapping[str, Any]], started: str, ended: str, condafleet_version: str
) -> dict[str, Any]:
    """Return the report (schema_version 1) of {NAME: {status, message, data}}.

    `data` is what the actions handed over under `condafleet`: what the plan observed, and what came of it since.
    """
    found = {
        name: host_report(host["status"], host.get("message"), host.get("data") or {})
        for name, host in sorted(hosts.items())
    }
    fleet = {"hosts": len(found)}
    fleet.update({status: sum(host["status"] == status for host in found.values()) for status in STATUSES})
    return {
        "schema_version": SCHEMA_VERSION,
        "condafleet_version": condafleet_version,
        "started": started,
        "ended": ended,
        "fleet": fleet,
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
        "dependants": _at(data, "observed").get("dependants"),
        "plan": _at(data, "plan") or None,
    }


def report_summary(report: Mapping[str, Any]) -> str:
    """Return one line: how many hosts are what."""
    counts = ", ".join("%d %s" % (report["fleet"][status], status) for status in STATUSES)
    hosts = report["fleet"]["hosts"]
    return "%d host%s: %s" % (hosts, "" if hosts == 1 else "s", counts)


def host_status(variables: Mapping[str, Any], alive: bool) -> tuple[str, str | None]:
    """Return (status, message) of a host, from its variables and from whether it still takes part in the run."""
    planned = _at(variables, "condafleet_plan")
    if planned.get("unreachable"):
        return "unreachable", str(planned.get("msg") or "it could not be reached")
    if planned.get("failed"):
        return "failed", str(planned.get("msg") or "it could not be planned")
    complaints = [str(item["complaint"]) for item in _trained(variables) if item.get("complaint")]
    if complaints and not alive:
        return "failed", " ".join(complaints)
    if not alive:
        return "failed", "it failed or was lost after the plan; the output of the run says where"
    return ("changed" if _at(planned, "plan").get("state") == "pending" else "ok"), None


def host_data(variables: Mapping[str, Any], done: bool) -> dict[str, Any]:
    """Return a host's data from its variables: the registered plan, and what came of it since.

    `done` says that the plan was carried out there: its generations are the current ones then. A host that was
    trained on was switched before.
    """
    planned = _at(variables, "condafleet_plan")
    data: dict[str, Any] = {}
    if planned.get("conda"):
        data = {"observed": planned["conda"], "plan": _at(planned, "plan")}
    trained = _trained(variables)
    if done or trained:
        data["environments"] = {
            name: {key: entry[key] for key in ("generation", "digest", "target")}
            for name, entry in _at(planned, "plan", "environments").items()
            if entry.get("action") in ("build", "switch")
        }
    for item in trained:
        job, result = _at(item, "__validation_job"), _at(item, "result")
        if job and result:
            data = merge(data, {"validation": {job["environment"]: {job["framework"]: result}}})
    return data


def _trained(variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        dict(item) for item in _at(variables, "__validation_trained").get("results") or [] if not item.get("skipped")
    ]


def installation_report(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of the installation: what was observed first, what was done about it since."""
    observed = _at(data, "observed", "installation")
    newer = _at(data, "installation")
    return {key: value for key, value in merge(observed, newer).items() if key not in ("condarc", "condarc_site")}


def environments_report(data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return {NAME: {generation, digest, target, state, …}} for every environment that was declared or handled."""
    planned = _at(data, "plan", "environments")
    observed = _at(data, "observed", "environments")
    generations = {entry["name"]: entry for entry in (_at(data, "observed").get("generations") or [])}
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(set(planned) | set(_at(data, "environments"))):
        entry = planned.get(name) or {}
        seen = observed.get(name) or {}
        current = generations.get(seen.get("generation")) or {}
        base = {
            "generation": seen.get("generation"),
            "digest": current.get("digest") or _at(current, "receipt").get("digest"),
            "target": current.get("target") or _at(current, "receipt").get("target") or entry.get("target"),
            "state": environment_state(entry, seen, current),
            "why": entry.get("why") or None,
        }
        newer = _at(data, "environments", name)
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
    plan = _at(data, "plan")
    if _at(data, "observed", "installation").get("state") == "unfinished":
        states.append("unfinished")
    if plan.get("damage"):
        states.append("drifted")
    if plan.get("installation") or plan.get("shells") or plan.get("modulefiles"):
        states.append("behind")
    return worst(states, STATES, "ok")


def validation_report(data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return {ENVIRONMENT: {verdict, test_accuracy, images_per_second, frameworks: {NAME: the whole result}}}.

    The verdict is the worst of the environment's frameworks, the figures are the lowest.
    """
    stored = _stored_validations(data)
    fresh = _at(data, "validation")
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
    for name, frameworks in _at(data, "observed", "validations").items():
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
    summary: dict[str, Any] = {
        "verdict": worst([str(one.get("verdict", "ERROR")) for one in frameworks.values()], VERDICTS, "ERROR")
    }
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


def worst(found: list[str], order: tuple[str, ...], default: str) -> str:
    """Return the one of `found` that stands last in `order`; one that the order does not know is `default`."""
    ranked = [one if one in order else default for one in found]
    return max(ranked, key=order.index) if ranked else default


def _at(data: Any, *path: str) -> dict[str, Any]:
    """Return the mapping at a path, or an empty one."""
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    return dict(data) if isinstance(data, Mapping) else {}
