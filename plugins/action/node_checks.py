# SPDX-License-Identifier: Apache-2.0
"""Looks at a node, as a job where that takes long. Documented in plugins/modules/node_checks.py."""

from __future__ import annotations

from typing import Any

from ansible_collections.condafleet.core.plugins.module_utils.declare_checks import check_checks
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.node_limits import job_limit, silence, takes_long
from ansible_collections.condafleet.core.plugins.module_utils.validation_scripts import read_scripts
from ansible_collections.condafleet.core.plugins.plugin_utils.follow import FollowingAction
from ansible_collections.condafleet.core.plugins.plugin_utils.shown import Shown, unfinished

MODULE = "condafleet.core.node_checks"


class ActionModule(FollowingAction):
    """One node: what it tells of itself in one call, or as a job that is followed where it is put under load."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = dict(self._task.args)
        try:
            # In the module's words of options the same as in the role's variables.
            declared = check_checks(
                {key: args[key] for key in ("level", "checks", "mounts", "xid_hours") if key in args}
            )
        except FleetError as error:
            return {**result, "failed": True, "changed": False, "msg": error.message}
        args["checks"] = declared["checks"]
        if not takes_long(declared["level"], declared["checks"]) or self._task.check_mode:
            answer: dict[str, Any] = self._execute_module(module_name=MODULE, module_args=args, task_vars=task_vars)
            return {**result, **answer}
        args["scripts"] = args.get("scripts") or read_scripts()
        who = str(task_vars.get("inventory_hostname", "?"))
        limit = job_limit(declared["level"], declared["checks"], len(declared["mounts"]))
        quiet = silence(declared["level"], declared["checks"])
        outcome = self.follow(
            MODULE, args, task_vars, name="node-checks", limit=limit, show=Shown(who).show, variable="validation_root",
            silence=quiet,
        )  # fmt: skip
        if outcome.answer is not None:
            return {**result, **outcome.answer}
        return {
            **result,
            "failed": True,
            "changed": False,
            "msg": "validation_checks: looking at %s %s; %s "
            "Next: look at the node's load, disks and driver, or give the check that takes longer another timeout."
            % (
                who,
                "came no further within %d seconds, more than its longest check may take" % quiet
                if outcome.silent
                else "did not end within %d seconds, the sum of its checks' limits" % limit,
                unfinished(outcome),
            ),
        }
