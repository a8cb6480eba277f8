# SPDX-License-Identifier: Apache-2.0
"""Products of square matrices in one precision: how fast, and whether they are right.

Rows of the first product are compared with a product in float64, of the same rounded numbers, on the CPU; after the
rounds, every element with that first product. A fast wrong answer is an error, not a speed.
"""

from __future__ import annotations

from speed_meter import SkipError, WrongError

# Edge of the matrices: large enough to fill the device, small enough for its time limit. On CPUs by their number.
GPU_EDGE, LEAST_EDGE = 8192, 512
CPU_EDGES = ((8, 1024), (32, 2048), (1 << 30, 4096))
# Bytes for each element of one matrix: two operands, two products, and what comparing them needs, in fp32.
BYTES_AN_ELEMENT = 32
ROWS = 4
# How far an element may be off, relative to the largest one. Of fp32 it tells TF32 apart, which is about 4e-4 off.
TOLERANCE = {"fp32": 1e-4, "tf32": 5e-3, "bf16": 1e-2, "fp16": 5e-3, "fp8": 5e-2}
# Compute capability from which tensor cores take a format.
CAPABILITY = {"tf32": (8, 0), "bf16": (8, 0), "fp16": (5, 3), "fp8": (8, 9)}
# What /proc/cpuinfo calls instructions for a format; without them it is emulated, and says nothing of the CPU.
CPU_FLAGS = {"bf16": ("avx512_bf16", "amx_bf16", "bf16"), "fp16": ("avx512_fp16", "amx_fp16", "asimdhp")}


def matmul(precision):
    def measure(meter, limit):
        torch, device = meter.torch, meter.device
        refuse(meter, precision)
        edge = meter.fitting(edge_of(meter), lambda edge: BYTES_AN_ELEMENT * edge * edge, LEAST_EDGE)
        torch.manual_seed(meter.job["seed"])
        left, right, product = operands(
            meter, precision, torch.randn(edge, edge, device=device), torch.randn(edge, edge, device=device)
        )
        before = product()
        largest = check_rows(meter, precision, before, left, right)
        seconds, line = meter.seconds(product, limit)
        away = float((product().float() - before.float()).abs().max()) / largest
        if not away <= TOLERANCE[precision]:
            raise WrongError("the same product in %s differs from its first run by %.3g" % (precision, away))
        return 2.0 * edge**3 / seconds / 1e12, ["%d x %d, %s" % (edge, edge, line)]

    return measure


def edge_of(meter):
    if meter.on_gpu:
        return GPU_EDGE
    return next(edge for most, edge in CPU_EDGES if meter.job["threads"] <= most)


def refuse(meter, precision):
    """SkipError where this device has no instructions for the format."""
    torch, device = meter.torch, meter.device
    if precision == "fp32":
        return
    if not meter.on_gpu:
        if precision not in CPU_FLAGS:
            raise SkipError("%s is a format of GPUs" % precision.upper())
        if not set(CPU_FLAGS[precision]) & cpu_flags():
            raise SkipError("this CPU has no instructions for %s" % precision)
        return
    found = torch.cuda.get_device_capability(device)
    if found < CAPABILITY[precision]:
        raise SkipError(
            "%s needs compute capability %d.%d, this GPU has %d.%d" % (precision, *CAPABILITY[precision], *found)
        )
    if precision == "fp8":
        if not hasattr(torch, "_scaled_mm") or not hasattr(torch, "float8_e4m3fn"):
            raise SkipError("PyTorch %s has no fp8 products" % torch.__version__)
        if int((torch.version.cuda or "0").split(".")[0]) < 12:
            raise SkipError("fp8 needs a build for CUDA 12, this is one for %s" % torch.version.cuda)


def operands(meter, precision, first, second):
    """(left, right, their product as a function without arguments), in a precision."""
    torch = meter.torch
    if precision in ("fp32", "tf32"):
        if meter.on_gpu:
            choose_tf32(torch, precision == "tf32")
        return first, second, lambda: first @ second
    if precision != "fp8":
        kind = torch.bfloat16 if precision == "bf16" else torch.float16
        left, right = first.to(kind), second.to(kind)
        return left, right, lambda: left @ right
    scale = torch.ones((), device=meter.device)
    left = first.to(torch.float8_e4m3fn)
    # The second matrix has to lie column by column.
    right = second.t().contiguous().to(torch.float8_e4m3fn).t()

    def product():
        found = torch._scaled_mm(left, right, scale_a=scale, scale_b=scale, out_dtype=torch.bfloat16)
        # Before PyTorch 2.5 with the largest element beside it.
        return found[0] if isinstance(found, tuple) else found

    return left, right, product


def choose_tf32(torch, wanted):
    """PyTorch 2.9 has another switch; using both of one process is an error there."""
    switch = torch.backends.cuda.matmul
    if hasattr(switch, "fp32_precision"):
        switch.fp32_precision = "tf32" if wanted else "ieee"
    else:
        switch.allow_tf32 = wanted


def check_rows(meter, precision, found, left, right):
    """The largest element of some rows in float64; WrongError where the product's are too far from them."""
    torch = meter.torch
    rows = torch.linspace(0, len(found) - 1, ROWS).long()
    there = rows.to(found.device)
    # As float first: not every format can be indexed, or is known on CPUs.
    expected = left.float()[there].cpu().double() @ right.float().cpu().double()
    largest = float(expected.abs().max())
    away = float((found.float()[there].cpu().double() - expected).abs().max()) / largest
    if not away <= TOLERANCE[precision]:
        raise WrongError(
            "a product in %s is off by %.3g of its largest element, tolerated is %g"
            % (precision, away, TOLERANCE[precision])
        )
    return largest


def cpu_flags():
    """What the kernel says of the CPU's instructions: `flags` on x86, `Features` on arm."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            lines = [line.partition(":") for line in stream]
    except OSError:
        return set()
    return next((set(words.split()) for name, _colon, words in lines if name.strip() in ("flags", "Features")), set())
