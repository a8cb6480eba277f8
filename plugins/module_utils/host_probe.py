# SPDX-License-Identifier: Apache-2.0
"""What a node's own files and calls tell for the checks of the host. Reads; what it writes to a mount, it removes.

Each field is null where it could not be read, and `errors` says why: who judges must be able to tell that from a zero.
"""

from __future__ import annotations

import ctypes
import os
import resource
import secrets
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import cgroup, files, observe_node
from ansible_collections.condafleet.core.plugins.module_utils.driver_libraries import driver_libraries

GIB = float(1 << 30)
SHM = "/dev/shm"  # noqa: S108 - it is what is looked at
# adjtimex(2): the kernel's clock has not been set right by anybody.
STA_UNSYNC = 0x0040
# As much as shows that a file system takes data and gives it back, not how fast it is.
SAMPLE_BYTES = 1 << 16


def observe(mounts: Sequence[Mapping[str, Any]] = (), root: str = "/") -> Dict[str, Any]:
    """{cpus, memory_gib, numa, clock: {synchronised, error_seconds}, shm_gib, nofile, memlock, infiniband, driver,
    libraries, mounts: [{path, there, mounted, free_gib, problem, denied}], time, errors}.

    `mounts` are {path, least_free_gib?, writable?}; `root` is below which /proc, /sys and libraries are read (tests).
    """
    errors: Dict[str, str] = {}

    def ask(field: str, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except (OSError, ValueError, AttributeError) as error:
            errors[field] = str(error)
            return None

    return {
        "cpus": ask("cpus", cpus),
        "memory_gib": ask("memory_gib", lambda: memory(root)),
        "numa": ask("numa", lambda: numa_nodes(root)),
        "clock": ask("clock", clock),
        "shm_gib": ask("shm_gib", lambda: total(os.path.join(root, SHM.lstrip("/"))) / GIB),
        "nofile": ask("nofile", lambda: limit_of(resource.RLIMIT_NOFILE)),
        "memlock": ask("memlock", lambda: limit_of(resource.RLIMIT_MEMLOCK)),
        "infiniband": sorted(_names(os.path.join(root, "sys/class/infiniband"))),
        "driver": observe_node.driver_version(os.path.join(root, "proc"), os.path.join(root, "sys")),
        "libraries": driver_libraries(root),
        "mounts": [mount(one, root) for one in mounts],
        "time": time.time(),
        "errors": errors,
    }


def cpus() -> float:
    """CPUs that may be used at once: those of the affinity, or what the cgroup allows where that is less."""
    quota = cgroup.cpu_quota()
    allowed = float(len(os.sched_getaffinity(0)))
    return allowed if quota is None else min(allowed, quota)


def memory(root: str = "/") -> float:
    """GiB that may be used: the node's, or what the cgroup allows where that is less."""
    told = observe_node.memory_bytes(files.read_text(os.path.join(root, "proc/meminfo")) or "")
    if told is None:
        raise ValueError("/proc/meminfo does not tell")
    limit = cgroup.memory_limit(lambda path: files.read_text(os.path.join(root, path.lstrip("/"))))
    return min(told, told if limit is None else limit) / GIB


def numa_nodes(root: str = "/") -> int:
    """NUMA nodes that have memory; a kernel without NUMA is one."""
    text = (files.read_text(os.path.join(root, "sys/devices/system/node/has_memory")) or "0").strip()
    count = 0
    for part in text.split(","):
        first, _dash, last = part.partition("-")
        count += int(last or first) - int(first) + 1
    return count


class _Timex(ctypes.Structure):
    _fields_ = [
        ("modes", ctypes.c_int),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 512),
    ]


def clock() -> Dict[str, Any]:
    """{synchronised, error_seconds}: whether anything disciplines the clock, and how far it may be off at most."""
    told = _Timex()
    told.modes = 0  # ask, and change nothing
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(told))
    if state < 0:
        raise OSError(ctypes.get_errno(), "adjtimex: %s" % os.strerror(ctypes.get_errno()))
    return {"synchronised": not told.status & STA_UNSYNC, "error_seconds": told.maxerror / 1e6}


def total(path: str) -> float:
    status = os.statvfs(path)
    return float(status.f_blocks * status.f_frsize)


def limit_of(kind: int) -> Optional[int]:
    """The soft limit; -1 for none at all."""
    soft = resource.getrlimit(kind)[0]
    return -1 if soft == resource.RLIM_INFINITY else soft


def mount(wanted: Mapping[str, Any], root: str = "/") -> Dict[str, Any]:
    """How a declared mount stands: whether it is one, its free GiB, and what is wrong where it is to be written."""
    path = os.path.join(root, str(wanted["path"]).lstrip("/"))
    found: Dict[str, Any] = {"path": wanted["path"], "there": os.path.isdir(path), "mounted": False}
    found.update(free_gib=None, problem=None, denied=False)
    if not found["there"]:
        return found
    # A link is no mount itself, wherever it leads.
    found["mounted"] = os.path.ismount(os.path.realpath(path))
    try:
        status = os.statvfs(path)
        found["free_gib"] = status.f_bavail * status.f_frsize / GIB
        if wanted.get("writable"):
            found["problem"] = write_and_read(path)
    except OSError as error:
        found.update(problem=str(error), denied=isinstance(error, PermissionError))
    return found


def write_and_read(folder: str) -> Optional[str]:
    """What is wrong with a file that is written there and read again, None where nothing is. The file is removed."""
    path = os.path.join(folder, ".condafleet-validation-%s" % secrets.token_hex(6))
    content = secrets.token_bytes(SAMPLE_BYTES)
    try:
        with open(path, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if files.read_bytes(path) != content:
            return "what was written is not what is read"
    finally:
        files.remove_quietly(path)
    return None


def _names(folder: str) -> List[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
