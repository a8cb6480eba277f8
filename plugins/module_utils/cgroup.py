# SPDX-License-Identifier: Apache-2.0
"""How many CPUs and how much memory this process may really use: its cgroup's limits (v1 and v2, every level above it
counts) and affinity.

`os.cpu_count()` and most frameworks count the machine's, and start that many threads in a container that may use two.
"""

from __future__ import annotations

import os
import posixpath
from typing import Callable, Iterator, List, Optional, Tuple

Read = Callable[[str], Optional[str]]


def cpu_quota(read: Optional[Read] = None) -> Optional[float]:
    """The least quota in CPUs over all levels, such as 1.5; None where nothing limits. `read(path)` gives a text."""
    source = read or _read

    def quota(folder: str, first: bool) -> Optional[float]:
        if first:
            return _v1(source(folder + "/cpu.cfs_quota_us"), source(folder + "/cpu.cfs_period_us"))
        return _v2(source(posixpath.join(folder, "cpu.max")))

    return _least(source, "cpu", quota)


def memory_limit(read: Optional[Read] = None) -> Optional[int]:
    """The least limit in bytes over all levels; None where nothing limits. Without any limit v1 tells a huge number."""
    source = read or _read

    def limit(folder: str, first: bool) -> Optional[float]:
        name = "memory.limit_in_bytes" if first else "memory.max"
        text = (source(posixpath.join(folder, name)) or "").strip()
        return int(text) if text.isdigit() else None

    found = _least(source, "memory", limit)
    return None if found is None else int(found)


def _least(source: Read, controller: str, ask: Callable[[str, bool], Optional[float]]) -> Optional[float]:
    """The least of what `ask(folder, whether it is of v1)` tells of all levels of this process's cgroup."""
    mounts = source("/proc/self/mountinfo") or ""
    found: List[float] = []
    for line in (source("/proc/self/cgroup") or "").splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        second = number == "0" and not controllers
        if not second and controller not in controllers.split(","):
            continue
        mounted = _mounted(mounts, "cgroup2", "") if second else _mounted(mounts, "cgroup", controller)
        values = [ask(folder, not second) for folder in _levels(mounted, path)]
        found += [value for value in values if value is not None]
    return min(found) if found else None


def usable_cpus(quota: Optional[float], affinity: Optional[int] = None) -> int:
    """Whole CPUs that may be used at once; at least 1. `affinity` is the number of CPUs this process may run on."""
    allowed = affinity if affinity is not None else len(os.sched_getaffinity(0))
    return max(1, min(allowed, int(quota)) if quota is not None else allowed)


def _mounted(mountinfo: str, kind: str, controller: str) -> Optional[Tuple[str, str]]:
    """(root, mount point) of the hierarchy, as /proc/self/mountinfo tells it."""
    for line in mountinfo.splitlines():
        before, _dummy, after = line.partition(" - ")
        left, right = before.split(), after.split()
        if len(left) < 5 or len(right) < 3 or right[0] != kind:
            continue
        if not controller or controller in right[2].split(","):
            return left[3], left[4]
    return None


def _levels(mounted: Optional[Tuple[str, str]], path: str) -> Iterator[str]:
    """The folders of a cgroup and of all above it that can be seen from here."""
    if mounted is None:
        return
    root, point = mounted
    # In a container the mount often shows only a part of the hierarchy, or the path leads out of what is visible.
    if root != "/" and (path == root or path.startswith(root + "/")):
        path = path[len(root) :]
    parts = [part for part in path.split("/") if part]
    if ".." in parts:
        parts = []
    for length in range(len(parts), -1, -1):
        yield "/".join([point.rstrip("/"), *parts[:length]])


def _v2(text: Optional[str]) -> Optional[float]:
    words = (text or "").split()
    if len(words) != 2 or words[0] == "max":
        return None
    return int(words[0]) / int(words[1])


def _v1(quota: Optional[str], period: Optional[str]) -> Optional[float]:
    if quota is None or period is None or int(quota) <= 0 or int(period) <= 0:
        return None
    return int(quota) / int(period)


def _read(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except OSError:
        return None
