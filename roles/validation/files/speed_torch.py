# SPDX-License-Identifier: Apache-2.0
"""How fast a node computes and copies, with PyTorch: the same code on a GPU and on CPUs.

Started by the environment's own python as `python speed_torch.py JOB.json`.
JOB.json: {checks: {NAME: seconds that it may take}, threads, seed, outcome: path, progress: path}.
Writes {device: {kind, name}, versions, figures: {NAME: {SUBJECT: figure}}} where SUBJECT is a GPU's UUID, or `node` on
CPUs, and a figure is {value, evidence: [text]}, or {skip: why}, {wrong: what was computed wrong} or {error: why}.
Units: TFLOP/s for matrix products, GB/s (10^9) for copies, images/s.

A figure is the median of several timings, each long enough for the clock. The result of a timed matrix product is
compared with the same product in float64 before it counts: a fast wrong answer is an error, not a speed.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
import traceback

# Edge of the square matrices: large enough to fill the device, small enough for its time limit.
EDGE = {"cuda": 8192, "cpu": 1024}
# Bytes that are copied at once.
COPY = {"cuda": 1 << 30, "cpu": 1 << 27}
HOST_COPY = 1 << 28
ROUNDS = 5
LEAST_SECONDS = 0.2
# How far a result may be from the float64 one, relative to the largest element.
TOLERANCE = {"fp32": 1e-4, "tf32": 5e-3, "bf16": 3e-2, "fp16": 5e-3, "fp8": 2e-1}
IMAGES, SIDE, BATCH = 4096, 64, 64


class SkipError(Exception):
    """It does not apply to this device; the text says why."""


class WrongError(Exception):
    """The device computed something wrong."""


class Meter:
    """Times work on one device."""

    def __init__(self, torch, device):
        self.torch = torch
        self.device = device

    def wait(self):
        if self.device.type == "cuda":
            self.torch.cuda.synchronize(self.device)

    def seconds(self, work, limit):
        """Median seconds of one call of `work`, over rounds that are long enough; at most `limit` seconds in all."""
        deadline = time.monotonic() + limit
        work()
        self.wait()
        count = 1
        while True:
            took = self._took(work, count)
            if took >= LEAST_SECONDS or time.monotonic() > deadline:
                break
            count *= max(2, min(10, int(LEAST_SECONDS / max(took, 1e-6))))
        found = [took / count]
        while len(found) < ROUNDS and time.monotonic() < deadline:
            found.append(self._took(work, count) / count)
        return statistics.median(found), "median of %d rounds of %d, %.3g to %.3g s each" % (
            len(found), count, min(found), max(found),
        )  # fmt: skip

    def _took(self, work, count):
        self.wait()
        start = time.perf_counter()
        for _dummy in range(count):
            work()
        self.wait()
        return time.perf_counter() - start


def matmul(precision):
    def measure(meter, limit):
        torch, device = meter.torch, meter.device
        edge = EDGE[device.type]
        torch.manual_seed(0)
        first = torch.randn(edge, edge, device=device)
        second = torch.randn(edge, edge, device=device)
        product = _products(torch, device, precision, first, second)
        _check_rows(torch, product(), first, second, precision)
        seconds, evidence = meter.seconds(product, limit)
        return 2.0 * edge**3 / seconds / 1e12, ["%d x %d, %s" % (edge, edge, evidence)]

    return measure


def _products(torch, device, precision, first, second):
    """The product of both matrices in a precision, as a function without arguments."""
    on_gpu = device.type == "cuda"
    if precision in ("fp32", "tf32"):
        if precision == "tf32":
            if not on_gpu:
                raise SkipError("TF32 is a format of GPUs")
            if torch.cuda.get_device_capability(device) < (8, 0):
                raise SkipError("TF32 needs compute capability 8.0")
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        return lambda: first @ second
    if precision in ("bf16", "fp16"):
        kind = torch.bfloat16 if precision == "bf16" else torch.float16
        if on_gpu and precision == "bf16" and torch.cuda.get_device_capability(device) < (8, 0):
            raise SkipError("bf16 needs compute capability 8.0")
        left, right = first.to(kind), second.to(kind)
        return lambda: left @ right
    if not on_gpu:
        raise SkipError("fp8 matrix products are for GPUs")
    if torch.cuda.get_device_capability(device) < (8, 9):
        raise SkipError("fp8 needs compute capability 8.9")
    scale = torch.ones((), device=device)
    left = first.to(torch.float8_e4m3fn)
    # The second matrix has to lie column by column.
    right = second.to(torch.float8_e4m3fn).t().contiguous().t()
    return lambda: torch._scaled_mm(left, right, scale_a=scale, scale_b=scale, out_dtype=torch.bfloat16)


def _check_rows(torch, found, first, second, precision):
    """Compare some rows with the same product in float64 on the CPU."""
    rows = torch.linspace(0, len(first) - 1, 4).long()
    expected = first[rows.to(first.device)].double().cpu() @ second.double().cpu()
    away = (found[rows.to(found.device)].double().cpu() - expected).abs().max() / expected.abs().max()
    if not away <= TOLERANCE[precision]:
        raise WrongError(
            "a product in %s is wrong by %.3g of its largest element, tolerated is %g"
            % (precision, away, TOLERANCE[precision])
        )


def memory(meter, limit):
    torch, device = meter.torch, meter.device
    count = COPY[device.type]
    source = torch.ones(count, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds, evidence = meter.seconds(lambda: target.copy_(source), limit)
    if not bool((target == source).all()):
        raise WrongError("a copy within memory differs from its source")
    return 2.0 * count / seconds / 1e9, ["%d MiB, read and written, %s" % (count >> 20, evidence)]


def host_copy(to_device):
    def measure(meter, limit):
        torch, device = meter.torch, meter.device
        if device.type != "cuda":
            raise SkipError("there is no GPU to copy to")
        host = torch.ones(HOST_COPY, dtype=torch.uint8).pin_memory()
        there = torch.zeros(HOST_COPY, dtype=torch.uint8, device=device)
        target, source = (there, host) if to_device else (host, there)
        seconds, evidence = meter.seconds(lambda: target.copy_(source, non_blocking=True), limit)
        return HOST_COPY / seconds / 1e9, ["%d MiB, pinned, %s" % (HOST_COPY >> 20, evidence)]

    return measure


def peers(meter, limit):
    torch, device = meter.torch, meter.device
    if device.type != "cuda" or torch.cuda.device_count() < 2:
        raise SkipError("there are no two GPUs")
    source = torch.ones(HOST_COPY, dtype=torch.uint8, device=device)
    found = []
    others = [index for index in range(torch.cuda.device_count()) if index != device.index]
    for index in others:
        target = torch.empty(HOST_COPY, dtype=torch.uint8, device=torch.device("cuda", index))
        seconds, _evidence = meter.seconds(lambda target=target: target.copy_(source), limit / len(others))
        found.append((HOST_COPY / seconds / 1e9, index))
    evidence = ["to GPU %d: %.4g GB/s" % (index, value) for value, index in found]
    return min(found)[0], evidence


def loading(meter, limit):
    torch = meter.torch
    from torch.utils.data import DataLoader, Dataset

    class Images(Dataset):
        """Decodes nothing, but does what augmentations do: crop, flip, normalise."""

        def __len__(self):
            return IMAGES

        def __getitem__(self, index):
            image = torch.full((3, SIDE + 8, SIDE + 8), index % 256, dtype=torch.uint8)
            image = image[:, 4 : 4 + SIDE, 4 : 4 + SIDE].flip(2).float()
            return (image / 255.0 - 0.5) / 0.25

    workers = max(1, min(4, len(os.sched_getaffinity(0))))
    loader = DataLoader(Images(), batch_size=BATCH, num_workers=workers, timeout=max(5, int(limit)))
    start = time.perf_counter()
    seen = sum(len(batch) for batch in loader)
    if seen != IMAGES:
        raise WrongError("%d images were loaded of %d" % (seen, IMAGES))
    return seen / (time.perf_counter() - start), ["%d workers, %d x %d, with their start" % (workers, SIDE, SIDE)]


MEASURES = {
    "speed.matmul.fp32": matmul("fp32"),
    "speed.matmul.tf32": matmul("tf32"),
    "speed.matmul.bf16": matmul("bf16"),
    "speed.matmul.fp16": matmul("fp16"),
    "speed.matmul.fp8": matmul("fp8"),
    "speed.memory": memory,
    "speed.h2d": host_copy(True),
    "speed.d2h": host_copy(False),
    "speed.p2p": peers,
}
OF_THE_NODE = {"speed.loading": loading}


def figure(measure, meter, limit):
    try:
        value, evidence = measure(meter, limit)
    except SkipError as error:
        return {"skip": str(error)}
    except WrongError as error:
        return {"wrong": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever it is, it becomes the verdict
        traceback.print_exc()
        return {"error": "%s: %s" % (type(error).__name__, str(error).splitlines()[0] if str(error) else "")}
    return {"value": value, "evidence": evidence}


def devices(torch):
    """[(subject, device)]: each GPU that is seen by its UUID, else the CPUs as the node."""
    if not torch.cuda.is_available():
        return [("node", torch.device("cpu"))]
    found = []
    for index in range(torch.cuda.device_count()):
        uuid = str(getattr(torch.cuda.get_device_properties(index), "uuid", index))
        found.append((uuid if uuid.startswith("GPU-") else "GPU-" + uuid, torch.device("cuda", index)))
    return found


def write_json(path, value):
    with open(path + ".tmp", "w", encoding="utf-8") as stream:
        json.dump(value, stream)
    os.replace(path + ".tmp", path)


def main(path):
    with open(path, encoding="utf-8") as stream:
        job = json.load(stream)
    import torch

    torch.set_num_threads(job["threads"])
    seen = devices(torch)
    first = seen[0][1]
    outcome = {
        "device": {
            "kind": first.type,
            "name": torch.cuda.get_device_name(first) if first.type == "cuda" else None,
        },
        "versions": {"torch": torch.__version__, "cuda": torch.version.cuda},
        "figures": {},
    }
    for done, (name, limit) in enumerate(job["checks"].items()):
        message = {"step": "speed", "done": done, "total": len(job["checks"]), "unit": "checks", "message": name}
        write_json(job["progress"], dict(message, time=time.time()))
        if name in OF_THE_NODE:
            found = {"node": figure(OF_THE_NODE[name], Meter(torch, first), limit)}
        else:
            found = {subject: figure(MEASURES[name], Meter(torch, device), limit) for subject, device in seen}
        outcome["figures"][name] = found
        write_json(job["outcome"], outcome)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
