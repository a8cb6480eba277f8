# SPDX-License-Identifier: Apache-2.0
"""The kernel's messages of a time window, and the Xid errors among them.

A log that can't be read, or that reaches back less far than the window, is no proof of anything: it is said.
"""

from __future__ import annotations

import collections
import errno
import itertools
import os
import re
import shutil
import subprocess
import time
from typing import Any, Deque, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.bounded_call import NoAnswerError, in_child
from ansible_collections.condafleet.core.plugins.module_utils.child_group import child_group

KMSG = "/dev/kmsg"
# Seconds by which the times of the first messages and of the start itself may differ.
SPARE = 5
# The kernel's first words, and among how many lines they are looked for.
FIRST_WORDS, FIRST_LINES = "Linux version ", 20
# Of each Xid of each device so many messages are kept: the newest. A sick one can make thousands a minute.
MOST_ALIKE = 50
# An Xid of a GPU, or an SXid of an NVSwitch (numbers from 10000 up): address, number, the rest.
XID = re.compile(r"(?:NVRM: Xid|nvidia-nvswitch\d+: SXid) \((?:PCI:)?([0-9A-Fa-f:.]+)[^)]*\): (\d+)(.*)")

# Which Xids condemn a GPU, and what they say. After NVIDIA's Xid catalog (docs.nvidia.com/deploy/xid-errors, "Analyzing
# Xid Errors with the Xid Catalog") those whose immediate action is a reset of the GPU or the node; also what
# Azure/azurehpc-health-checks (azure_gpu_xid.nhc) condemns nodes for, and a public cloud (modal.com, GPU health).
# Not 63 and 156, which record that memory was repaired, and are to be ignored once the GPU was reset: until then
# gpu.remaps and gpu.recovery show it. A GPU that asks for a recovery by 154 is found by gpu.recovery.
CONDEMNING = {
    46: "GPU stopped processing",
    48: "double bit ECC error",
    54: "auxiliary power is not connected",
    56: "display engine error",
    57: "error programming the video memory interface",
    58: "unstable video memory interface",
    62: "internal micro-controller halt",
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
    109: "context switch timeout",
    110: "security fault",
    119: "GSP did not answer in time",
    120: "GSP error",
    136: "link training failed",
    140: "unrecovered ECC error",
    143: "GPU initialisation failed",
    158: "GPU fatal timeout",
}

# Where the message itself says how bad it is. NVLink of the fifth generation (Blackwell), as in leptonai/gpud's Xid
# catalog and NVIDIA/NVSentinel: `149, NETIR_LINK_EVT  Fatal   XC0 i0 Link 01 (…)`; NVSwitches, as in NVIDIA's guide to
# Fabric Manager: `20034, Fatal, Link 30 LTSSM Fault Up`. What is Nonfatal (Non-fatal) is common on sound ones.
NVLINK5 = range(144, 151)
LEAST_SXID = 10000
FATAL = re.compile(r"(?<![-\w])fatal\b", re.IGNORECASE)
NVLINK5_FATAL, NVSWITCH_FATAL = "NVLink error, fatal", "NVSwitch error (SXid), fatal"


class Messages(NamedTuple):
    """`lines` are (seconds since the epoch, text), at least those that tell of an Xid; `since` is how far back the log
    reaches; `source` is where they stood."""

    lines: List[Tuple[float, str]]
    since: float
    source: str


class NoLogError(Exception):
    """No log could be read; the text says what was tried."""


def read(window: float, limit: float = 20.0, kmsg: str = KMSG) -> Messages:
    """The kernel's messages: its own ring buffer, and where that is too young or closed, the journal.

    `window` is in seconds, `limit` what the journal may take; NoLogError where there is neither.
    """
    tried: List[str] = []
    best: Optional[Messages] = None
    for attempt in (lambda: from_kmsg(kmsg), lambda: from_journal(window, limit)):
        try:
            found = attempt()
        except (OSError, ValueError, NoAnswerError) as error:
            tried.append(str(error))
            continue
        if reaches(found, window, time.time()):
            return found
        if best is None or found.since < best.since:
            best = found
    if best is None:
        raise NoLogError("the kernel's log can't be read: %s" % "; ".join(tried))
    return best


def reaches(messages: Messages, window: float, now: float) -> bool:
    """Whether a log tells of the whole window; also where it is complete since the node was started."""
    return messages.since <= max(now - window, booted(now) + SPARE)


def booted(now: float) -> float:
    return now - time.clock_gettime(time.CLOCK_MONOTONIC)


def from_kmsg(path: str = KMSG) -> Messages:
    boot = booted(time.time())
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
    """What the journal keeps of this start of the node. It is asked in a child that is abandoned after `limit` seconds:
    where the disk below it is dead, it sleeps in the kernel."""
    program = shutil.which("journalctl")
    if not program:
        raise ValueError("there is no journalctl")
    now = time.time()
    told = in_child(lambda: _journal(program or "", now - window), limit, "journalctl")
    if told["failed"]:
        raise ValueError("journalctl: %s" % told["failed"])
    if told["oldest"] is None:
        raise ValueError("the journal keeps no messages of the kernel")
    lines = [(float(when), str(text)) for when, text in told["lines"]]
    # A journal that has been shortened begins later, however far back it is asked for.
    return Messages(lines, booted(now) if told["whole"] else told["oldest"], "journalctl --dmesg")


def _journal(program: str, start: float) -> Dict[str, Any]:
    """{oldest: when its first message was, or None, whole: whether that is the kernel's first one, lines, failed}."""
    command = [program, "--dmesg", "--no-pager", "--quiet", "--output=short-unix"]
    with _running(command) as child:
        first = list(itertools.islice(child.stdout, FIRST_LINES))
    begins = list(parse_journal(first))
    with _running([*command, "--since=@%d" % start]) as child:
        said: Deque[str] = collections.deque(maxlen=3)
        lines = _last_ones(parse_journal(_heard(child.stdout, said)))
        status = child.wait()
    return {
        "oldest": next((when for when, _text in begins), None),
        "whole": any(FIRST_WORDS in text for _when, text in begins),
        "lines": lines,
        "failed": (" ".join(" ".join(said).split())[-200:] or "status %d" % status) if status else None,
    }


def _running(command: List[str]) -> Any:
    return child_group(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        encoding="utf-8",
        errors="replace",
    )


def _heard(stream: Iterable[str], said: Deque[str]) -> Iterable[str]:
    """The lines of a stream, of which `said` keeps the last ones."""
    for line in stream:
        said.append(line)
        yield line


def _last_ones(lines: Iterable[Tuple[float, str]]) -> List[Tuple[float, str]]:
    """Those that tell of an Xid, and of many alike the newest."""
    kept: Dict[Tuple[str, int, Optional[str]], Deque[Tuple[float, str]]] = {}
    for when, text in lines:
        match = XID.search(text)
        if match:
            number = int(match.group(2))
            key = (match.group(1), number, meaning_of(number, match.group(3)))
            kept.setdefault(key, collections.deque(maxlen=MOST_ALIKE)).append((when, text))
    return sorted(itertools.chain.from_iterable(kept.values()))


def parse_journal(lines: Iterable[str]) -> Iterator[Tuple[float, str]]:
    """Lines of `SECONDS HOST kernel: MESSAGE`."""
    for line in lines:
        match = re.match(r"(\d+\.\d+) \S+ kernel: (.*)", line)
        if match:
            yield float(match.group(1)), match.group(2)


def xids(messages: Messages, window: float, now: float) -> List[Dict[str, Any]]:
    """[{time, age (seconds), bus_id, xid, meaning (null for one that condemns nobody), text}] of the window."""
    found = []
    for when, text in _last_ones(messages.lines):
        match = XID.search(text)
        if match and now - window <= when:
            number = int(match.group(2))
            found.append(
                {
                    "time": when,
                    "age": now - when,
                    "bus_id": match.group(1),
                    "xid": number,
                    "meaning": meaning_of(number, match.group(3)),
                    "text": text[:200],
                }
            )
    return found


def meaning_of(number: int, rest: str) -> Optional[str]:
    """What an Xid that condemns a GPU says, None for all others. `rest` is what the message has behind the number."""
    if number in NVLINK5 or number >= LEAST_SXID:
        fatal = NVLINK5_FATAL if number in NVLINK5 else NVSWITCH_FATAL
        return fatal if FATAL.search(rest) else None
    return CONDEMNING.get(number)


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
