# SPDX-License-Identifier: Apache-2.0
"""One function over many pieces of work, in processes of its own: Python's lock would let threads take turns.

Plain forks and pipes: the pieces are there already in each child, only numbers and answers travel. Nothing is needed
of the node (no shared memory, no semaphores), and what is left over ends by itself when this process is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import struct
import time
from typing import Any, Callable, Dict, List, Sequence

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

_NUMBER = struct.Struct("=I")
# What fits into a pipe that nobody reads yet, on every Linux.
MOST_PIECES = 4096 // _NUMBER.size


def in_parallel(work: Callable[[Any], Any], pieces: Sequence[Any], workers: int, limit: float, what: str) -> List[Any]:
    """[work(piece) for each piece, in their order], by so many processes; the answers must be JSON.

    At most MOST_PIECES pieces. Whoever is free takes the next one, so the largest should stand first. FleetError where
    it is not done within `limit` seconds; `what` says of what.
    """
    if len(pieces) > MOST_PIECES:
        raise ValueError("%d pieces, and at most %d are taken" % (len(pieces), MOST_PIECES))
    workers = min(workers, len(pieces))
    if workers <= 1:
        return _alone(work, pieces, limit, what)
    take, give = os.pipe()
    os.write(give, b"".join(_NUMBER.pack(number) for number in range(len(pieces))))
    os.close(give)
    children: Dict[int, int] = {}  # {pid: where its answers come from}
    try:
        for _dummy in range(workers):
            read, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(read)
                _child(work, pieces, take, write)
            os.close(write)
            children[pid] = read
        return _answers(children, len(pieces), time.monotonic() + limit, limit, what)
    finally:
        os.close(take)
        for pid, read in children.items():
            os.close(read)
            _end(pid)


def _end(pid: int) -> None:
    """A child that has answered is at its end; one that hangs in the file system can't be waited for, so is left."""
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)
        for pause in [0.0005] * 20 + [0.02] * 100:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
            time.sleep(pause)


def _alone(work: Callable[[Any], Any], pieces: Sequence[Any], limit: float, what: str) -> List[Any]:
    answers, until = [], time.monotonic() + limit
    for piece in pieces:
        if time.monotonic() > until:
            raise too_slow(what, limit)
        answers.append(work(piece))
    return answers


def too_slow(what: str, limit: float) -> FleetError:
    return FleetError(
        "%s was not done within %d s. Next: see whether the file system answers, or allow more time." % (what, limit)
    )


def _child(work: Callable[[Any], Any], pieces: Sequence[Any], take: int, write: int) -> None:
    """Take numbers until there are none left; never returns, and runs nothing that the parent meant for its own end."""
    code = 1
    try:
        answers = []
        while True:
            # Written whole before anyone read, and always read in this size: no reader gets a part of a number.
            number = os.read(take, _NUMBER.size)
            if not number:
                break
            index = _NUMBER.unpack(number)[0]
            answers.append((index, work(pieces[index])))
        text = json.dumps(answers).encode("ascii")
        while text:
            text = text[os.write(write, text) :]
        code = 0
    except Exception as error:  # noqa: BLE001 - told to the parent, whatever it is
        with contextlib.suppress(OSError):
            os.write(write, json.dumps({"error": "%s: %s" % (type(error).__name__, error)}).encode("ascii")[:4096])
    finally:
        os._exit(code)


def _answers(children: Dict[int, int], number: int, until: float, limit: float, what: str) -> List[Any]:
    heard: Dict[int, bytearray] = {read: bytearray() for read in children.values()}
    with selectors.DefaultSelector() as selector:
        for read in heard:
            selector.register(read, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, until - time.monotonic()))
            if not ready:
                raise too_slow(what, limit)
            for key, _dummy in ready:
                piece = os.read(key.fd, 1 << 20)
                if piece:
                    heard[key.fd] += piece
                else:
                    selector.unregister(key.fd)
    answers: Dict[int, Any] = {}
    for text in heard.values():
        said = json.loads(text.decode("ascii")) if text else {"error": "a process of it was killed"}
        if isinstance(said, dict):
            raise FleetError("%s failed: %s." % (what, said["error"]))
        answers.update(said)
    return [answers[index] for index in range(number)]
