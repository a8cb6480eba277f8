# SPDX-License-Identifier: Apache-2.0
"""Copies: within a device's memory, between it and the host, and from GPU to GPU. What arrives is compared."""

from __future__ import annotations

import glob
import os
import re

from speed_meter import SkipError, WrongError

# Bytes that are copied at once: far more than caches hold (GPUs: up to 126 MB).
GPU_BYTES, GPU_LEAST = 1 << 30, 1 << 29
HOST_BYTES, HOST_LEAST = 1 << 28, 1 << 26
CPU_BYTES, CPU_LEAST = 1 << 27, 1 << 25
CACHES = 4
WORD = 8
# Odd, so that a multiple of it has other bits in each word (2^64 divided by the golden ratio).
STEP = -7046029254386353131


def memory(meter, limit):
    wanted, least = (GPU_BYTES, GPU_LEAST) if meter.on_gpu else (max(CPU_BYTES, CACHES * cache_bytes()), CPU_LEAST)
    size = meter.fitting(wanted, lambda size: 3 * size, least)
    source = pattern(meter.torch, size, meter.device)
    target = meter.torch.zeros_like(source)
    seconds, line = meter.seconds(lambda: target.copy_(source), limit)
    same(meter, target, source, "a copy within memory")
    return 2.0 * size / seconds / 1e9, ["%d MiB, read and written, %s" % (size >> 20, line)]


def host_copy(to_device):
    def measure(meter, limit):
        if not meter.on_gpu:
            raise SkipError("there is no GPU to copy to")
        size = meter.fitting(HOST_BYTES, lambda size: 3 * size, HOST_LEAST)
        host = pattern(meter.torch, size, "cpu").pin_memory()
        there = host.to(meter.device)
        target, source = (there, host) if to_device else (host, there)
        target.zero_()
        seconds, line = meter.seconds(lambda: target.copy_(source, non_blocking=True), limit)
        same(meter, target.cpu(), source.cpu(), "what was copied %s the GPU" % ("to" if to_device else "from"))
        return size / seconds / 1e9, ["%d MiB, pinned, %s" % (size >> 20, line)]

    return measure


def peers(meter, limit):
    """From this GPU to each other one, one way: the slowest."""
    torch = meter.torch
    count = torch.cuda.device_count() if meter.on_gpu else 0
    if count < 2:
        raise SkipError("there are no two GPUs")
    size = meter.fitting(HOST_BYTES, lambda size: 3 * size, HOST_LEAST)
    source = pattern(torch, size, meter.device)
    found = []
    for index in range(count):
        if index == meter.device.index:
            continue
        target = torch.zeros(size // WORD, dtype=torch.int64, device=torch.device("cuda", index))
        # The copy is queued on the GPU that it comes from; the meter waits for that one.
        seconds, line = meter.seconds(lambda target=target: target.copy_(source), limit / (count - 1))
        same(meter, target.cpu(), source.cpu(), "what was copied to %s" % meter.job["subjects"][index])
        way = "directly" if torch.cuda.can_device_access_peer(meter.device.index, index) else "through the host"
        found.append((size / seconds / 1e9, index, way, line))
        del target
    said = "%s: %.4g GB/s, %s, %s"
    lines = [said % (meter.job["subjects"][index], value, way, line) for value, index, way, line in sorted(found)]
    return min(found)[0], ["%d MiB, slowest first" % (size >> 20), *lines]


def pattern(torch, size, device):
    """Memory in which each word has other bits."""
    return torch.arange(size // WORD, dtype=torch.int64, device=device).mul_(STEP)


def same(meter, found, expected, what):
    meter.wait()
    if not meter.torch.equal(found, expected):
        raise WrongError("%s is not what was sent" % what)


def cache_bytes(root="/sys/devices/system/cpu"):
    """The largest caches of all CPUs together, 0 where the kernel does not tell."""
    found = {}
    for folder in glob.glob(os.path.join(root, "cpu[0-9]*", "cache", "index*")):
        level, size, shared = (_line(os.path.join(folder, name)) for name in ("level", "size", "shared_cpu_list"))
        number = re.fullmatch(r"(\d+)([KMG]?)", size)
        if level.isdigit() and number:
            amount = int(number.group(1)) << {"": 0, "K": 10, "M": 20, "G": 30}[number.group(2)]
            found.setdefault(int(level), {})[shared] = amount
    return sum(found[max(found)].values()) if found else 0


def _line(path):
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read().strip()
    except OSError:
        return ""
