# SPDX-License-Identifier: Apache-2.0
"""Which checks the module node_checks carries out, and how long all of them may take. Pure."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import check_limits
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import GPU
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Asked
from ansible_collections.condafleet.core.plugins.module_utils.speed_judged import OF_ALL_GPUS, OF_THE_HOST, SLOWDOWN
from ansible_collections.condafleet.core.plugins.module_utils.speed_run import (
    GRACE_SECONDS,
    MOST_HANGS,
    START_SECONDS,
)

FAMILIES = ("host.", "gpu.", "speed.")
# What puts the node under load, and so takes long where it is not skipped.
LOADS = ("speed.", "gpu.dcgm")
PARTS = {"gpu.xid": "xid", "gpu.dcgm": "dcgm", "speed.disk": "disk"}
# Reading /proc and /sys takes milliseconds; a kernel that lets one wait for longer is no sound one.
HOST_SECONDS = 30.0
# A controller does not know how many GPUs a node has. The limit of the whole job is for what goes on for ever and says
# so all the time; what hangs is noticed by its silence, however many there are.
MOST_GPUS = 16
# Fetching nvidia-ml-py, waiting for another run's lock, and all that takes no time on a sound node.
BESIDE = 300.0


def wanted(level: str, checks: Mapping[str, Any], model: Optional[str] = None) -> Dict[str, Asked]:
    """Those checks of a validation that are this module's."""
    every = check_limits.asked(level, checks, model)
    return {name: one for name, one in every.items() if name.startswith(FAMILIES)}


def part_of(check: str, no_gpu: bool = False) -> str:
    """Which part of the module answers a check. Without a GPU one part says so for all of them."""
    if no_gpu and check.startswith("gpu."):
        return "gpu"
    return PARTS.get(check) or check.split(".")[0]


def of_driver(check: str) -> bool:
    """Whether NVML or nvidia-smi is asked for it."""
    return part_of(check) == "gpu" or check == SLOWDOWN


def takes_long(level: str, checks: Mapping[str, Any]) -> bool:
    """Whether a terminal would be silent for longer than one takes for a hang."""
    return any(name.startswith(LOADS) for name in wanted(level, checks))


def job_limit(level: str, checks: Mapping[str, Any], mounts: int = 0) -> int:
    """Seconds: the sum of the checks' own limits, each GPU's and each mount's counted, with new starts after hangs."""
    asked = wanted(level, checks)
    driver = _driver(asked)
    every_mount = mounts * asked["host.mounts"].timeout if "host.mounts" in asked else 0
    rest = [one.timeout for name, one in asked.items() if part_of(name) in PARTS.values()]
    speed = [one for name, one in asked.items() if part_of(name) == "speed"]
    each_gpu = sum(one.timeout + GRACE_SECONDS for one in speed if one.check.scope == GPU)
    of_all = sum(one.timeout + GRACE_SECONDS for one in speed if one.check.scope != GPU)
    # One process for each GPU, and for what is measured once; each time with as many new starts as are tried.
    turns = MOST_GPUS + sum(one.check.name in OF_ALL_GPUS + OF_THE_HOST for one in speed) if speed else 0
    starts = turns * (driver + (1 + MOST_HANGS) * START_SECONDS)
    return int(BESIDE + host_seconds(asked) + driver + sum(rest) + every_mount + MOST_GPUS * each_gpu + of_all + starts)


def host_seconds(asked: Mapping[str, Asked]) -> float:
    """Seconds for what /proc and /sys tell, which is asked at once; a mount has its own."""
    told = [one.timeout for name, one in asked.items() if part_of(name) == "host" and name != "host.mounts"]
    return max(told, default=HOST_SECONDS)


def silence(level: str, checks: Mapping[str, Any]) -> int:
    """Seconds within which a module that works says what it does next: its longest step, and some to spare."""
    asked = wanted(level, checks)
    longest = max([one.timeout + GRACE_SECONDS for one in asked.values()], default=0.0)
    start = START_SECONDS if any(part_of(name) == "speed" for name in asked) else 0.0
    return int(BESIDE + max(longest, start, _driver(asked)))


def _driver(asked: Mapping[str, Asked]) -> float:
    """All of the driver's answers come in one go, by each of two tools."""
    return 2 * max([one.timeout for name, one in asked.items() if of_driver(name)], default=0.0)
