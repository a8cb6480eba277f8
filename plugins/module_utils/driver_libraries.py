# SPDX-License-Identifier: Apache-2.0
"""The user-space part of the NVIDIA driver: which versions of its libraries programs would load. Reads names only.

After a driver update without a reboot the libraries on disk are newer than the kernel module in memory, and no program
can use a GPU any more, though each part by itself looks fine.
"""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import files

# The management library comes with the driver only, while a CUDA library may also be a package for compatibility,
# which is newer than the driver on purpose.
LIBRARIES = ("libnvidia-ml.so.1", "libcuda.so.1")
FOLDERS = (
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib64",
    "usr/lib",
    "lib/x86_64-linux-gnu",
    "lib/aarch64-linux-gnu",
    "lib64",
)
_VERSION = re.compile(r"\.so\.(\d+(?:\.\d+)+)$")


def driver_libraries(root: str = "/") -> List[Dict[str, str]]:
    """[{name, path, version}] of those libraries that lie where the loader looks, each file once."""
    found: List[Dict[str, str]] = []
    seen = set()
    for folder in [*_configured(root), *FOLDERS]:
        for name in LIBRARIES:
            path = os.path.join(root, folder.lstrip("/"), name)
            if not os.path.exists(path):
                continue
            real = os.path.realpath(path)
            version = _VERSION.search(real)
            if version and real not in seen:
                seen.add(real)
                found.append({"name": name.partition(".")[0], "path": path, "version": version.group(1)})
    return found


def mismatch(driver: Optional[str], libraries: Sequence[Mapping[str, Any]]) -> Optional[str]:
    """The libraries' version where none of them is the kernel module's; None where one is, or nothing is known."""
    for name in ("libnvidia-ml", "libcuda"):
        versions = [str(one["version"]) for one in libraries if one["name"] == name]
        if driver and versions:
            return None if driver in versions else versions[0]
    return None


def _configured(root: str) -> List[str]:
    """The folders that the loader's configuration names."""
    place = os.path.join(root, "etc/ld.so.conf.d")
    try:
        names = sorted(name for name in os.listdir(place) if name.endswith(".conf"))
    except OSError:
        names = []
    paths = [os.path.join(root, "etc/ld.so.conf"), *(os.path.join(place, name) for name in names)]
    lines = [line.strip() for path in paths for line in (files.read_text(path) or "").splitlines()]
    return [line for line in lines if line.startswith("/")]
