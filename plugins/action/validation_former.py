# SPDX-License-Identifier: Apache-2.0
"""Say which generations a node is to try again. Documented in plugins/modules/validation_former.py."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.condafleet.core.plugins.module_utils.former_generation import former_of


class ActionModule(ActionBase):
    """Reads what conda_facts observed; touches no node."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = self.validate_argument_spec(
            {
                "conda": {"type": "dict", "required": True},
                "jobs": {"type": "list", "elements": "dict", "required": True},
            }
        )[1]
        trainings = [job for job in args["jobs"] if job.get("kind", "train") == "train"]
        former = {job["environment"]: former_of(args["conda"], job["environment"]) for job in trainings}
        jobs = [{**job, "generation": former[job["environment"]].generation} for job in trainings]
        result.update(
            changed=False,
            jobs=[job for job in jobs if job["generation"]],
            missing={name: one.why for name, one in former.items() if one.why},
        )
        return result
