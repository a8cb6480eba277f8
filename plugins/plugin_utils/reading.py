# SPDX-License-Identifier: Apache-2.0
"""What the controller reads: YAML, and files that a declaration names. The nodes have the standard library only."""

from __future__ import annotations

import os
from typing import Any

import yaml


def read_yaml(text: str) -> Any:
    """As yaml.safe_load; with libyaml, where PyYAML has it, ten times faster."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders


def folders_of(variables: dict[str, Any]) -> list[str]:
    """Where relative paths are looked for: beside the inventory, beside the playbook, in the role's files."""
    files = os.path.join(variables["role_path"], "files") if variables.get("role_path") else None
    found = [variables.get("inventory_dir"), variables.get("playbook_dir"), files]
    return [os.path.abspath(folder) for folder in found if folder] or [os.getcwd()]
