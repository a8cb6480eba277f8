# SPDX-License-Identifier: Apache-2.0
"""Reading and writing single files so that nobody ever sees half of one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from typing import Any, Optional, Union

# Of a file that is being written. What a killed process leaves under such a name nobody misses.
TEMPORARY = ".condafleet-"
# Bytes of a record of a job; those of all frameworks are below a hundredth of it.
MOST_OF_OTHERS = 1 << 24


def write_atomic(
    path: str,
    data: Union[bytes, str],
    mode: Optional[int] = 0o644,
    owner: int = -1,
    group: int = -1,
    like: Optional[str] = None,
) -> None:
    """Put `data` at `path` in one step. `owner` and `group` are numbers; -1 leaves them to the system.

    A link is written through: what it points at is replaced, the link stays. The extended attributes of the file
    `like` (access lists, labels) are set too, as far as the system lets that be done.
    """
    target = os.path.realpath(path)
    content = data.encode("utf-8") if isinstance(data, str) else data
    handle, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=os.path.dirname(target) or ".")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            # Owner first: a change of owner may clear mode bits. An unneeded change may be refused.
            status = os.fstat(stream.fileno())
            if owner not in (-1, status.st_uid) or group not in (-1, status.st_gid):
                os.fchown(stream.fileno(), owner, group)
            if mode is not None:
                os.fchmod(stream.fileno(), mode)
            if like is not None:
                copy_attributes(like, stream.fileno())
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException:
        remove_quietly(temporary)
        raise


def copy_attributes(source: str, target: int) -> None:
    """Extended attributes, but for those that sign the content."""
    with contextlib.suppress(OSError, AttributeError):  # no such thing on this system or file system
        for name in os.listxattr(source):
            if name not in ("security.ima", "security.evm"):
                with contextlib.suppress(OSError):
                    os.setxattr(target, name, os.getxattr(source, name))


def write_json(path: str, value: Any, mode: int = 0o644) -> None:
    """Write `value` as readable JSON with stable key order."""
    write_atomic(path, json.dumps(value, indent=1, sort_keys=True) + "\n", mode)


def read_bytes(path: str) -> Optional[bytes]:
    """The content, or None where there is no such file."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_text(path: str) -> Optional[str]:
    """The content as text, or None where there is no such file. Bytes that are no UTF-8 are replaced."""
    content = read_bytes(path)
    return None if content is None else content.decode("utf-8", "replace")


def read_regular(path: str, most: int, follow: bool = True) -> Optional[bytes]:
    """The first `most` bytes of a regular file, or None where there is none or it can't be read.

    For what others may put there: a pipe would hold its reader for ever, a device give bytes without end, and some
    devices do something when they are only opened. With `follow` false a link is no regular file: in another account's
    folder it could lead to what that account may not read itself.
    """
    try:
        if not stat.S_ISREG(os.stat(path, follow_symlinks=follow).st_mode):
            return None
        link = 0 if follow else os.O_NOFOLLOW
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | link)
        with os.fdopen(handle, "rb") as stream:
            # It may have been replaced in between.
            return stream.read(most) if stat.S_ISREG(os.fstat(handle).st_mode) else None
    except (OSError, ValueError):
        return None


def read_json(path: str, default: Any = None) -> Any:
    """The parsed file, or `default` where it is missing, unreadable or no JSON."""
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except (OSError, ValueError):
        return default


def read_others_json(path: str) -> Any:
    """What a job has written that may run as another account; None where it is no plain file, too large, or no JSON."""
    content = read_regular(path, MOST_OF_OTHERS, follow=False)
    try:
        return None if content is None else json.loads(content)
    except (ValueError, RecursionError):
        return None


def sha256_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: str) -> str:
    """The sha256 of a file's content, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for piece in iter(lambda: stream.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


def remove_quietly(path: str) -> None:
    """Remove a file that may be gone already."""
    with contextlib.suppress(OSError):
        os.unlink(path)


def existing_parent(path: str) -> str:
    """The path itself or the nearest folder above it that exists."""
    current = os.path.abspath(path)
    while not os.path.exists(current):
        parent = os.path.dirname(current)
        if parent == current:
            return current
        current = parent
    return current


def free_bytes(path: str) -> int:
    """What an ordinary user may still write on the file system where `path` is or would be."""
    status = os.statvfs(existing_parent(path))
    return status.f_bavail * status.f_frsize
