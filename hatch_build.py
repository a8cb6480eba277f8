"""Put the collection into the wheel; an editable install reads the clone's, and a copy would grow stale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PARTS = ("plugins", "roles", "playbooks", "meta/runtime.yml", "galaxy.yml")


class CollectionInWheel(BuildHookInterface):
    """Ansible finds ansible_collections/ in site-packages by itself."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the parts to a standard wheel, not to an editable one."""
        if version == "standard":
            root = Path(self.root)
            for part in PARTS:
                build_data["force_include"][str(root / part)] = f"ansible_collections/condafleet/core/{part}"
