# SPDX-License-Identifier: Apache-2.0
"""Asks in a child that can be abandoned: a sick driver, or a dead file server, hangs whoever asks, beyond a signal."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import time
from typing import Any, Callable, Dict, Optional

from ansible_collections.condafleet.core.plugins.module_utils.child_group import PR_SET_PDEATHSIG
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.progress import held_locks


class NoAnswerError(FleetError):
    """What was asked could not answer; the text says why."""


class HungError(NoAnswerError):
    """It did not answer in time."""


def in_child(work: Callable[[], Dict[str, Any]], limit: float, who: str) -> Dict[str, Any]:
    """What `work` returns, by a forked child; NoAnswerError where it fails, or takes more than `limit` seconds.

    `who` is asked, for that error's text. The child lets go of the caller's standard streams first: an abandoned one
    must not keep anybody's ssh waiting.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_the_child(work, reading, writing)
    os.close(writing)
    try:
        text = _read(reading, time.monotonic() + limit)
    finally:
        os.close(reading)
        ended = _end(pid)
    if text is None:
        left = "" if ended else "; its process %d can't be ended and was left behind" % pid
        raise HungError("%s did not answer within %g seconds%s" % (who, limit, left))
    try:
        answer = json.loads(text)
    except ValueError:
        raise NoAnswerError("what asked %s ended without an answer" % who) from None
    if "error" in answer:
        raise NoAnswerError(str(answer["error"]))
    return dict(answer["answer"])


def _be_the_child(work: Callable[[], Dict[str, Any]], reading: int, writing: int) -> None:
    status = 1
    try:
        # It works for its parent alone, so it goes with it.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        os.close(reading)
        # One that is left behind, asleep in the kernel, must not keep a lock for as long.
        for lock in held_locks():
            os.close(lock)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        try:
            said: Dict[str, Any] = {"answer": work()}
        except Exception as error:  # noqa: BLE001 - whatever it is, the parent says so
            said = {"error": "%s: %s" % (type(error).__name__, error)}
        with os.fdopen(writing, "w") as stream:
            json.dump(said, stream)
        status = 0
    finally:
        os._exit(status)


def _read(reading: int, deadline: float) -> Optional[str]:
    pieces = []
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([reading], [], [], left)[0]:
            return None
        piece = os.read(reading, 1 << 16)
        if not piece:
            return b"".join(pieces).decode("utf-8")
        pieces.append(piece)


def _end(pid: int) -> bool:
    """Killed, and waited for no longer than a second: in uninterruptible sleep it would not end. Whether it did."""
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)
    for _dummy in range(20):
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return True
        except ChildProcessError:
            return True
        time.sleep(0.05)
    return False
