# SPDX-License-Identifier: Apache-2.0
"""Processes of one job, wherever they have gone: by a word that only this job's have, or by who started them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Callable, Dict, List, Optional

PAUSE = 0.05

Find = Callable[[], List[int]]


def marked(word: str, proc: str = "/proc") -> List[int]:
    """Living processes with `word` in their environment or command line.

    The command line is open to all, where even root may not look into another user's environment (in a container).
    """
    sought = os.fsencode(word)
    found = []
    for name in os.listdir(proc):
        if name.isdigit() and int(name) not in (os.getpid(), os.getppid()):
            process = os.path.join(proc, name)
            if any(sought in _content(process, part) for part in ("cmdline", "environ")):
                found.append(int(name))
    return sorted(found)


def descendants(pid: int, proc: str = "/proc") -> List[int]:
    """All that a process has started, and what these have started, also in groups and sessions of their own."""
    children: Dict[int, List[int]] = {}
    for name in os.listdir(proc):
        if name.isdigit():
            status = _status(os.path.join(proc, name))
            if status is not None and status[0] != "Z":
                children.setdefault(int(status[1]), []).append(int(name))
    found: List[int] = []
    left = [pid]
    while left:
        for child in children.get(left.pop(), []):
            found.append(child)
            left.append(child)
    return sorted(found)


def started_at(pid: int, proc: str = "/proc") -> Optional[str]:
    """When a living process started, in the kernel's words: a pid that was given again is then not taken for it."""
    status = _status(os.path.join(proc, str(pid)))
    return None if status is None or status[0] == "Z" else status[19]


def end(find: Find, seconds: float, ask: float = 0) -> List[int]:
    """End what `find` finds, again and again until it finds nothing, for at most `seconds`. What was there at first.

    With `ask` seconds they are asked first, and killed when these have passed.
    """
    first = find()
    begun = time.monotonic()
    asked = False
    while time.monotonic() - begun < seconds:
        there = find()
        if not there:
            break
        by_force = time.monotonic() - begun >= ask
        if by_force or not asked:
            for pid in there:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL if by_force else signal.SIGTERM)
            asked = True
        time.sleep(PAUSE)
    return first


def _content(process: str, name: str) -> bytes:
    try:
        with open(os.path.join(process, name), "rb") as stream:
            return stream.read()
    except OSError:
        return b""


def _status(process: str) -> Optional[List[str]]:
    """The fields of /proc/PID/stat after the name, which may hold anything: state, parent, group, session, …"""
    text = _content(process, "stat").decode("utf-8", "replace")
    return text.rpartition(")")[2].split() or None
