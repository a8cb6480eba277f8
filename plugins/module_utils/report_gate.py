# SPDX-License-Identifier: Apache-2.0
"""The gate's part of a report: who was missing where, in groups, and each of those nodes' reasons. Pure."""

from __future__ import annotations

from typing import Any, Dict, Mapping

KEPT = ("hosts", "missing", "may_fail", "passed", "groups")
# What the role environments registers at the gate, before anything is downloaded and after staging, and at a rollback.
REGISTERED = ("__environments_admitted", "__environments_gate", "__environments_rollback")


def gate_report(decisions: Mapping[str, Mapping[str, Any]]) -> Dict[str, Dict[str, Any]]:
    """{plan: {hosts, missing, may_fail, passed, groups}, stage: …, rollback: …} of the gates that the run came to."""
    return {after: {key: decision[key] for key in KEPT} for after, decision in decisions.items()}


def decisions_of(variables: Mapping[str, Any]) -> Dict[str, Dict[str, Any]]:
    """The decisions that a host's variables hold; every host of a play has the same."""
    found = {}
    for name in REGISTERED:
        decision = (variables.get(name) or {}).get("gate")
        if decision:
            found[str(decision["after"])] = dict(decision)
    return found


def missing_nodes(decisions: Mapping[str, Mapping[str, Any]]) -> Dict[str, str]:
    """{node: why it is missing}, as the gate says it for its group."""
    found: Dict[str, str] = {}
    for decision in decisions.values():
        for group in decision["groups"]:
            for node in group["nodes"]:
                found[node] = "%s %s" % (found[node], group["text"]) if node in found else group["text"]
    return found
