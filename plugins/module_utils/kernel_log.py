# SPDX-License-Identifier: Apache-2.0
"""The kernel's messages of a time window, and the Xid errors among them.

A log that can't be read, or that reaches back less far than the window, is no proof of anything: it is said.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

KMSG = "/dev/kmsg"
XID = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9A-Fa-f:.]+)[^)]*\): (\d+)(.*)")

# Which Xids condemn a GPU, and what they say. After NVIDIA's Xid catalog (https://docs.nvidia.com/deploy/xid-errors/).
CONDEMNING = {
    48: "double bit ECC error",
    56: "display engine error",
    57: "error programming the video memory interface",
    58: "unstable video memory interface",
    62: "internal micro-controller halt",
    63: "row remapping or page retirement recorded",
    64: "row remapping or page retirement failed",
    65: "video processor exception",
    68: "video decoder exception",
    69: "graphics engine class error",
    73: "video encoder exception",
    74: "NVLink error",
    79: "GPU has fallen off the bus",
    80: "corrupted data sent to the GPU",
    81: "VGA subsystem error",
    92: "high rate of single bit ECC errors",
    95: "uncontained ECC error",
    119: "GSP did not answer in time",
    120: "GSP error",
}


class Messages(NamedTuple):
    """`lines` are (seconds since the epoch, text); `since` is how far back they reach; `source` is where they stood."""

    lines: List[Tuple[float, str]]
    since: float
    source: str


class NoLogError(Exception):
    """No log could be read; the text says what was tried."""


def read(window: float, limit: float = 20.0, kmsg: str = KMSG) -> Messages:
    """The kernel's messages: its own ring buffer, and where that is too young or closed, the journal.

    `window` and `limit` are in seconds; NoLogError where there is neither.
    """
    tried = []
    best: Optional[Messages] = None
    for attempt in (lambda: from_kmsg(kmsg), lambda: from_journal(window, limit)):
        try:
            found = attempt()
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            tried.append(str(error))
            continue
        if found.since <= time.time() - window:
            return found
        if best is None or found.since < best.since:
            best = found
    if best is None:
        raise NoLogError("the kernel's log can't be read: %s" % "; ".join(tried))
    return best


def from_kmsg(path: str = KMSG) -> Messages:
    boot = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        lines, first = parse_kmsg(_records(handle), boot)
    finally:
        os.close(handle)
    # Whether the oldest message is the kernel's first one: then nothing is missing since the start.
    since = boot if first == 0 else (lines[0][0] if lines else time.time())
    return Messages(lines, since, path)


def parse_kmsg(text: str, boot: float) -> Tuple[List[Tuple[float, str]], Optional[int]]:
    """Lines of `priority,sequence,microseconds,flags;text` as (seconds since the epoch, text); the first sequence."""
    lines: List[Tuple[float, str]] = []
    first = None
    for record in text.splitlines():
        head, separator, message = record.partition(";")
        parts = head.split(",")
        # A line that begins with a space continues the record before with its properties.
        if not separator or record.startswith(" ") or len(parts) < 3 or not parts[2].isdigit():
            continue
        first = int(parts[1]) if first is None else first
        lines.append((boot + int(parts[2]) / 1e6, message))
    return lines, first


def from_journal(window: float, limit: float) -> Messages:
    program = shutil.which("journalctl")
    if not program:
        raise ValueError("there is no journalctl")
    start = time.time() - window
    done = subprocess.run(
        [program, "--dmesg", "--no-pager", "--quiet", "--output=short-unix", "--since=@%d" % start],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=limit,
    )  # fmt: skip
    if done.returncode != 0:
        raise ValueError("journalctl: %s" % done.stderr.decode("utf-8", "replace").strip()[:200])
    lines = parse_journal(done.stdout.decode("utf-8", "replace"))
    # Also where the kernel has started within the window: it had something to say then.
    if not lines and not _keeps_kernel_log(program, limit):
        raise ValueError("the journal keeps no messages of the kernel")
    return Messages(lines, start, "journalctl --dmesg")


def parse_journal(text: str) -> List[Tuple[float, str]]:
    """Lines of `SECONDS HOST kernel: MESSAGE`."""
    found = []
    for line in text.splitlines():
        match = re.match(r"(\d+\.\d+) \S+ kernel: (.*)", line)
        if match:
            found.append((float(match.group(1)), match.group(2)))
    return found


def xids(messages: Messages, window: float, now: float) -> List[Dict[str, Any]]:
    """[{time, age (seconds), bus_id, xid, meaning (null for one that condemns nobody), text}] of the window."""
    found = []
    for when, text in messages.lines:
        match = XID.search(text)
        if match and now - window <= when:
            number = int(match.group(2))
            found.append(
                {
                    "time": when,
                    "age": now - when,
                    "bus_id": match.group(1),
                    "xid": number,
                    "meaning": CONDEMNING.get(number),
                    "text": text[:200],
                }
            )
    return found


def bus_of(text: str) -> Tuple[str, ...]:
    """A PCI address in one form for all ways to write it: the domain has 4 or 8 digits, the function may be missing."""
    parts = text.lower().split(".")[0].split(":")
    domain = parts[0].lstrip("0") if len(parts) == 3 else ""
    return (domain, *parts[-2:])


def _records(handle: int) -> str:
    pieces = []
    while True:
        try:
            piece = os.read(handle, 1 << 16)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                break
            if error.errno == errno.EPIPE:  # overwritten while it was read: the next read goes on behind the gap
                continue
            raise
        if not piece:
            break
        pieces.append(piece)
    return b"".join(pieces).decode("utf-8", "replace")


def _keeps_kernel_log(program: str, limit: float) -> bool:
    done = subprocess.run(
        [program, "--dmesg", "--no-pager", "--quiet", "--lines=1"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=limit,
    )  # fmt: skip
    return bool(done.stdout.strip())
