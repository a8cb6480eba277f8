# SPDX-License-Identifier: Apache-2.0
"""Long work on a node: a file that says how far it is, and a lock so that only one does it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from typing import Callable, Iterator, List, Optional, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import clock, files
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

# The file is read every two seconds; writing it for every package of a fast step would only cost.
INTERVAL = 0.5

_held: List[int] = []


class LockHeldError(FleetError):
    """Another one held the lock all the time; nothing was done."""


class Progress:
    """Writes `{step, done, total, unit, message, time, started, pid, pgid}`; with no path it does nothing."""

    def __init__(self, path: Optional[str]) -> None:
        self.path = path
        self.started = time.time()
        self.last_step = ""
        self.last_time = 0.0

    def __call__(
        self, step: str, done: int = 0, total: Optional[int] = None, unit: str = "", message: str = ""
    ) -> None:
        now = time.time()
        if not self.path or (step == self.last_step and done != total and now - self.last_time < INTERVAL):
            return
        self.last_step, self.last_time = step, now
        record = {
            "step": step,
            "done": done,
            "total": total,
            "unit": unit,
            "message": message,
            "time": now,
            "started": self.started,
            "pid": os.getpid(),
            "pgid": os.getpgrp(),
        }
        # No fsync: this file only matters to whoever watches. Nor does the work end because it can't be written.
        temporary = self.path + ".new"
        with contextlib.suppress(OSError):
            with open(temporary, "w", encoding="utf-8") as stream:
                json.dump(record, stream)
            os.replace(temporary, self.path)


def progress_file(root: str, job: Optional[str]) -> Optional[str]:
    """`ROOT/progress/JOB.json` in a folder that is there; None for no job."""
    if not job:
        return None
    folder = os.path.join(root, "progress")
    os.makedirs(folder, mode=0o755, exist_ok=True)
    return os.path.join(folder, os.path.basename(job) + ".json")


@contextlib.contextmanager
def node_lock(
    root: str,
    what: str,
    timeout: float = 60.0,
    pause: float = 0.5,
    variable: str = "environments_root",
    waiting: Optional[Callable[[str], None]] = None,
) -> Iterator[None]:
    """Hold ROOT/lock while changing what is below ROOT. The kernel gives it back whenever its holders have ended: this
    process, and programs that were given `held_locks`.

    `variable` is the one that an error names; `waiting` hears who holds it meanwhile.
    """
    path = os.path.join(root, "lock")
    deadline = time.monotonic() + timeout
    while True:
        descriptor = _take(path)
        if descriptor is not None:
            break
        if time.monotonic() >= deadline:
            raise LockHeldError(_refusal(variable, path, timeout))
        if waiting:
            waiting(holder_of(path))
        time.sleep(pause)
    try:
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": clock.now(), "what": what}
        # On a full disk nothing can be said, but room can still be made.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(holder).encode("utf-8"), 0)
        _held.append(descriptor)
        yield
    finally:
        if descriptor in _held:
            _held.remove(descriptor)
        os.close(descriptor)


def held_locks() -> Tuple[int, ...]:
    """The locks that this process holds, for the `pass_fds` of a program that has to hold them too."""
    return tuple(_held)


def _take(path: str) -> Optional[int]:
    """The open lock file, locked; None where another holds it, or has removed it since it was opened."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    # Not even readable by others: whoever can open it could hold it for ever.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.fchmod(descriptor, 0o600)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def holder_of(path: str) -> str:
    """Who holds a lock, in words."""
    holder = files.read_json(path, {})
    told = tuple(holder.get(key, "?") for key in ("pid", "host", "since", "what"))
    return "process %s on %s since %s (%s)" % told


def _refusal(variable: str, path: str, timeout: float) -> str:
    return (
        "%s: %s is held by %s, and was not given back within %d seconds. "
        "Next: wait until that has ended, or end that process if it hangs; nothing has to be deleted."
    ) % (variable, path, holder_of(path), timeout)
