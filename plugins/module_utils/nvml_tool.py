# SPDX-License-Identifier: Apache-2.0
"""nvidia-ml-py on a node: the depot's wheel, whose sha256 the controller gave, for the sys.path of one child alone.

It is pure Python and is imported from the wheel as it is. Where no depot is declared none is fetched from anywhere:
nvidia-smi, which comes with the driver, is asked then.
"""

from __future__ import annotations

import os
from typing import Any, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import download, files, origins

NAME = "nvidia-ml-py"
# One wheel for all platforms.
PLATFORM = "any"


def nvml_path(root: str, entry: Mapping[str, Any]) -> str:
    """Where the wheel of a manifest's entry {version, path, sha256} lies on a node."""
    return os.path.join(root, "tools", "%s-%s" % (NAME, entry["sha256"][:12]), os.path.basename(entry["path"]))


def ensure_nvml(
    root: str,
    tools: Optional[Mapping[str, Any]],
    depot_url: Optional[str],
    access: Optional[download.Access] = None,
    may_fetch: bool = True,
) -> Optional[str]:
    """The wheel's path, fetched once; None where the depot has none, or `may_fetch` is false (check mode) and it is
    not here yet. A file that is no more what the depot said is fetched again: root runs what is in it.

    `tools` is the depot manifest's: {"nvidia-ml-py": {"any": {version, path, sha256}}}.
    """
    entry = ((tools or {}).get(NAME) or {}).get(PLATFORM)
    if not entry or not depot_url:
        return None
    wheel = nvml_path(root, entry)
    if os.path.isfile(wheel) and files.sha256_file(wheel) == entry["sha256"]:
        return wheel
    if not may_fetch:
        return None
    os.makedirs(os.path.dirname(wheel), mode=0o700, exist_ok=True)
    download.fetch(origins.join(depot_url, entry["path"]), wheel, sha256=entry["sha256"], access=access)
    return wheel
