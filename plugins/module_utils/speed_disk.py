# SPDX-License-Identifier: Apache-2.0
"""How fast the disk below ROOT is read: a file of our own, without the page cache, by several readers at once.

The file has no name from the moment on that it is open, so nothing of it is left, however this ends. It is written and
read by a child that can be abandoned: a dead network file system holds whoever asks it beyond any signal.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import statistics
import tempfile
import threading
import time
from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import files, findings
from ansible_collections.condafleet.core.plugins.module_utils.bounded_call import HungError, NoAnswerError, in_child
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Asked

NODE = "node"
# What is written, read, and left free at least; the share of the check's time limit (120 s) that each may take.
MOST_BYTES, LEAST_BYTES = 512 << 20, 64 << 20
FREE_SHARE = 0.1
WRITE_SHARE, READ_SHARE = 1 / 6.0, 1 / 12.0
BLOCK = 4 << 20
READERS = 4
PASSES = 5
# Pages of the file that are still in memory, of those that were looked at: more, and it was not the disk that was read.
MOST_CACHED = 0.1
SAMPLES = 64
IN_MEMORY = ("tmpfs", "ramfs")
STEP = "look at the disk's health and what else uses it"


class UnusableError(Exception):
    """This file system can't be measured; the text says why."""


class WrongError(UnusableError):
    """What was read is not what was written."""


class NeedlessError(UnusableError):
    """There is nothing to be measured; `step` is what could change that."""

    def __init__(self, text: str, step: str) -> None:
        super().__init__(text)
        self.step = step


def disk_finding(root: str, one: Asked, most: int = MOST_BYTES) -> Dict[str, Any]:
    """The finding of speed.disk. At most `most` bytes are written below `root`, and nothing of them stays."""
    started = time.monotonic()
    try:
        told = in_child(lambda: told_by(root, most, one.timeout), one.timeout, "the file system of %s" % root)
    except HungError as error:
        step = "look at the disk (dmesg, smartctl), or the network file system's server"
        return findings.failed(one.check, NODE, None, error.message, step, one.limit)
    except NoAnswerError as error:
        return findings.unknown(one.check, NODE, error.message, "look at %s on the node, and measure again" % root)
    seconds = time.monotonic() - started
    if "needless" in told:
        return findings.skipped(one.check, NODE, str(told["needless"]), str(told["step"]), seconds=seconds)
    if "wrong" in told:
        step = "take the disk out of use: it gives back other data than it was given"
        return findings.failed(one.check, NODE, None, str(told["wrong"]), step, one.limit, seconds=seconds)
    if "unusable" in told:
        step = "look at %s on the node, and measure again" % root
        return findings.unknown(one.check, NODE, str(told["unusable"]), step, seconds=seconds)
    speeds: List[float] = told["speeds"]
    evidence = [
        "%s, %d MiB, %d readers, blocks of %d MiB, %s"
        % (told["kind"] or "file system unknown", told["bytes"] >> 20, READERS, BLOCK >> 20, told["how"]),
        "median of %d passes, %.4g to %.4g MB/s; written at %.4g MB/s"
        % (len(speeds), min(speeds), max(speeds), told["written"]),
    ]
    value = round(statistics.median(speeds), 3)
    return findings.judged(one.check, NODE, value, one.limit, STEP, evidence=evidence, seconds=seconds)


def told_by(root: str, most: int, limit: float) -> Dict[str, Any]:
    """As `measure`, or {needless: why, step}, {wrong: why} or {unusable: why}. In a child: even looking may hang."""
    try:
        return measure(root, most, limit)
    except NeedlessError as error:
        return {"needless": str(error), "step": error.step}
    except WrongError as error:
        return {"wrong": str(error)}
    except UnusableError as error:
        return {"unusable": str(error)}
    except OSError as error:
        return {"unusable": "%s: %s" % (root, error.strerror or error)}


def measure(root: str, most: int, limit: float) -> Dict[str, Any]:
    """{speeds: [MB/s], written: MB/s, bytes, how, kind}."""
    os.makedirs(root, exist_ok=True)
    kind = file_system(root)
    if kind in IN_MEMORY:
        raise NeedlessError("%s lies in memory (%s)" % (root, kind), "nothing, if so meant")
    size = size_for(root, files.free_bytes(root), most)
    handle, path = tempfile.mkstemp(prefix=".condafleet-speed-", dir=root)
    try:
        direct = direct_handle(path)
    finally:
        os.unlink(path)
    size, written = write(handle, size, limit * WRITE_SHARE)
    if direct is not None and not readable(direct):
        direct = None
    how = "O_DIRECT" if direct is not None else "page cache emptied before each pass (posix_fadvise)"
    speeds: List[float] = []
    started = time.monotonic()
    while len(speeds) < PASSES and (not speeds or time.monotonic() - started < limit * READ_SHARE):
        leave_out(handle)
        if direct is None:
            expect_uncached(handle, size)
        speeds.append(read(handle if direct is None else direct, size))
    return {"speeds": speeds, "written": written, "bytes": size, "how": how, "kind": kind}


def size_for(root: str, free: int, most: int) -> int:
    """Bytes to write, of so many that are free; whole blocks."""
    size = min(most, int(free * FREE_SHARE)) // BLOCK * BLOCK
    if size < min(most, LEAST_BYTES) or not size:
        why = "%d MiB are free below %s, and no more than %d %% of that are written" % (
            free >> 20, root, FREE_SHARE * 100,
        )  # fmt: skip
        raise NeedlessError(why, "make room there")
    return size


def direct_handle(path: str) -> Optional[int]:
    """The file, opened past the page cache; None where the file system can't."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
    except OSError:
        return None


def readable(direct: int) -> bool:
    """Whether it can also be read so: some file systems only let it be opened."""
    with mmap.mmap(-1, BLOCK) as buffer:
        try:
            return os.preadv(direct, [buffer], 0) == BLOCK
        except OSError:
            return False


def write(handle: int, most: int, seconds: float) -> Tuple[int, float]:
    """(bytes that are on the disk now, MB/s). Ends early where the disk is slow."""
    content = os.urandom(BLOCK)
    started = time.monotonic()
    size = 0
    while size < most and (size < min(most, LEAST_BYTES) or time.monotonic() - started < seconds):
        # A number at its start: no two blocks are alike.
        done = os.pwrite(handle, size.to_bytes(8, "little") + content[8:], size)
        if done != BLOCK:
            raise UnusableError("only %d of %d bytes could be written" % (done, BLOCK))
        # At once, so that the time limit holds and nothing piles up in memory.
        os.fdatasync(handle)
        size += BLOCK
    return size, size / max(1e-9, time.monotonic() - started) / 1e6


def leave_out(handle: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)


def expect_uncached(handle: int, size: int) -> None:
    """UnusableError where pages of the file are in memory all the same, as far as the kernel tells."""
    cached = 0
    for number in range(SAMPLES):
        offset = size // SAMPLES * number // mmap.PAGESIZE * mmap.PAGESIZE
        try:
            cached += bool(os.preadv(handle, [bytearray(1)], offset, os.RWF_NOWAIT))
        except BlockingIOError:
            continue
        except (OSError, AttributeError):
            return
    if cached > MOST_CACHED * SAMPLES:
        raise UnusableError("the page cache can't be left out here: neither O_DIRECT nor posix_fadvise has any effect")


def read(handle: int, size: int) -> float:
    """MB/s of all readers together, each with every fourth block. What is read is looked at."""
    wrong: List[UnusableError] = []

    def one(first: int) -> None:
        # Aligned, as O_DIRECT wants it.
        with mmap.mmap(-1, BLOCK) as buffer:
            try:
                for offset in range(first * BLOCK, size, READERS * BLOCK):
                    done = os.preadv(handle, [buffer], offset)
                    if done != BLOCK or buffer[:8] != offset.to_bytes(8, "little"):
                        wrong.append(WrongError("what was read at %d is not what was written" % offset))
            except OSError as error:
                wrong.append(UnusableError("reading failed: %s" % error.strerror))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(READERS)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]
    return size / max(1e-9, time.monotonic() - started) / 1e6


def file_system(path: str, mountinfo: Optional[str] = None) -> Optional[str]:
    """The kind of file system that `path` is on, None where the kernel does not tell."""
    text = mountinfo if mountinfo is not None else files.read_text("/proc/self/mountinfo") or ""
    real = os.path.realpath(path)
    found: Tuple[int, Optional[str]] = (-1, None)
    for line in text.splitlines():
        before, _dummy, after = line.partition(" - ")
        words = before.split()
        if len(words) < 5 or not after.split():
            continue
        point = words[4].replace("\\040", " ")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        # A later mount on the same point hides the earlier one.
        if inside and len(point) >= found[0]:
            found = (len(point), after.split()[0])
    return found[1]
