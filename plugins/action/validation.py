# SPDX-License-Identifier: Apache-2.0
"""Sends the training scripts along, and hands the verdict to the report. Documented in plugins/modules/validation.py."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.condafleet.core.plugins.module_utils.validation_scripts import read_scripts

MODULE = "condafleet.core.validation"


class ActionModule(ActionBase):
    """One environment with one framework on one host."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        args["scripts"] = args.get("scripts") or read_scripts()
        result.update(self._execute_module(module_name=MODULE, module_args=args, task_vars=task_vars or {}))
        if not result.get("failed") and result.get("result") and not self._task.check_mode:
            entry = {args["environment"]: {args["framework"]: result["result"]}}
            result["ansible_stats"] = {
                "data": {"condafleet": {"validation": entry}},
                "per_host": True,
                "aggregate": True,
            }
        return result
