# SPDX-License-Identifier: Apache-2.0
"""A program in a process group of its own, of which nothing is left, whatever happens to the one who runs it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from typing import Any, Callable, Iterator, Optional, Sequence

SIGTERM_EXIT = 143
PR_SET_PDEATHSIG = 1
PAUSE = 0.05
# Only what sleeps in the kernel takes longer to die; nobody waits for that.
KILL_SECONDS = 2.0

# A Popen is of bytes or of text, as its options say.
End = Callable[[Any], None]


def end_group(child: Any, grace: float = 0) -> None:
    """End a child and all that it started, if any of it still runs. With `grace` seconds it is asked first."""
    if grace:
        _signal(child.pid, signal.SIGTERM)
        if _ended(child, grace):
            return
    _signal(child.pid, signal.SIGKILL)
    _ended(child, KILL_SECONDS)


@contextlib.contextmanager
def child_group(
    command: Sequence[str], end: End = end_group, prepare: Optional[Callable[[], None]] = None, **options: Any
) -> Iterator[Any]:
    """A Popen of `command`; when the body is left, `end` has ended its group.

    A job that takes too long gets SIGTERM from plugin_utils/stopping.py, which reaches the job's own process group and
    not this one. So SIGTERM ends the body too: as SystemExit, from the moment on that the child is known. `prepare`
    runs in the child before the program.
    """
    asked = _Asked()
    former = asked.listen()
    try:
        child = subprocess.Popen(list(command), start_new_session=True, preexec_fn=_prepared(prepare), **options)
        try:
            asked.heed()
            yield child
        finally:
            asked.defer()
            end(child)
    finally:
        if former is not None:
            signal.signal(signal.SIGTERM, former)
    # Asked while the child was being ended.
    asked.heed()


class _Asked:
    """SIGTERM as an exception, but only where nothing is left behind by it; else it is remembered."""

    def __init__(self) -> None:
        self.was = False
        self.heeded = False

    def listen(self) -> Any:
        """The former handler, to be put back; None where signals are none of this thread's business."""
        if threading.current_thread() is not threading.main_thread():
            return None
        return signal.signal(signal.SIGTERM, self._hear) or signal.SIG_DFL

    def heed(self) -> None:
        self.heeded = True
        if self.was:
            raise SystemExit(SIGTERM_EXIT)

    def defer(self) -> None:
        self.heeded = False

    def _hear(self, _number: int, _frame: object) -> None:
        self.was = True
        if self.heeded:
            self.heed()


def _prepared(prepare: Optional[Callable[[], None]]) -> Callable[[], None]:
    library = ctypes.CDLL(None)

    def run() -> None:
        if prepare:
            prepare()
        # Last, since setuid clears it: a caller killed without a chance to tidy up takes at least the program with it.
        library.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    return run


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _ended(child: Any, seconds: float) -> bool:
    """Whether child and group are gone within these seconds."""
    deadline = time.monotonic() + seconds
    while child.poll() is None or _lives(child.pid):
        if time.monotonic() >= deadline:
            return False
        time.sleep(PAUSE)
    return True


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
