# SPDX-License-Identifier: Apache-2.0
"""What a lock asks of a node beyond its target: room for its archives, and GPUs that its builds have code for. Pure."""

from __future__ import annotations

from typing import AbstractSet, Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.gpu_builds import builds_of
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Lock, Package
from ansible_collections.condafleet.core.plugins.module_utils.package_cache import UNKNOWN_SIZE, UNPACKED

# An estimate, as that of what archives unpack to (4.0 times a wheel, 3.9 times a conda package): measured on the
# embedded depot's packages, with byte code, there are 79 and 131 files for each MB of archive.
FILES_PER_MB = 130


class Archive(NamedTuple):
    """`key` is what it is known by in the cache: conda's by its file name, wheels by their sha256."""

    manager: str
    key: str
    size: Optional[int]


class Need(NamedTuple):
    download: int
    unpacked: int
    inodes: int


def needs_of(lock: Lock) -> Dict[str, Any]:
    """{archives, gpu_builds}: small enough to be handed to every node's plan. `archives` is text, a line for each."""
    lines = ["%s %s %s" % (p.manager, p.size or "-", key_of(p)) for p in lock.packages]
    return {"archives": "\n".join(lines), "gpu_builds": builds_of(lock.packages)}


def key_of(package: Package) -> str:
    return package.filename if package.manager == "conda" else package.sha256


def archives_of(needs: Optional[Mapping[str, Any]]) -> List[Archive]:
    found = []
    for line in str((needs or {}).get("archives") or "").splitlines():
        manager, size, key = line.split(" ", 2)
        found.append(Archive(manager, key, int(size) if size.isdigit() else None))
    return found


def room_for(archives: Iterable[Archive], have: AbstractSet[str]) -> Need:
    """What a file system has to take yet. `have` are the names in the node's cache; each archive counts once.

    conda's packages and wheels are unpacked in the cache and hard-linked from there, so a generation of cached ones
    takes next to nothing.
    """
    download, unpacked, inodes = 0, 0, 0
    for archive in set(archives):
        size = UNKNOWN_SIZE if archive.size is None else archive.size
        if archive.key not in have:
            download += size
        if archive.key not in have or (archive.manager == "conda" and _folder(archive.key) not in have):
            unpacked += size * UNPACKED
            inodes += 1 + size * FILES_PER_MB // 1000000
    return Need(download, unpacked, inodes)


def _folder(filename: str) -> str:
    """What conda unpacks an archive into, beside it."""
    return next((filename[: -len(end)] for end in (".conda", ".tar.bz2") if filename.endswith(end)), filename)


def joined(parts: Iterable[Tuple[str, Optional[Mapping[str, Any]]]]) -> List[Archive]:
    """The archives of several locks."""
    return [archive for _name, needs in parts for archive in archives_of(needs)]
