# SPDX-License-Identifier: Apache-2.0
"""The audit of a fleet: every list of packages once, with who has it, and what has to be looked at. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.channel_terms import needs_terms

SCHEMA_VERSION = 1
STATUSES = ("ok", "failed", "unreachable")


def judge(packages: Sequence[Mapping[str, Any]], tos: str, accepted: Sequence[str]) -> Dict[str, List[str]]:
    """{defaults, not_accepted, without_license}: names of packages, each sorted.

    `defaults` are those from channels under Anaconda's terms, `not_accepted` those of them whose terms neither the
    declaration (`tos`) nor the installation's own record (`accepted`, addresses of channels) says were accepted.
    """
    under = [one for one in packages if one["channel"] and needs_terms(str(one["channel"]))]
    return {
        "defaults": _names(under),
        "not_accepted": [] if tos == "accept" else _names(one for one in under if one["channel"] not in accepted),
        "without_license": _names(one for one in packages if not one["license"]),
    }


def findings(name: str, judged: Mapping[str, Sequence[str]]) -> List[str]:
    """What there is to say of one environment, in sentences; nothing where all is in order."""
    said = []
    if judged["defaults"]:
        terms = "whose terms were not accepted" if judged["not_accepted"] else "whose terms were accepted"
        said.append("%s: from Anaconda's channels, %s: %s" % (name, terms, ", ".join(judged["defaults"])))
    if judged["without_license"]:
        said.append("%s: without a statement of their licence: %s" % (name, ", ".join(judged["without_license"])))
    return said


def build_audit(
    hosts: Mapping[str, Mapping[str, Any]], started: str, ended: str, condafleet_version: str
) -> Dict[str, Any]:
    """The audit (schema_version 1) of {NAME: {status, message, audit: what the action handed over, or None}}.

    {schema_version, condafleet_version, started, ended, fleet: {hosts, ok, failed, unreachable, lists, defaults,
    not_accepted, without_license}, hosts: {NAME: {status, message, environments: {ENV: {generation, target, list}},
    absent}}, lists: {LIST: {environments: [names], hosts: [names], packages, defaults, not_accepted,
    without_license}}}. The numbers of `fleet` are of different packages. Terms are a node's own affair: nodes with the
    same packages and different terms have different lists.
    """
    lists: Dict[str, Dict[str, Any]] = {}
    told = {name: _host(name, host, lists) for name, host in sorted(hosts.items())}
    for one in lists.values():
        one["environments"] = sorted(set(one["environments"]))
        one["hosts"] = sorted(set(one["hosts"]))
    kinds = ("defaults", "not_accepted", "without_license")
    return {
        "schema_version": SCHEMA_VERSION,
        "condafleet_version": condafleet_version,
        "started": started,
        "ended": ended,
        "fleet": {
            "hosts": len(told),
            **{status: sum(host["status"] == status for host in told.values()) for status in STATUSES},
            "lists": len(lists),
            **{kind: len({key for one in lists.values() for key in _keys(one, kind)}) for kind in kinds},
        },
        "hosts": told,
        "lists": dict(sorted(lists.items(), key=lambda item: (item[1]["environments"], item[0]))),
    }


def audit_summary(audit: Mapping[str, Any]) -> str:
    """One line: what was looked at, and what was found."""
    fleet = audit["fleet"]
    counts = "%d from Anaconda's channels (%d without accepted terms), %d without licence" % (
        fleet["defaults"],
        fleet["not_accepted"],
        fleet["without_license"],
    )
    looked = [_count(fleet["hosts"], "host"), _count(fleet["lists"], "list")]
    return "%s of packages: %s" % (", ".join(looked), counts)


def _count(number: int, what: str) -> str:
    return "%d %s%s" % (number, what, "" if number == 1 else "s")


def _host(name: str, host: Mapping[str, Any], lists: Dict[str, Dict[str, Any]]) -> Dict[str, Any]:
    audited = host.get("audit") or {}
    environments = {}
    for environment, one in sorted((audited.get("environments") or {}).items()):
        packages = [dict(zip(audited["fields"], row)) for row in one["packages"]]
        judged = judge(packages, audited["tos"], audited["accepted"])
        key = hashlib.sha256(json.dumps([one["packages"], judged["not_accepted"]]).encode("utf-8")).hexdigest()[:12]
        entry = lists.setdefault(key, {"environments": [], "hosts": [], "packages": packages, **judged})
        entry["environments"].append(environment)
        entry["hosts"].append(name)
        environments[environment] = {"generation": one["generation"], "target": one["target"], "list": key}
    return {
        "status": host["status"] if host["status"] in STATUSES else "ok",
        "message": host.get("message"),
        "environments": environments,
        "absent": list(audited.get("absent") or []),
    }


def _keys(entry: Mapping[str, Any], kind: str) -> List[Tuple[str, str, str]]:
    named = set(entry[kind])
    return [(one["manager"], one["name"], one["version"]) for one in entry["packages"] if one["name"] in named]


def _names(packages: Any) -> List[str]:
    return sorted({str(one["name"]) for one in packages})
