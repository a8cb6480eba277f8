# SPDX-License-Identifier: Apache-2.0
"""Who uses a folder on this node, by /proc: programs that run from it, and files of it that are mapped."""

from __future__ import annotations

import os
import pwd
from typing import List, Sequence, Union


def users_of(folder: str, apart: Sequence[str] = (), proc: str = "/proc") -> List[int]:
    """The processes whose program, working folder, root or mapped files lie below `folder`, as far as they can be seen.

    What lies below one of `apart` does not count. The kernel tells real paths, so links on the way are resolved here.
    Their environment is not looked at: it holds the link's path, and accuses the wrong generation after a switch.
    """
    folder, apart = os.path.realpath(folder), [os.path.realpath(one) for one in apart]
    found = []
    for name in os.listdir(proc):
        if name.isdigit() and _uses(os.path.join(proc, name), folder, apart):
            found.append(int(name))
    return sorted(found)


def others_in(folders: Sequence[str], apart: Sequence[str] = ()) -> List[int]:
    """As users_of, for several folders, without this module itself: Ansible's Python on the node may lie there."""
    found = {pid for folder in folders for pid in users_of(folder, apart)}
    return sorted(found - {os.getpid(), os.getppid()})


def listed(pids: Sequence[int]) -> str:
    """The first of them, for a message."""
    return ", ".join(str(pid) for pid in pids[:10])


def described(pid: Union[int, str], proc: str = "/proc") -> str:
    """`123 (alice: python)`; without arguments, which may hold a secret."""
    process = os.path.join(proc, str(pid))
    try:
        user = pwd.getpwuid(os.stat(process).st_uid).pw_name
    except (OSError, KeyError):
        user = "?"
    try:
        with open(os.path.join(process, "comm"), "rb") as stream:
            program = stream.read().decode("utf-8", "replace").strip()
    except OSError:
        program = ""
    return "%s (%s: %s)" % (pid, user, program or "?")


def _uses(process: str, folder: str, apart: Sequence[str]) -> bool:
    for entry in ("exe", "cwd", "root"):
        try:
            if _inside(os.readlink(os.path.join(process, entry)), folder, apart):
                return True
        except PermissionError:
            # In a container root may not look into other users' processes; their command lines are open to all.
            return was_called(process, folder, apart)
        except OSError:
            continue
    try:
        with open(os.path.join(process, "maps"), "rb") as stream:
            maps = stream.read()
    except OSError:
        return False
    if (" " + folder + "/").encode() not in maps:
        return False
    mapped = (line.split(None, 5)[5:] for line in maps.decode("utf-8", "replace").splitlines())
    return any(_inside(rest[0], folder, apart) for rest in mapped if rest)


def was_called(process: str, folder: str, apart: Sequence[str]) -> bool:
    """Whether a process was started by a path that leads below `folder` today."""
    try:
        with open(os.path.join(process, "cmdline"), "rb") as stream:
            program = os.fsdecode(stream.read().split(b"\0")[0])
    except OSError:
        return False
    if program.startswith("/"):
        return _inside(os.path.realpath(program), folder, apart)
    # After an activation a command has no path: careful with others' jobs that can't be looked into.
    return os.path.basename(program).startswith("python") and _open_to_others(folder)


def _open_to_others(folder: str) -> bool:
    """Whether others than its owner can run what lies there. Root's own are open to all in effect."""
    if os.geteuid() == 0:
        return True
    while True:
        try:
            if not os.stat(folder).st_mode & 0o011:
                return False
        except OSError:
            return True  # it can't be told
        if folder == os.path.dirname(folder):
            return True
        folder = os.path.dirname(folder)


def _inside(path: str, folder: str, apart: Sequence[str]) -> bool:
    if path != folder and not path.startswith(folder + "/"):
        return False
    return not any(path == one or path.startswith(one + "/") for one in apart)
