# SPDX-License-Identifier: Apache-2.0
"""What all speed measurements share: timing on one device, memory that may be used, and the ways a figure can fail."""

from __future__ import annotations

import json
import os
import statistics
import time

ROUNDS = 7
# A round is at least so long, so that neither the clock nor the start of a kernel counts.
LEAST_SECONDS = 0.2
# Work before the first round that counts: clocks rise, libraries choose their kernels.
WARM_SECONDS = {"cuda": 0.5, "cpu": 0.1}
# Of a check's time limit, what its rounds may take: the rest is for what is made and compared around them.
SHARE = 0.4
# Of the free memory, what a measurement takes at most.
MEMORY_SHARE = 0.5


class SkipError(Exception):
    """It does not apply to this device; the text says why."""


class WrongError(Exception):
    """The device computed or copied something wrong."""


class UnfitError(Exception):
    """The node can't do it as it is, whatever its speed: a text, and what to do about it."""

    def __init__(self, text, step):
        super().__init__(text)
        self.step = step


class Meter:
    """Times work on one device. `job` is what speed_torch.py was asked for."""

    def __init__(self, torch, device, job):
        self.torch = torch
        self.device = device
        self.job = job
        self.on_gpu = device.type == "cuda"

    def wait(self):
        """Until the device has done all that it was told: work on a GPU is only queued by those who ask for it."""
        if self.on_gpu:
            self.torch.cuda.synchronize(self.device)

    def free_bytes(self):
        if self.on_gpu:
            return self.torch.cuda.mem_get_info(self.device)[0]
        return self.job["memory_bytes"]

    def fitting(self, size, bytes_of, least):
        """`size`, halved until bytes_of(size) fits into the free memory; UnfitError where that goes below `least`."""
        free = self.free_bytes()
        while bytes_of(size) > MEMORY_SHARE * free:
            size //= 2
            if size < least:
                raise UnfitError(
                    "only %d MiB of memory are free" % (free >> 20), "see what takes the memory, and validate again"
                )
        return size

    def seconds(self, work, limit):
        """(median seconds of one call of `work`, a line that shows how it was come by)."""
        deadline = time.monotonic() + limit * SHARE
        warm = time.monotonic() + WARM_SECONDS[self.device.type]
        count, took = 1, self._took(work, 1)
        while time.monotonic() < min(warm, deadline) or took < LEAST_SECONDS:
            if time.monotonic() >= deadline:
                break
            if took < LEAST_SECONDS:
                count *= max(2, min(10, int(1.2 * LEAST_SECONDS / max(took, 1e-6))))
            took = self._took(work, count)
        found = [took / count]
        while len(found) < ROUNDS and time.monotonic() < deadline:
            found.append(self._took(work, count) / count)
        median = statistics.median(found)
        line = "median of %d rounds of %d: %.4g s, %.4g to %.4g s, spread %.1f %%" % (
            len(found), count, median, min(found), max(found), 100.0 * (max(found) - min(found)) / median,
        )  # fmt: skip
        return median, line

    def _took(self, work, count):
        self.wait()
        start = time.perf_counter()
        for _dummy in range(count):
            work()
        self.wait()
        return time.perf_counter() - start


def write_json(path, value):
    """Write so that a reader sees all or nothing."""
    with open(path + ".tmp", "w", encoding="utf-8") as stream:
        json.dump(value, stream)
    os.replace(path + ".tmp", path)
