# SPDX-License-Identifier: Apache-2.0
"""What the checks of nodes came to, for the report: of each host, and the odd ones of the fleet. Pure."""

from __future__ import annotations

from typing import Any, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import findings
from ansible_collections.condafleet.core.plugins.module_utils.mappings import at
from ansible_collections.condafleet.core.plugins.module_utils.node_names import folded

KEYS = ("level", "run", "verdict", "identity", "findings")


def checks_report(data: Mapping[str, Any]) -> Optional[dict[str, Any]]:
    """{level, run, verdict, counts, identity, findings} of a host's record of this run; None where it has none."""
    record = at(data, "checks")
    if not record:
        return None
    return {**{key: record.get(key) for key in KEYS}, "counts": findings.summary(record["findings"])}


def last_bad_verdict(data: Mapping[str, Any], trainings: Mapping[str, Mapping[str, Any]]) -> Optional[str]:
    """FAIL or ERROR where that is what the last validation of a node, as it was observed, came to; else None.

    `trainings` is what validation_report makes of the host. Only what the plan wants looked at again counts: nothing
    where validation is switched off, nor what an environment's former generation came to.
    """
    planned = at(data, "plan")
    found = [at(data, "observed", "checked").get("verdict")] if planned.get("checks") else []
    for name, wanted in at(planned, "validation").items():
        told = at(trainings, name, "frameworks")
        found += [told[one].get("verdict") for one in wanted if one in told]
    return next((verdict for verdict in findings.BAD if verdict in found), None)


def fleet_checks(hosts: Mapping[str, Mapping[str, Any]], figures: list[dict[str, Any]]) -> Optional[dict[str, Any]]:
    """{summary: {VERDICT: hosts}, odd: [sentence], figures} of the hosts' reports; None where none was checked.

    `figures` are what fleet_verdicts.py found of each check and kind of node.
    """
    checked = {name: host["checks"] for name, host in hosts.items() if host.get("checks")}
    if not checked:
        return None
    verdicts = [one["verdict"] for one in checked.values()]
    summary = {verdict: verdicts.count(verdict) for verdict in findings.ORDER}
    return {"summary": summary, "odd": odd(checked), "figures": list(figures)}


def odd(checked: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One sentence for each check that nodes did not pass, FAIL first, the one with most nodes first."""
    groups: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for host, one in sorted(checked.items()):
        for finding in one["findings"]:
            if finding["verdict"] in findings.BAD:
                groups.setdefault((finding["verdict"], finding["check"]), {}).setdefault(host, finding)
    order = sorted(groups.items(), key=lambda item: (findings.BAD.index(item[0][0]), -len(item[1]), item[0][1]))
    return [_sentence(verdict, check, members, len(checked)) for (verdict, check), members in order]


def _sentence(verdict: str, check: str, members: Mapping[str, Mapping[str, Any]], count: int) -> str:
    host, first = next(iter(members.items()))
    reasons = {str(one["reason"]) for one in members.values()}
    where = "" if first["subject"] == "node" else " (%s)" % first["subject"]
    shown = where if len(members) == 1 else (", on %s%s" % (host, where) if len(reasons) > 1 else "")
    return "%s %s: %d of %d: %s%s: %s. Next: %s." % (
        *(verdict, check, len(members), count, folded(list(members)), shown),
        *(str(first[key]).rstrip(".") for key in ("reason", "next_step")),
    )
