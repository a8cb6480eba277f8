# SPDX-License-Identifier: Apache-2.0
"""How fast files are read below ROOT: a file is written, taken out of the page cache, and read again."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import secrets
import tempfile
import time
from typing import Any, Dict, List

from ansible_collections.condafleet.core.plugins.module_utils import findings
from ansible_collections.condafleet.core.plugins.module_utils.bounded_call import HungError, NoAnswerError, in_child
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Asked

NODE = "node"
MIB = 1 << 20
SIZE = 512 * MIB
PIECE = 4 * MIB
# What stays free for others.
ROOM = 2048 * MIB
ROUNDS = 3


def disk_finding(root: str, one: Asked, size: int = SIZE) -> Dict[str, Any]:
    """The finding of speed.disk: MB/s, the best of some rounds, since a disk that others use is slower by them."""
    step = "look at the disk's health (smartctl) and at who else uses it"
    try:
        os.makedirs(root, exist_ok=True)
        free = _free(root)
        if free < size + ROOM:
            why = "%d MiB are free below %s, too few to write a file of %d MiB" % (free // MIB, root, size // MIB)
            return findings.skipped(one.check, NODE, why, "make room there")
        told = in_child(lambda: measure(root, size, one.timeout * 0.9), one.timeout, "the disk")
    except HungError as error:
        return findings.failed(one.check, NODE, None, error.message, step, one.limit)
    except (NoAnswerError, OSError) as error:
        return findings.unknown(one.check, NODE, str(error), "see to %s on the node" % root)
    if told["cached"]:
        why = "this file system can't be read past the page cache, so its speed is that of memory"
        return findings.skipped(one.check, NODE, why, "nothing", evidence=told["evidence"])
    return findings.judged(one.check, NODE, told["value"], one.limit, step, evidence=told["evidence"])


def measure(folder: str, size: int, limit: float) -> Dict[str, Any]:
    """{value: MB/s, cached: whether it could only be read through the page cache, evidence}."""
    deadline = time.monotonic() + limit
    piece = secrets.token_bytes(PIECE)
    rates: List[float] = []
    # Without a name: whatever ends this process, nothing is left.
    with tempfile.TemporaryFile(dir=folder, buffering=0) as stream:
        handle = stream.fileno()
        start = time.monotonic()
        for _dummy in range(size // PIECE):
            stream.write(piece)
        os.fsync(handle)
        evidence = ["%d MiB written in %.2f s" % (size // MIB, time.monotonic() - start)]
        try:
            fcntl.fcntl(handle, fcntl.F_SETFL, fcntl.fcntl(handle, fcntl.F_GETFL) | os.O_DIRECT)
        except OSError:
            return {"value": None, "cached": True, "evidence": evidence}
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        while len(rates) < ROUNDS and (not rates or time.monotonic() < deadline):
            rates.append(size / 1e6 / _read(handle))
    evidence.append("read again past the page cache: %s MB/s" % ", ".join("%.0f" % rate for rate in rates))
    return {"value": round(max(rates), 1), "cached": False, "evidence": evidence}


def _read(handle: int) -> float:
    # Memory of its own pages, as O_DIRECT wants it.
    with contextlib.closing(mmap.mmap(-1, PIECE)) as buffer:
        os.lseek(handle, 0, os.SEEK_SET)
        start = time.perf_counter()
        while os.readv(handle, [buffer]):
            pass
        return time.perf_counter() - start


def _free(folder: str) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
