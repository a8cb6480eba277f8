# SPDX-License-Identifier: Apache-2.0
"""Who uses a folder on this node, by /proc: programs that run from it, and files of it that are mapped."""

from __future__ import annotations

import os
from typing import List


def users_of(folder: str, proc: str = "/proc") -> List[int]:
    """The processes whose program, working folder, root or mapped files lie below `folder`, as far as they can be seen.

    Their environment is not looked at: it holds the link's path, and accuses the wrong generation after a switch.
    """
    found = []
    for name in os.listdir(proc):
        if name.isdigit() and _uses(os.path.join(proc, name), folder):
            found.append(int(name))
    return sorted(found)


def _uses(process: str, folder: str) -> bool:
    for entry in ("exe", "cwd", "root"):
        try:
            target = os.readlink(os.path.join(process, entry))
        except OSError:
            continue
        if target == folder or target.startswith(folder + "/"):
            return True
    try:
        with open(os.path.join(process, "maps"), "rb") as stream:
            return (" " + folder + "/").encode() in stream.read()
    except OSError:
        return False
