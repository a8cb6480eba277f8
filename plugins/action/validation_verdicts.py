# SPDX-License-Identifier: Apache-2.0
"""Judge all nodes of a run, and compare them with each other. Documented in plugins/modules/validation_verdicts.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.condafleet.core.plugins.module_utils import findings
from ansible_collections.condafleet.core.plugins.module_utils.clock import now
from ansible_collections.condafleet.core.plugins.module_utils.fleet_verdicts import compare, merged
from ansible_collections.condafleet.core.plugins.module_utils.hook_command import bad_checks
from ansible_collections.condafleet.core.plugins.module_utils.mappings import at
from ansible_collections.condafleet.core.plugins.module_utils.node_findings import (
    CHECKED,
    JUDGED,
    LOOKED,
    Known,
    complaint,
    complaints,
    known_of,
    record,
    with_former,
)
from ansible_collections.condafleet.core.plugins.plugin_utils.registered import mapping, of_host, told_once


class ActionModule(ActionBase):
    """Reads what the earlier steps left in the hosts' variables; touches no node. To be run once for all hosts."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        args = self.validate_argument_spec(
            {
                "hosts": {"type": "list", "elements": "str"},
                "deviations": {"type": "float"},
                "gap_percent": {"type": "float"},
            }
        )[1]
        asked = args["hosts"] or variables.get("ansible_play_hosts_all") or []
        # Not those that need not prove themselves: what a site does by a verdict is not for them.
        everyone = [host for host in asked if at(of_host(variables, host), CHECKED, "declared").get("enabled", True)]
        alive = set(variables.get("ansible_play_batch") or [])
        raw = {host: of_host(variables, host) for host in everyone}
        # The others of a play with `serial` have not come to it yet, or have been judged with their own batch.
        known = {
            host: known_of(raw[host], host in alive) for host in everyone if host in alive or mapping(raw[host], LOOKED)
        }
        told = _told(raw.values())
        fleet = compare({host: one.node for host, one in known.items()}, args["deviations"], args["gap_percent"])
        verdicts = {
            host: judged(one, fleet.changed[host], raw[host], fleet.judged_by[host])
            for host, one in known.items()
            if host in alive or host not in told
        }
        run = now()
        # Nobody can keep a record on a node that dropped out; what it had come to is reported all the same.
        lost = {
            host: {**record(known[host], one, run, run), "verdict": one["verdict"], "lost": True}
            for host, one in verdicts.items()
            if host not in alive and known[host].identity
        }
        result.update(changed=False, run=run, verdicts=verdicts, lost=lost, figures=fleet.figures, msg=said(verdicts))
        return result


def judged(
    known: Known, changed: list[dict[str, Any]], variables: Mapping[str, Any], by: Sequence[int] = ()
) -> dict[str, Any]:
    """{verdict, findings, complaints, complaint, bad, judged_by} of one host. Of its findings, those that are not its
    own words: what the fleet and the former generation say. The record has them all."""
    own = known.node.findings
    whole = with_former(merged(own, changed), variables)
    untouched = {id(one) for one in own}
    verdict = findings.overall([*(one["verdict"] for one in whole), *([findings.ERROR] if known.lost else [])])
    sentences = complaints(whole, known.lost)
    return {
        "verdict": verdict,
        "findings": [one for one in whole if id(one) not in untouched],
        "complaints": sentences,
        "complaint": complaint(verdict, sentences),
        "bad": bad_checks(whole),
        "judged_by": list(by),
    }


def said(verdicts: Mapping[str, Mapping[str, Any]]) -> str:
    """How many hosts have which verdict, in one line."""
    found = [one["verdict"] for one in verdicts.values()]
    counts = ", ".join("%d %s" % (found.count(verdict), verdict) for verdict in findings.ORDER if verdict in found)
    return "%d host%s: %s" % (len(found), "" if len(found) == 1 else "s", counts or "none judged")


def _told(known: Any) -> set[str]:
    """The hosts that an earlier batch has judged: whoever dropped out of it is told of, and acted on, once."""
    return {host for earlier in told_once(known, JUDGED) for host in mapping(earlier, "verdicts")}
