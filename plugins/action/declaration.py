# SPDX-License-Identifier: Apache-2.0
"""Check what a role was given, on the controller. Documented in plugins/modules/declaration.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.condafleet.core.plugins.module_utils.declaration import CHECKS, check, depot_summary
from ansible_collections.condafleet.core.plugins.module_utils.depot_manifest import read_manifest
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

CATALOG = Path(__file__).parents[2] / "roles" / "miniconda" / "files" / "installers.json"


class ActionModule(ActionBase):
    """Reads the catalog and the depot's manifest, and calls a pure check; no node is touched."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = self.validate_argument_spec(
            {
                "role": {"type": "str", "required": True, "choices": sorted(CHECKS)},
                "values": {"type": "dict", "required": True},
            }
        )[1]
        values = args["values"]
        try:
            manifest = read_manifest(values.get("depot_url"), values.get("depot_sha256"))
            catalog = json.loads(CATALOG.read_text(encoding="utf-8")) if args["role"] == "miniconda" else {}
            declared = check(args["role"], values, catalog, manifest)
        except FleetError as error:
            return {**result, "failed": True, "changed": False, "msg": error.message}
        result.update(changed=False, declared=declared, depot=depot_summary(values.get("depot_url"), manifest))
        return result
