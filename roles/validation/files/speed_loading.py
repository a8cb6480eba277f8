# SPDX-License-Identifier: Apache-2.0
"""Data loading as trainings do it: workers that crop, flip and normalise images, and hand them over in /dev/shm."""

from __future__ import annotations

import os
import random
import statistics
import time

from speed_meter import SHARE, UnfitError, WrongError

POOL, SIDE, MARGIN, BATCH = 256, 128, 16, 32
MOST_WORKERS = 8
PREFETCH = 2
# Batches that count, after those in which the workers start.
BATCHES, LEAST_BATCHES = 240, 20
# As many as come in this time do, where they are slow.
ENOUGH_SECONDS = 6.0
SHM = "/dev/shm"  # noqa: S108 - where workers put what they hand over
BATCH_BYTES = BATCH * 3 * SIDE * SIDE * 4
# Rounds in which the speed is taken, for a median.
PARTS = 6


class Images:
    """Images in memory: what is measured is the work on them and handing them over, not a disk (speed.disk is)."""

    def __init__(self, torch, seed):
        edge = SIDE + MARGIN
        torch.manual_seed(seed)
        self.pool = torch.randint(0, 256, (POOL, 3, edge, edge), dtype=torch.uint8)
        # The number of an image, so that it is known again whatever else is done to it.
        self.pool[:, 0, :, :] = torch.arange(POOL).to(torch.uint8)[:, None, None]

    def __len__(self):
        return 1 << 20

    def __getitem__(self, index):
        top, left = random.randrange(MARGIN), random.randrange(MARGIN)  # noqa: S311 - no secret
        image = self.pool[index % POOL, :, top : top + SIDE, left : left + SIDE]
        if index % 2:
            image = image.flip(2)
        return (image.float() / 255.0 - 0.5) / 0.25


def loading(meter, limit):
    torch = meter.torch
    from torch.utils.data import DataLoader

    workers = max(1, min(MOST_WORKERS, meter.job["threads"]))
    need_room(workers)
    loader = DataLoader(
        Images(torch, meter.job["seed"]),
        batch_size=BATCH, num_workers=workers, prefetch_factor=PREFETCH, timeout=max(5, int(limit * SHARE)),
    )  # fmt: skip
    started = time.perf_counter()
    batches = iter(loader)
    ends = []
    for number in range(workers * PREFETCH + BATCHES):
        check(torch, next(batches), number)
        if number >= workers * PREFETCH - 1:
            ends.append(time.perf_counter())
        if len(ends) > LEAST_BATCHES and ends[-1] - ends[0] > min(ENOUGH_SECONDS, limit * SHARE):
            break
    start = ends[0] - started
    # Ends the workers.
    del batches
    speeds = speeds_of(ends)
    line = "%d workers, %d x %d, batches of %d, %d of them; parts: %.4g to %.4g images/s; %.2f s until all worked" % (
        workers, SIDE, SIDE, BATCH, len(ends) - 1, min(speeds), max(speeds), start,
    )  # fmt: skip
    return statistics.median(speeds), [line]


def speeds_of(ends):
    """Images per second in parts of the batches; `ends` is when each was there."""
    length = max(1, (len(ends) - 1) // PARTS)
    pairs = [(ends[at], ends[at + length]) for at in range(0, len(ends) - length, length)]
    return [BATCH * length / max(1e-9, after - before) for before, after in pairs]


def check(torch, batch, number):
    """Whether the batch holds the images that it is to hold."""
    if tuple(batch.shape) != (BATCH, 3, SIDE, SIDE):
        raise WrongError("batch %d has the shape %s" % (number, tuple(batch.shape)))
    expected = (torch.arange(number * BATCH, (number + 1) * BATCH) % POOL).float()
    found = (batch[:, 0, 0, 0] * 0.25 + 0.5) * 255.0
    if not bool(((found - expected).abs() < 0.1).all()):
        raise WrongError("batch %d holds other images than it should" % number)


def need_room(workers):
    """UnfitError where the workers' batches do not fit into /dev/shm: they would end with a bus error."""
    try:
        status = os.statvfs(SHM)
    except OSError as error:
        raise UnfitError("%s can't be used: %s" % (SHM, error), "mount it (tmpfs)") from error
    free = status.f_bavail * status.f_frsize
    need = (workers * PREFETCH + 2) * BATCH_BYTES
    if free < need:
        raise UnfitError(
            "%s has %d MiB free, %d workers hand over up to %d MiB in it" % (SHM, free >> 20, workers, need >> 20),
            "make %s larger (containers: --shm-size), or free it" % SHM,
        )
