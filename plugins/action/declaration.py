# SPDX-License-Identifier: Apache-2.0
"""Check what a role was given, on the controller. Documented in plugins/modules/declaration.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.condafleet.core.plugins.module_utils import catalog as known
from ansible_collections.condafleet.core.plugins.module_utils.access import Access
from ansible_collections.condafleet.core.plugins.module_utils.declaration import (
    CHECKS,
    check,
    depot_summary,
    reads_nothing,
)
from ansible_collections.condafleet.core.plugins.module_utils.declare_access import check_access
from ansible_collections.condafleet.core.plugins.module_utils.depot_manifest import read_manifest
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError, InputError
from ansible_collections.condafleet.core.plugins.plugin_utils.reading import folders_of
from ansible_collections.condafleet.core.plugins.plugin_utils.secrets import hosts_of

CATALOG = Path(__file__).parents[2] / "roles" / "miniconda" / "files" / "installers.json"


class ActionModule(ActionBase):
    """Reads what is named, from the catalog to a private CA, and calls a pure check; no node is touched."""

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
        role, values = args["role"], args["values"]
        manifest: dict[str, Any] | None = None
        catalog: dict[str, Any] = {}
        try:
            if not reads_nothing(role, values):
                # Only whether it is well-formed: the check itself sees none of it.
                hosts_of(self._templar, task_vars or {}, values.get("auth_variable"))
                values = with_files(role, values, [Path(folder) for folder in folders_of(task_vars or {})])
                access = Access.of(check_access(values, role))
                manifest = read_manifest(values.get("depot_url"), values.get("depot_sha256"), access)
                catalog = read_catalog(values.get("catalog")) if role == "miniconda" else {}
            declared = check(role, values, catalog, manifest)
        except FleetError as error:
            return {**result, "failed": True, "changed": False, "msg": error.message}
        result.update(changed=False, declared=declared, depot=depot_summary(values.get("depot_url"), manifest))
        return result


def with_files(role: str, values: dict[str, Any], folders: list[Path]) -> dict[str, Any]:
    """The values with absolute paths of the controller's files that they name, and the text of the private CA."""
    found = dict(values)
    for name in ("ca", "catalog", "installer_path"):
        if isinstance(values.get(name), str) and values[name]:
            found[name] = str(existing(f"{role}_{name}", values[name], folders))
    if isinstance(found.get("ca"), str) and found["ca"]:
        found["ca_text"] = read_text(f"{role}_ca", found["ca"])
    return found


def existing(variable: str, given: str, folders: list[Path]) -> Path:
    """The file; a relative path is looked for beside the inventory, then beside the playbook."""
    places = [folder / Path(given).expanduser() for folder in folders]
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(str(place.parent) for place in dict.fromkeys(places))
    raise InputError(variable, given, "a file on the controller", f"correct the path (looked for in {looked})")


def read_catalog(own: str | None) -> dict[str, Any]:
    """The catalog, with the site's own over it where one is declared."""
    built_in: dict[str, Any] = json.loads(CATALOG.read_text(encoding="utf-8"))
    if not own:
        return built_in
    try:
        content = json.loads(read_text("miniconda_catalog", own))
    except ValueError as error:
        raise InputError(
            "miniconda_catalog", f"{own} (no JSON: {error})", "a catalog", "write it by `condafleet catalog add`"
        ) from error
    return known.merge(built_in, known.check("miniconda_catalog", own, content))


def read_text(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise InputError(variable, f"{path} ({why})", "a file that the controller can read", "correct it") from error
