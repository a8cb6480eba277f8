# SPDX-License-Identifier: Apache-2.0
"""Where a start-up file really is, links and all, and whether it can be written there. Reads only."""

from __future__ import annotations

import errno
import os
from typing import List, Optional

MOST_LINKS = 40


def real(path: str, system_root: str = "/") -> str:
    """Where a path leads for a process whose root folder is `system_root`: an image's links stay within it."""
    if system_root == "/":
        return os.path.realpath(path)
    if not (path + "/").startswith(system_root.rstrip("/") + "/"):
        raise OSError(errno.EXDEV, f"is not below {system_root}", path)
    root = os.path.realpath(system_root)
    current, links = root, 0
    rest = path[len(system_root) :].split("/")[::-1]
    while rest:
        name = rest.pop()
        if name in ("", "."):
            continue
        if name == "..":
            current = current if current == root else os.path.dirname(current)
            continue
        step = os.path.join(current, name)
        if not os.path.islink(step):
            current = step
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = os.readlink(step)
        current = root if target.startswith("/") else current
        rest += target.split("/")[::-1]
    return current


def real_link(path: str, system_root: str = "/") -> str:
    """The same for a path that may be a link itself, which is meant as such."""
    folder, name = os.path.split(path)
    return os.path.join(real(folder, system_root), name)


def there(path: str, system_root: str = "/") -> bool:
    """Whether there is anything of this name, be it a link that leads nowhere."""
    try:
        return os.path.lexists(real_link(path, system_root))
    except OSError:
        return False


def missing_folders(target: str) -> List[str]:
    """The folders that have to be made above a real path, the nearest first."""
    missing = []
    folder = os.path.dirname(target)
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    return missing


def unwritable(path: str, system_root: str = "/", link: bool = False) -> Optional[str]:
    """Why a file can't be made or replaced with the rights at hand; None where nothing is known to be in the way."""
    try:
        target = real_link(path, system_root) if link else real(path, system_root)
        folder = os.path.dirname(target)
        while not os.path.lexists(folder):
            folder = os.path.dirname(folder)
        if not os.path.isdir(folder):
            reason: Optional[str] = os.strerror(errno.ENOTDIR)
        elif not _may_change(folder):
            read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
            reason = os.strerror(errno.EROFS if read_only else errno.EACCES)
        else:
            reason = None if link else _of_another(target)
    except OSError as error:
        reason = error.strerror
    return cannot(path, reason) if reason else None


def cannot(path: str, reason: Optional[str]) -> str:
    return (
        f"{path}: cannot be written as user {os.geteuid()}: {reason}. The file is as it was. "
        "Next: run with the rights to write it (become: true), or give the file to its user."
    )


def _may_change(folder: str) -> bool:
    """A file is replaced as a whole, which is a matter of its folder."""
    if os.access in os.supports_effective_ids:
        return os.access(folder, os.W_OK | os.X_OK, effective_ids=True)
    return os.geteuid() != os.getuid() or os.access(folder, os.W_OK | os.X_OK)


def _of_another(target: str) -> Optional[str]:
    """Owner and group are kept, and only root can give a file to another."""
    try:
        status = os.stat(target)
    except FileNotFoundError:
        return None
    mine = status.st_uid == os.geteuid() and status.st_gid in (os.getegid(), *os.getgroups())
    return None if mine or os.geteuid() == 0 else f"it belongs to user {status.st_uid}, group {status.st_gid}"
