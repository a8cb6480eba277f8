# SPDX-License-Identifier: Apache-2.0
"""What is installed on a node, with channel and licence of each package: the installation and current generations."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import generations as gen
from ansible_collections.condafleet.core.plugins.module_utils import installations, tos_record
from ansible_collections.condafleet.core.plugins.module_utils.installed_packages import described_packages

# What the installation's own environment is called, as conda calls it.
BASE = "base"
FIELDS = ("manager", "name", "version", "build", "channel", "license")


def audit(prefix: str, root: str, names: Optional[Sequence[str]] = None) -> Dict[str, Any]:
    """{environments: {NAME: {generation, target, packages: [{…FIELDS}]}}, absent: [names], accepted: [channels]}.

    Of all current generations and of `base`, or of those `names` alone. `accepted` are the addresses of channels whose
    terms are recorded as accepted in the installation. Starts no program.
    """
    found: Dict[str, Dict[str, Any]] = {}
    if os.path.isdir(os.path.join(prefix, "conda-meta")):
        found[BASE] = {"generation": None, "target": None, "packages": described_packages(prefix)}
    for name in _links(prefix, root):
        if names is None or name in names:
            found[name] = _environment(prefix, root, name)
    if names is not None:
        found = {name: one for name, one in found.items() if name in names}
    return {
        "environments": found,
        "absent": sorted(set(names or ()).difference(found)),
        "accepted": tos_record.observe(prefix)["terms"]["accepted"],
    }


def _links(prefix: str, root: str) -> List[str]:
    """The environments that lead to a generation of this root, whole or not."""
    try:
        names = sorted(os.listdir(os.path.join(prefix, installations.ENVS)))
    except (FileNotFoundError, NotADirectoryError):
        return []
    states = {name: gen.link_state(prefix, root, name) for name in names if not name.startswith(".")}
    return [name for name, state in states.items() if state and state["generation"] and state["kind"] == "link"]


def _environment(prefix: str, root: str, name: str) -> Dict[str, Any]:
    generation = str((gen.link_state(prefix, root, name) or {})["generation"])
    path = os.path.join(gen.generations_dir(root), generation)
    receipt = gen.read_receipt(path) or {}
    packages = described_packages(path)
    sources = {one["name"]: one.get("source") for one in receipt.get("packages") or [] if one["manager"] == "pip"}
    for package in packages:
        if package["manager"] == "pip":
            package["channel"] = sources.get(package["name"])
    return {"generation": generation, "target": receipt.get("target"), "packages": packages}


def flattened(packages: Sequence[Mapping[str, Any]]) -> List[List[Any]]:
    """The packages as rows of FIELDS: half the size, where a fleet sends thousands."""
    return [[package[field] for field in FIELDS] for package in packages]
