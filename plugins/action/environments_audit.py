# SPDX-License-Identifier: Apache-2.0
"""Hands the audit of a node to the wrapper. Documented with the module of this name."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

HANDED = ("environments", "fields", "absent", "accepted", "tos")


class ActionModule(ActionBase):
    """One call of the module; changes nothing."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        result.update(
            self._execute_module(
                module_name="condafleet.core.environments_audit", module_args=dict(self._task.args), task_vars=task_vars
            )
        )
        if not result.get("failed"):
            data = {"condafleet": {"audit": {key: result[key] for key in HANDED}}}
            result["ansible_stats"] = {"data": data, "per_host": True, "aggregate": True}
        return result
