# SPDX-License-Identifier: Apache-2.0
"""Runs a program on a node with a deadline that holds whoever else is gone, and leaves nothing of it behind.

The guard is a process of its own, out of reach of the ssh session that started it. It ends all that descends from the
program, in whatever process group: as their subreaper it stays the ancestor of those whose parents have ended. If the
guard itself is killed, the kernel ends the program with it, and has an alarm set for it beside that.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, NoReturn, Optional

from ansible_collections.condafleet.core.plugins.module_utils import files, marked_processes
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
PAUSE = 0.2
# Between being asked to end and being ended.
ASK_SECONDS = 3.0
END_SECONDS = 10.0
# After the outcome is there: a program that has said what it found need not be waited for.
AFTERWARDS_SECONDS = 5.0
# The kernel's alarm comes later than the guard, which can say more.
ALARM_SECONDS = 10.0
SAID, ENDED, DEADLINE, ASKED = "said", "ended", "deadline", "asked"


class Work(NamedTuple):
    argv: List[str]
    environ: Mapping[str, str]
    folder: str
    log: str
    # Where the guard says who it is, and how it ended: {why, status, left: [pid], seconds}.
    guard: str
    ended: str
    # Written by the program when it has done all that it has to.
    outcome: str
    seconds: float
    # In the child, before the program: its rights, its priority.
    prepare: Callable[[], None]


def launch(work: Work, wait: float = 20.0) -> None:
    """Start a guard with its program and return; FleetError where that could not be done within `wait` seconds."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _detach(work, reading, writing)
    os.close(writing)
    deadline = time.monotonic() + wait
    os.set_blocking(reading, False)
    said = b""
    with os.fdopen(reading, "rb", 0) as stream:
        while time.monotonic() < deadline:
            piece = stream.read(1000)
            if piece == b"":
                break
            said += piece or b""
            time.sleep(0.02)
    os.waitpid(pid, 0)
    if said.decode("utf-8", "replace") != "started":
        raise FleetError(said.decode("utf-8", "replace") or "the program did not start within %d seconds" % wait)


def guard_of(path: str) -> Optional[int]:
    """The pid of the guard that wrote this file, None where that has ended."""
    told = files.read_json(path)
    if not isinstance(told, dict) or marked_processes.started_at(told["pid"]) != told["started"]:
        return None
    return int(told["pid"])


def _detach(work: Work, reading: int, writing: int) -> NoReturn:
    """In the fork: fork again out of the session, so that the guard is nobody's child, and be that guard."""
    try:
        os.close(reading)
        os.setsid()
        if os.fork() == 0:
            _be_the_guard(work, writing)
    finally:
        os._exit(0)


def _be_the_guard(work: Work, writing: int) -> None:
    # The descriptors of whoever is waiting on the other side of ssh are let go of, all but one.
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != writing:
            with contextlib.suppress(OSError):
                os.close(int(name))
    stopping = _Stopping()
    try:
        _library().prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        child = _start(work)
        own = {"pid": os.getpid(), "started": marked_processes.started_at(os.getpid()), "group": child.pid}
        files.write_json(work.guard, own)
        os.write(writing, b"started")
    except BaseException as error:
        # Also where nobody waits for this any more, and so nobody would end it: `launch` has a limit.
        marked_processes.end(_own, END_SECONDS)
        os.write(writing, ("%s: %s" % (type(error).__name__, error)).encode("utf-8"))
        raise
    finally:
        os.close(writing)
    files.write_json(work.ended, _watch(work, child, stopping))


def _start(work: Work) -> "subprocess.Popen[bytes]":
    library = _library()

    def prepare() -> None:
        work.prepare()
        # Last, since a change of user clears it. An alarm stays with the process through what it executes.
        library.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(work.seconds + ALARM_SECONDS) + 1)

    with open(work.log, "wb") as output:
        return subprocess.Popen(
            work.argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=work.folder,
            env=dict(work.environ),
            start_new_session=True,
            preexec_fn=prepare,
        )


def _watch(work: Work, child: Any, stopping: "_Stopping") -> Dict[str, Any]:
    """Wait for the end, whichever it is; then end what is left and tell of it."""
    begun = time.monotonic()
    said_at: Optional[float] = None
    why: Optional[str] = None
    while True:
        now = time.monotonic()
        if said_at is None and os.path.exists(work.outcome):
            said_at = now
        why = _why(work, now - begun, child.poll() is not None, stopping.asked, said_at and now - said_at)
        if why:
            break
        time.sleep(PAUSE)
    # Where the program itself has ended, nothing that it has started should be there any more.
    left = _own() if why == ENDED else []
    marked_processes.end(_own, END_SECONDS, ask=0 if why == ENDED else ASK_SECONDS)
    return {"why": why, "status": child.poll(), "left": left, "seconds": round(time.monotonic() - begun, 1)}


def _why(work: Work, elapsed: float, has_ended: bool, asked: bool, since_said: Optional[float]) -> Optional[str]:
    if has_ended:
        return ENDED
    if asked:
        return ASKED
    if elapsed >= work.seconds:
        return DEADLINE
    return SAID if since_said is not None and since_said >= AFTERWARDS_SECONDS else None


def _own() -> List[int]:
    return marked_processes.descendants(os.getpid())


def _library() -> Any:
    return ctypes.CDLL(None)


class _Stopping:
    """Whether the guard was asked to end: by `finished`, or by a machine that is shut down."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._hear)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _hear(self, _number: int, _frame: object) -> None:
        self.asked = True
