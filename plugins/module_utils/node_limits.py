# SPDX-License-Identifier: Apache-2.0
"""Which checks the module node_checks carries out, and how long all of them may take. Pure."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import check_limits
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import GPU
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Asked

FAMILIES = ("host.", "gpu.", "speed.")
# What puts the node under load, and so takes long where it is not skipped.
LOADS = ("speed.", "gpu.dcgm")
PARTS = {"gpu.xid": "xid", "gpu.dcgm": "dcgm", "speed.disk": "disk"}
# A controller does not know how many GPUs a node has. This limit is for what hangs beyond all others.
MOST_GPUS = 16
# Fetching nvidia-ml-py, importing PyTorch from a cold disk for each GPU.
BESIDE, BESIDE_GPU = 300.0, 180.0


def wanted(level: str, checks: Mapping[str, Any], model: Optional[str] = None) -> Dict[str, Asked]:
    """Those checks of a validation that are this module's."""
    every = check_limits.asked(level, checks, model)
    return {name: one for name, one in every.items() if name.startswith(FAMILIES)}


def part_of(check: str, no_gpu: bool = False) -> str:
    """Which part of the module answers a check. Without a GPU one part says so for all of them."""
    if no_gpu and check.startswith("gpu."):
        return "gpu"
    return PARTS.get(check) or check.split(".")[0]


def takes_long(level: str, checks: Mapping[str, Any]) -> bool:
    """Whether a terminal would be silent for longer than one takes for a hang."""
    return any(name.startswith(LOADS) for name in wanted(level, checks))


def job_limit(level: str, checks: Mapping[str, Any], mounts: int = 0) -> int:
    """Seconds: the sum of the checks' own limits, each GPU's and each mount's counted."""
    asked = wanted(level, checks)
    speed = [one for name, one in asked.items() if part_of(name) == "speed"]
    each_gpu = sum(one.timeout for one in speed if one.check.scope == GPU) + (BESIDE_GPU if speed else 0)
    # All of the driver's answers come in one go, by each of two tools.
    driver = max([one.timeout for name, one in asked.items() if part_of(name) == "gpu"], default=0) * 2
    rest = [
        one.timeout for name, one in asked.items() if one.check.scope != GPU and part_of(name) not in ("gpu", "host")
    ]
    every_mount = mounts * asked["host.mounts"].timeout if "host.mounts" in asked else 0
    return int(BESIDE + driver + sum(rest) + every_mount + MOST_GPUS * each_gpu)
