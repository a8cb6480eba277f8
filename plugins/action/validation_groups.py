# SPDX-License-Identifier: Apache-2.0
"""Plan who is tried with whom, and judge it. Documented in plugins/modules/validation_groups.py."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.condafleet.core.plugins.module_utils import (
    collective_findings,
    collective_plan,
    findings,
)
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import asked
from ansible_collections.condafleet.core.plugins.module_utils.collective_plan import ALLREDUCE, PAIR, Node
from ansible_collections.condafleet.core.plugins.module_utils.mappings import at
from ansible_collections.condafleet.core.plugins.module_utils.node_names import folded
from ansible_collections.condafleet.core.plugins.plugin_utils.registered import mapping, of_host

# What the role's tasks register of each host, and of the last stage.
CHECKED, LOOKED, BROUGHT = "__validation_checked", "__validation_node", "__validation_brought"
STARTED, FINISHED, TRIED = "__validation_started", "__validation_finished", "__validation_tried"


class ActionModule(ActionBase):
    """Reads what the tasks before left in the hosts' variables; touches no node. To be run once for all hosts."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        args = self.validate_argument_spec(
            {
                "stage": {"type": "str", "choices": ["plan", "begun", "next", "judge"], "required": True},
                "hosts": {"type": "list", "elements": "str", "required": True},
                "deviations": {"type": "float"},
                "gap_percent": {"type": "float"},
            }
        )[1]
        tried = mapping(variables, TRIED) if args["stage"] != "plan" else {}
        known = {host: of_host(variables, host) for host in tried.get("hosts", args["hosts"])}
        if not tried:
            # Of a play with `serial`, an earlier batch has left the same variables behind.
            alive = set(variables.get("ansible_play_batch") or known)
            known = {host: one for host, one in known.items() if takes_part(one, host in alive)}
        nodes = {host: node_of(one) for host, one in known.items()}
        played = list(tried.get("played") or [])
        if args["stage"] == "begun":
            return {**result, "changed": False, "in_vain": in_vain(known, tried.get("attempts") or [])}
        if args["stage"] == "judge":
            found = (
                {host: untried(node) for host, node in nodes.items()}
                if self._task.check_mode
                else collective_findings.findings_of(nodes, played, args["deviations"], args["gap_percent"])
            )
            gone = sorted(host for host in nodes if host not in set(variables.get("ansible_play_hosts") or nodes))
            return {**result, "changed": False, "findings": found, "gone": gone}
        for attempt in tried.get("attempts") or []:
            results = {host: result_of(known[host], str(attempt["token"])) for host in attempt["members"]}
            played.append({**attempt, "results": results})
        bounds = args["deviations"], args["gap_percent"]
        attempts = [] if self._task.check_mode else planned(nodes, played, *bounds)
        for line in said(attempts):
            Display().display(line)
        parts = {host: number for number, attempt in enumerate(attempts) for host in attempt["members"]}
        state = {"hosts": list(nodes), "attempts": attempts, "parts": parts, "played": played}
        return {**result, "changed": False, **state}


def node_of(known: Mapping[str, Any]) -> Node:
    """What of a host's variables says whether, and with whom, it is tried."""
    declared = at(known, CHECKED, "declared")
    models = {str(gpu.get("name")) for gpu in at(known, LOOKED, "identity").get("gpus") or []}
    wanted = asked(declared["level"], declared["checks"], models.pop() if len(models) == 1 else None)
    told = mapping(known, BROUGHT)
    return Node(
        group=declared["group"],
        port=declared["port"],
        pair_rounds=declared["pair_rounds"],
        environment=declared["speed_environment"],
        asked={name: one for name, one in wanted.items() if name in (ALLREDUCE, PAIR)},
        brought=told.get("brought"),
        gone=str(told.get("msg") or ""),
        deviations=float(declared["deviations"]),
        gap_percent=float(declared["gap_percent"]),
    )


def takes_part(known: Mapping[str, Any], alive: bool) -> bool:
    """Whether a host was asked what it brings, in this batch: one that could not be reached is told of too."""
    told = mapping(known, BROUGHT)
    return bool(told) and (alive or bool(told.get("unreachable")))


def untried(node: Node) -> list[dict[str, Any]]:
    """What check mode says of a host."""
    why = "check mode puts no load on a node"
    return [findings.skipped(one.check, node.group, why, "run it without check mode") for one in node.asked.values()]


def planned(
    nodes: Mapping[str, Node], played: list[Any], deviations: float | None = None, gap_percent: float | None = None
) -> list[dict[str, Any]]:
    """The next attempts of all groups, each with a token of its own."""
    found = []
    for group in collective_plan.groups(nodes).values():
        for attempt in collective_plan.next_attempts(group, nodes, played, deviations, gap_percent):
            found.append({**attempt, "token": "%s-%s" % (attempt["kind"], secrets.token_hex(6))})
    return found


def in_vain(known: Mapping[str, Mapping[str, Any]], attempts: list[Mapping[str, Any]]) -> list[str]:
    """The hosts whose attempt lacks a member: it would wait for that one as long as all may take to join."""
    found = []
    for attempt in attempts:
        there = [host for host in attempt["members"] if began(known[host], str(attempt["token"]))]
        found += there if len(there) < len(attempt["members"]) else []
    return found


def began(known: Mapping[str, Any], token: str) -> bool:
    """Whether a host's part of this attempt was started."""
    started = mapping(known, STARTED)
    return started.get("token") == token and not started.get("refused") and not started.get("unreachable")


def result_of(known: Mapping[str, Any], token: str) -> dict[str, Any] | None:
    """What a host has told of this attempt; None where it has not: then it was not in the play any more."""
    started, finished = mapping(known, STARTED), mapping(known, FINISHED)
    for told in (started, finished):
        if told.get("unreachable"):
            return {"state": "unreachable", "reason": "it could not be reached any more: %s" % told.get("msg")}
    if started.get("token") != token:
        # Not in the play any more, or its start came to nothing: then Ansible has a message.
        return {"state": "refused", "reason": str(started["msg"])} if started.get("msg") else None
    if started.get("refused"):
        return {"state": "busy" if started.get("busy") else "refused", "reason": str(started["refused"])}
    if finished.get("token") == token and finished.get("result"):
        return dict(finished["result"])
    return {"state": "refused", "reason": str(finished.get("msg") or "its end could not be told")}


def said(attempts: list[Mapping[str, Any]]) -> list[str]:
    """What is about to be tried, in one line for each group, however many pairs of it are tried at once."""
    by_group: dict[str, list[Mapping[str, Any]]] = {}
    for attempt in attempts:
        by_group.setdefault(attempt["group"], []).append(attempt)
    lines = []
    for group, own in by_group.items():
        first = own[0]
        rounds = len(first["pairs"])
        what = "all-reduce over %s" % folded([host for one in own for host in one["members"]])
        if first["kind"] == collective_plan.ALONE:
            what += " in %d pairs, each by itself" % len(own)
        elif rounds:
            what += ", then in %d round%s of pairs" % (rounds, "" if rounds == 1 else "s")
        lines.append("%s: %s (at most %d s)" % (group, what, max(one["seconds"] for one in own)))
    return lines
