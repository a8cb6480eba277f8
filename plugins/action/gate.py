# SPDX-License-Identifier: Apache-2.0
"""Count who can go on, over the whole fleet, and say why the others can't. Documented in plugins/modules/gate.py."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.condafleet.core.plugins.module_utils import gate
from ansible_collections.condafleet.core.plugins.plugin_utils.registered import mapping, of_host

# What the roles register before the gate, in the order in which it happens.
RESULTS = (
    "__miniconda_installation",
    "__shell_init_done",
    "__environments_fetched",
    "__environments_built",
    "__environments_tested",
    "__environments_not_staged",
)


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
                "after": {"type": "str", "choices": [gate.PLAN, gate.STAGE], "required": True},
                "fleet": {"type": "list", "elements": "str", "required": True},
                "may_fail": {"type": "float", "default": 0.0},
                "plan": {"type": "str", "required": True},
                "staged": {"type": "str", "default": "__environments_staged"},
            }
        )[1]
        missing = {}
        for host in args["fleet"]:
            known = of_host(variables, host)
            plan = mapping(known, args["plan"])
            if not gate.present(args["after"], plan, known.get(args["staged"]) is True):
                missing[host] = gate.reasons(plan, [mapping(known, name) for name in RESULTS])
        decision = gate.decide(args["after"], args["fleet"], missing, args["may_fail"])
        if missing and decision["passed"]:
            # A task that is well says nothing by itself, and these nodes should be seen. The stop says it otherwise.
            for line in decision["text"].splitlines():
                Display().display(line)
        return {**result, "changed": False, "gate": decision, "msg": decision["text"]}
