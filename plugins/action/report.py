# SPDX-License-Identifier: Apache-2.0
"""Write the report of a run, on the controller. Documented in plugins/modules/report.py."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.clock import now
from ansible_collections.condafleet.core.plugins.module_utils.report_gate import decisions_of, missing_nodes
from ansible_collections.condafleet.core.plugins.module_utils.report_hosts import (
    PLAN,
    READ_BY_REPORT,
    began,
    fleet_figures,
    host_data,
    host_status,
    lost_records,
    refused,
)
from ansible_collections.condafleet.core.plugins.module_utils.results import build_report, report_summary
from ansible_collections.condafleet.core.plugins.plugin_utils.collection import collection_version
from ansible_collections.condafleet.core.plugins.plugin_utils.registered import of_host


class ActionModule(ActionBase):
    """Reads what the earlier steps left in the hosts' variables; touches no node."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        args = self.validate_argument_spec(
            {
                "path": {"type": "str", "required": True},
                "started": {"type": "str"},
                "hosts": {"type": "list", "elements": "str"},
            }
        )[1]
        path = os.path.abspath(os.path.expanduser(args["path"]))
        if os.path.isdir(path):
            raise AnsibleActionFail(
                "path: %s is not accepted, it is a folder. Accepted: a file. "
                "Next: set condafleet_report_path to a file, such as report.json." % path
            )
        report = self._report(variables, args)
        # A report is no part of the fleet's state: it holds times, and must not make a converged run "changed".
        result.update(changed=False, path=path, report=report, summary=report_summary(report))
        if not self._task.check_mode:
            try:
                text = json.dumps(report, indent=2, sort_keys=False, ensure_ascii=False) + "\n"
                # Half a surrogate in what a tool has said would cost the whole report.
                _write(path, text.encode("utf-8", "replace").decode("utf-8"))
            except OSError as error:
                raise AnsibleActionFail(
                    "path: %s can't be written: %s. Accepted: a file in a folder that you may write to. "
                    "Next: set condafleet_report_path." % (path, error.strerror)
                ) from error
        return result

    def _report(self, variables: dict[str, Any], args: dict[str, Any]) -> dict[str, Any]:
        everyone = args["hosts"] or variables.get("ansible_play_hosts_all") or []
        play = set(variables.get("ansible_play_hosts_all") or [])
        alive = set(variables.get("ansible_play_hosts") or [])
        hosts: dict[str, Any] = {}
        read: list[dict[str, Any]] = []
        gate = decisions_of(variables)
        missing = missing_nodes(gate)
        for name in everyone:
            known = of_host(variables, name)
            if name not in play and PLAN not in known:
                continue  # this run is not about it
            left = {key: known[key] for key in READ_BY_REPORT if key in known}
            read.append(left)
            # Those that had left before this play were converged; one that has just been refused still takes part.
            here = (name in alive or name not in play) and not (refused(left) and not self._task.check_mode)
            status, message = host_status(left, here, missing.get(name))
            done = here and not self._task.check_mode
            hosts[name] = {"status": status, "message": message, "data": host_data(left, done)}
        ended = now()
        for name, record in lost_records(read).items():
            if name in hosts:
                hosts[name]["data"].setdefault("checks", record)
        figures = fleet_figures(read)
        started = args["started"] or began((of_host(variables, name) for name in hosts), ended)
        return build_report(hosts, started, ended, collection_version(), gate, figures)


def _write(path: str, text: str) -> None:
    if os.path.exists(path) and not os.path.isfile(path):
        # A device or a pipe, such as /dev/null: a file in its place would be in every other program's way.
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    files.write_atomic(path, text)
