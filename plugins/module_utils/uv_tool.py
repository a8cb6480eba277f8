# SPDX-License-Identifier: Apache-2.0
"""The uv program on a node: unpacked from the depot's wheel, whose sha256 the controller gave."""

from __future__ import annotations

import os
import zipfile
from typing import Any, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import download, files, origins
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError


def uv_path(root: str, sha256: str) -> str:
    return os.path.join(root, "tools", "uv-" + sha256[:12], "uv")


def ensure_uv(
    root: str,
    tools: Optional[Mapping[str, Any]],
    platform: str,
    depot_url: Optional[str],
    access: Optional[download.Access] = None,
) -> Optional[str]:
    """The uv program for this platform, fetched and unpacked once; None where the depot has none (pip is used then).

    `tools` is the depot manifest's: {"uv": {PLATFORM: {version, path, sha256}}}.
    """
    entry = ((tools or {}).get("uv") or {}).get(platform)
    if not entry or not depot_url:
        return None
    program = uv_path(root, entry["sha256"])
    if os.access(program, os.X_OK):
        return program
    folder = os.path.dirname(program)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    wheel = os.path.join(folder, os.path.basename(entry["path"]))
    download.fetch(origins.join(depot_url, entry["path"]), wheel, sha256=entry["sha256"], access=access)
    with zipfile.ZipFile(wheel) as archive:
        inside = [name for name in archive.namelist() if name.endswith(".data/scripts/uv")]
        if len(inside) != 1:
            raise FleetError("tools: %s holds no program uv. Next: build the depot again." % entry["path"])
        files.write_atomic(program, archive.read(inside[0]), 0o755)
    files.remove_quietly(wheel)
    return program
