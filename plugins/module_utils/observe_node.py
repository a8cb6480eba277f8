# SPDX-License-Identifier: Apache-2.0
"""What a node is: architecture, C library, processors, GPUs and their driver. Reads files; asks no driver."""

from __future__ import annotations

import os
import platform
import re
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.driver_libraries import driver_libraries
from ansible_collections.condafleet.core.plugins.module_utils.gpu_models import capability_of
from ansible_collections.condafleet.core.plugins.module_utils.targets import version_key

PLATFORMS = {
    "x86_64": "linux-64",
    "aarch64": "linux-aarch64",
    "ppc64le": "linux-ppc64le",
    "s390x": "linux-s390x",
    "i686": "linux-32",
}

# The first driver that supports a CUDA version, newest first. From the table "CUDA Toolkit and Corresponding Driver
# Versions" (column Linux x86_64, each version's first release) of NVIDIA's release notes for CUDA 11.8, 12.9 and 13.3:
# https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/
# A driver newer than the table supports at least what its first row says.
CUDA_BY_DRIVER = (
    ("610.43", "13.3"),
    ("595.45", "13.2"),
    ("590.44", "13.1"),
    ("580.65", "13.0"),
    ("575.51", "12.9"),
    ("570.26", "12.8"),
    ("560.28", "12.6"),
    ("555.42", "12.5"),
    ("550.54", "12.4"),
    ("545.23", "12.3"),
    ("535.54", "12.2"),
    ("530.30", "12.1"),
    ("525.60", "12.0"),
    ("520.61", "11.8"),
    ("515.43", "11.7"),
    ("510.39", "11.6"),
    ("495.29", "11.5"),
    ("470.42", "11.4"),
    ("465.19", "11.3"),
    ("460.27", "11.2"),
    ("455.23", "11.1"),
    ("450.36", "11.0"),
    ("440.33", "10.2"),
    ("418.39", "10.1"),
    ("410.48", "10.0"),
)


def observe_node(
    paths: Sequence[str] = (),
    proc: str = "/proc",
    dev: str = "/dev",
    sys: str = "/sys",
    etc: str = "/etc",
    libraries: str = "/",
) -> Dict[str, Any]:
    """`node` as docs/architecture.md says. The folders may be others than the running system's (images, tests).

    `libraries` is the root folder below which the driver's libraries are looked for.
    """
    architecture = platform.machine()
    libc, version = c_library()
    driver = driver_version(proc, sys)
    return {
        "python": platform.python_version(),
        "architecture": architecture,
        "platform": PLATFORMS.get(architecture),
        "libc": libc,
        "glibc": version,
        "kernel": platform.release(),
        "os": operating_system(files.read_text(os.path.join(etc, "os-release")) or ""),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": memory_bytes(files.read_text(os.path.join(proc, "meminfo")) or ""),
        "gpus": gpus(proc, dev),
        "driver": driver,
        "driver_libraries": driver_libraries(libraries) if driver else [],
        "cuda": cuda_of(driver),
        "free_bytes": {path: free_bytes(path) for path in paths},
        "free_inodes": {path: free_inodes(path) for path in paths},
    }


def free_bytes(path: str) -> Optional[int]:
    """What an ordinary user may still write there; None where the file system keeps no data (/proc)."""
    status = os.statvfs(files.existing_parent(path))
    return status.f_bavail * status.f_frsize if status.f_blocks else None


def free_inodes(path: str) -> Optional[int]:
    """How many files an ordinary user may still make there; None where the file system has no fixed number."""
    status = os.statvfs(files.existing_parent(path))
    return status.f_favail if status.f_files else None


def c_library() -> Tuple[Optional[str], Optional[str]]:
    """("glibc", "2.36"); a system without glibc does not know the name that is asked for."""
    try:
        said = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError, AttributeError):
        return "musl", None
    found = re.match(r"glibc (\d+(?:\.\d+)+)", said)
    return ("glibc", found.group(1)) if found else (None, None)


def operating_system(text: str) -> Dict[str, Optional[str]]:
    values = dict(re.findall(r"^(ID|VERSION_ID)=[\"']?([^\"'\n]*)", text, re.MULTILINE))
    return {"id": values.get("ID"), "version_id": values.get("VERSION_ID")}


def memory_bytes(meminfo: str) -> Optional[int]:
    found = re.search(r"^MemTotal:\s+(\d+) kB", meminfo, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None


def driver_version(proc: str = "/proc", sys: str = "/sys") -> Optional[str]:
    """The NVIDIA kernel driver's version, whether its module is the open or the closed one."""
    text = files.read_text(os.path.join(proc, "driver/nvidia/version")) or ""
    found = re.search(r"Kernel Module(?: for \S+)?\s+(\d+(?:\.\d+)+)", text)
    if found:
        return found.group(1)
    module = (files.read_text(os.path.join(sys, "module/nvidia/version")) or "").strip()
    return module if re.fullmatch(r"\d+(\.\d+)+", module) else None


def cuda_of(driver: Optional[str]) -> Optional[str]:
    """The newest CUDA version that the table knows this driver to support; None for none, or one older than it."""
    if not driver:
        return None
    have = version_key(driver)
    return next((cuda for least, cuda in CUDA_BY_DRIVER if have >= version_key(least)), None)


def gpus(proc: str = "/proc", dev: str = "/dev") -> List[Dict[str, Any]]:
    """The NVIDIA GPUs, by device minor. Where the driver's own listing is hidden, the device files still tell how many.

    A container may see the whole host's listing and have only some of the devices: then these count.
    """
    minors = _device_minors(dev)
    found = []
    listing = os.path.join(proc, "driver/nvidia/gpus")
    for bus_id in _names(listing):
        text = files.read_text(os.path.join(listing, bus_id, "information")) or ""
        # The driver sets the value off with tabs and spaces: "Model: \t\t NVIDIA H200".
        values = {
            key.strip(): value.strip() for key, _dummy, value in (line.partition(":") for line in text.splitlines())
        }
        minor = values.get("Device Minor", "")
        uuid = values.get("GPU UUID")
        found.append(
            {
                "index": int(minor) if minor.isdigit() else len(found),
                "name": values.get("Model") or None,
                # The driver fills the UUID in with question marks until a GPU was first used.
                "uuid": uuid if uuid and "?" not in uuid else None,
                "bus_id": values.get("Bus Location") or bus_id,
                "compute_capability": capability_of(values.get("Model")),
            }
        )
    if minors and found:
        found = [gpu for gpu in found if gpu["index"] in minors] or found
    if not found:
        unknown = {"name": None, "uuid": None, "bus_id": None, "compute_capability": None}
        found = [{"index": minor, **unknown} for minor in minors]
    return sorted(found, key=lambda gpu: gpu["index"])


def _device_minors(dev: str) -> List[int]:
    return sorted(int(name[6:]) for name in _names(dev) if re.fullmatch(r"nvidia\d+", name))


def _names(folder: str) -> List[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
