# SPDX-License-Identifier: Apache-2.0
"""Where what was fetched lies while it is not whole yet, and how it comes to its place."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import tempfile
import time
from typing import Callable, Iterator, Optional

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.download_errors import DiskError

# On disk, where /tmp often is memory, and not emptied at every start.
PARENTS = ("/var/tmp", tempfile.gettempdir())  # noqa: S108 - the folder below is private, and checked
# Partial files of downloads that nobody took up again.
STALE_SECONDS = 7 * 24 * 3600.0


def disk_folder() -> str:
    """Where large temporary files go; a folder that all share."""
    return next((place for place in PARENTS if os.access(place, os.W_OK | os.X_OK)), PARENTS[-1])


def partial_dir() -> str:
    """A folder for partial files that outlives a run, and that nobody else can look into or lead elsewhere."""
    path = os.path.join(disk_folder(), "condafleet-%d" % os.geteuid())
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise DiskError(
            f"{path}: is no folder of user {os.geteuid()}: somebody else has put it there. Accepted: a private folder. "
            "Next: remove it. Nothing was fetched."
        )
    if status.st_mode & 0o7777 != 0o700:
        os.chmod(path, 0o700)
    return path


@contextlib.contextmanager
def private_partials(say: Optional[Callable[[str], None]]) -> Iterator[str]:
    """The folder, held alone while a download goes on; it is gone afterwards where nothing is left to resume."""
    told = False
    while True:
        folder = partial_dir()
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it before may have removed it: then this is a folder without a name.
            if os.path.exists(folder) and os.path.samestat(os.stat(folder), os.fstat(descriptor)):
                break
        except BlockingIOError:
            if say and not told:
                say("another download of this user goes on; waiting for it")
            told = True
            time.sleep(0.5)
        os.close(descriptor)
    try:
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if os.lstat(path).st_mtime < time.time() - STALE_SECONDS:
                files.remove_quietly(path)
        yield folder
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(folder)
        os.close(descriptor)


def move(part: str, destination: str) -> None:
    """Put the file in its place in one step, also from another file system."""
    try:
        os.replace(part, destination)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise DiskError(f"{destination}: cannot be written: {error.strerror}") from error
        beside = destination + ".new"
        shutil.copy2(part, beside)
        os.replace(beside, destination)
        files.remove_quietly(part)
