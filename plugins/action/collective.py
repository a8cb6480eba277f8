# SPDX-License-Identifier: Apache-2.0
"""Sends the script along, and follows a node's part to its end. Documented in plugins/modules/collective.py."""

from __future__ import annotations

import json
import time
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.condafleet.core.plugins.module_utils.collective_job import SCRIPT
from ansible_collections.condafleet.core.plugins.module_utils.validation_scripts import read_scripts
from ansible_collections.condafleet.core.plugins.plugin_utils.shown import Shown

MODULE = "condafleet.core.collective"
FIRST_SECONDS, POLL_SECONDS = 1.0, 2.0
# The guard on the node ends the job at its own deadline; this is how long it may take for that.
BESIDE_SECONDS = 20
# Progress, then whether the job has ended, still has its guard, or neither.
LOOK = (
    'cd %s/"$(uname -n)"/%s 2>/dev/null || { echo; echo gone; exit 0; }; '
    "[ -f work/progress.json ] && head -c 2000 work/progress.json; echo; "
    "pid=$(sed -n 's/.*\"pid\": \\([0-9]*\\).*/\\1/p' guard.json 2>/dev/null); "
    'if [ -e ended.json ]; then echo ended; elif [ -n "$pid" ] && [ -d /proc/$pid ]; then echo runs; else echo gone; fi'
)


class ActionModule(ActionBase):
    """One node's part."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = dict(self._task.args)
        state = args.get("state")
        if state == "started" and not args.get("scripts"):
            args["scripts"] = {SCRIPT: read_scripts()[SCRIPT]}
        waits = boolean(args.get("wait", True), strict=False)
        if state == "finished" and waits and not self._task.check_mode and args.get("token") and args.get("root"):
            self._wait(args, str(task_vars.get("inventory_hostname", "?")))
        answer: dict[str, Any] = self._execute_module(module_name=MODULE, module_args=args, task_vars=task_vars)
        return {**result, **answer}

    def _wait(self, args: dict[str, Any], who: str) -> None:
        """Until the job has ended, at most as long as it may take; the module then ends whatever is left."""
        shell = self._connection._shell
        above = shell.join_path(str(args["root"]), "validation", ".collective")
        look = LOOK % (shell.quote(above), shell.quote(str(args["token"])))
        shown = Shown(who) if args.get("show") else None
        limit = int(args.get("seconds") or 600) + BESIDE_SECONDS
        begun = time.monotonic()
        pause = FIRST_SECONDS
        while time.monotonic() - begun < limit:
            said = self._low_level_execute_command(look)
            lines = str(said.get("stdout") or "").strip().splitlines()
            if not lines or lines[-1] != "runs":
                return
            if shown:
                shown.show(_record(lines[0]), time.monotonic() - begun)
            time.sleep(pause)
            pause = POLL_SECONDS


def _record(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return {"step": "all-reduce", "message": "starting"}
    return {"step": "all-reduce", "message": "%s %s" % (found.get("step"), found.get("message") or "")}
