# SPDX-License-Identifier: Apache-2.0
"""Decide what each node goes back to, over the whole fleet. Documented in plugins/modules/rollback.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.condafleet.core.plugins.module_utils import gate
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.generation_rollback import decide, steps
from ansible_collections.condafleet.core.plugins.plugin_utils.registered import mapping, of_host


class ActionModule(ActionBase):
    """Reads what each host has told of its generations; touches no node. To be run once for all hosts."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        args = self.validate_argument_spec(
            {
                "environments": {"type": "list", "elements": "str", "default": []},
                "to": {"type": "str"},
                "fleet": {"type": "list", "elements": "str", "required": True},
                "may_fail": {"type": "float", "default": 0.0},
                "facts": {"type": "str", "required": True},
            }
        )[1]
        told = {host: mapping(of_host(variables, host), args["facts"]) for host in args["fleet"]}
        seen = {host: one["conda"] for host, one in told.items() if one.get("conda")}
        try:
            decision = decide(seen, args["environments"], args["to"])
        except FleetError as error:
            return {**result, "failed": True, "msg": error.message}
        missing = {host: gate.reasons(one, []) for host, one in told.items() if host not in seen}
        missing.update(decision.missing)
        passage = gate.decide(gate.ROLLBACK, args["fleet"], missing, args["may_fail"])
        moves = {**{host: {} for host in args["fleet"]}, **steps(seen, decision)}
        if missing and passage["passed"]:
            for line in passage["text"].splitlines():
                Display().display(line)
        if not missing and not any(moves.values()):
            Display().display("Nothing is to be rolled back: %s." % _why(decision.kept))
        found = {"moves": moves, "missing": missing, "kept": decision.kept}
        return {**result, "changed": False, "rollback": found, "gate": passage, "msg": passage["text"]}


def _why(kept: Mapping[str, Mapping[str, str]]) -> str:
    said = sorted({"%s: %s" % item for some in kept.values() for item in some.items()})
    return "; ".join(said) or "no switch is noted on these nodes"
