# SPDX-License-Identifier: Apache-2.0
"""A file system that is full, in words and numbers; and one that has to hold what was written through a power cut."""

from __future__ import annotations

import ctypes
import errno
import os
import re
from typing import Optional

from ansible_collections.condafleet.core.plugins.module_utils import files

FULL = (errno.ENOSPC, errno.EDQUOT)
# How programs say it: Python, conda, uv, the C library.
SIGNS = re.compile(r"No space left on device|NoSpaceLeftError|Disk quota exceeded|\b[Ee]rrno 28\b|os error 28")
# conda takes an archive that it could not unpack for a bad one, whatever the reason was, or wants to fetch it again.
VAGUE = re.compile(r"InvalidArchiveError|CondaVerificationError|SafetyError|EnforceUnusedAdapter|OfflineError")
# Less than this, seen while a program worked, is what a failed unpacking gives back.
LITTLE = 64 << 20


class Watched:
    """The least free space that was seen: a program that fails may tidy up, and then nothing looks full any more."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.least = files.free_bytes(path)

    def look(self) -> None:
        self.least = min(self.least, files.free_bytes(self.path))

    def was_full(self, said: str) -> bool:
        """Whether what a program said means a full disk."""
        self.look()
        return bool(SIGNS.search(said)) or (self.least < LITTLE and bool(VAGUE.search(said)))


def is_full(error: BaseException) -> bool:
    """Whether an error of the system's says so."""
    return isinstance(error, OSError) and error.errno in FULL


def full_text(root: str, step: str, kept: str, need: Optional[int] = None) -> str:
    """One message for all steps. `kept`: what became of what they had done; `need`: bytes that are still wanted."""
    status = os.statvfs(files.existing_parent(root))
    total, free = status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
    inodes = " and no inode is free" if status.f_files and not status.f_favail else ""
    wanted = " About %s are needed." % amount(need) if need else ""
    return (
        "environments_root: the file system of %s was full (%s) at the step: %s. It has %s, and %s are free now%s.%s "
        "%s Next: free some space or choose another file system, and run again."
        % (root, os.strerror(errno.ENOSPC), step, amount(total), amount(free), inodes, wanted, kept)
    )


def amount(number: int) -> str:
    return "%.1f GB" % (number / 1e9) if number >= 1e9 else "%d MB" % (number // 1000000)


def make_durable(path: str) -> None:
    """Have all that was written to the file system of `path` on its disk.

    A receipt that outlives a power cut, while files that it vouches for do not, would be the worst of all: empty
    files in what counts as finished. One call for the file system costs far less than one for each file.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if library.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(descriptor)


def make_entry_durable(folder: str) -> None:
    """Have a new name in `folder` on its disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
