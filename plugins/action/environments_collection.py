# SPDX-License-Identifier: Apache-2.0
"""Follows a collection on the node, which may remove a million files. Documented with the module of this name."""

from __future__ import annotations

from typing import Any

from ansible_collections.condafleet.core.plugins.plugin_utils.follow import FollowingAction
from ansible_collections.condafleet.core.plugins.plugin_utils.shown import Shown, unfinished

MODULE = "condafleet.core.environments_collection"
DEFAULT_TIMEOUT = 3600


class ActionModule(FollowingAction):
    """One collection on one host."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args, task_vars = dict(self._task.args), task_vars or {}
        if self._task.check_mode or not args.get("root"):
            answer = self._execute_module(module_name=MODULE, module_args=args, task_vars=task_vars)
        else:
            answer = self._run(args, task_vars)
        return {**result, **answer}

    def _run(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        limit = int(args.get("timeout") or DEFAULT_TIMEOUT)
        shown = Shown("%s: collection" % task_vars.get("inventory_hostname", "?"))
        outcome = self.follow(MODULE, args, task_vars, name="collection", limit=limit, show=shown.show)
        if outcome.answer is not None:
            return outcome.answer
        return {
            "failed": True,
            "changed": True,
            "msg": "environments_timeout: the collection did not end within %d seconds; %s Everything in use stays as "
            "it is. Next: run again, which goes on where this ended, or raise environments_timeout."
            % (limit, unfinished(outcome)),
        }
