# SPDX-License-Identifier: Apache-2.0
"""Keep what a node's validation came to, on the node. Documented in plugins/modules/validation_record.py."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.condafleet.core.plugins.module_utils import fleet_memory
from ansible_collections.condafleet.core.plugins.module_utils.clock import now
from ansible_collections.condafleet.core.plugins.module_utils.node_findings import JUDGED, known_of, record
from ansible_collections.condafleet.core.plugins.plugin_utils.registered import mapping, of_host

MODULE = "condafleet.core.validation_record"


class ActionModule(ActionBase):
    """Makes the record of what the host's variables hold and the fleet said, and sends it to the node."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        args = dict(self._task.args)
        judged = args.pop("judged", None) or {}
        if "record" not in args:
            left = of_host(variables, str(variables["inventory_hostname"]))
            known = known_of(left)
            ended = now()
            run = str(args.pop("run", None) or ended)
            args["record"] = record(known, judged, run, ended)
            figures = mapping(left, JUDGED).get("figures") or []
            by, found = judged.get("judged_by") or [], args["record"]["findings"]
            args["learnt"] = fleet_memory.to_keep(known.node.learnt, figures, by, found, run)
        result.update(self._execute_module(module_name=MODULE, module_args=args, task_vars=task_vars))
        # It holds the record once more, which would double what a fleet's run has to carry.
        result.pop("invocation", None)
        # Also where the node could not keep it: what was found is reported all the same.
        result.update(record=args["record"], complaint=judged.get("complaint"))
        return result
