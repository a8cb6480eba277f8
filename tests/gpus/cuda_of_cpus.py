# SPDX-License-Identifier: Apache-2.0
"""A stand-in for CUDA in a PyTorch that is built for CPUs: `cuda` devices whose memory and work are the host's.

It lies in an environment's site-packages, beside a file .pth that imports it, and does nothing unless a program was
given GPUs (CUDA_VISIBLE_DEVICES, as UUIDs). The GPUs are those of nvml.c's file /etc/condafleet-gpus, so that driver
and PyTorch tell the same. All of it is synthetic: what runs through it shows what a script does with a GPU that
answers, is slow, wrong or fails, and nothing of how fast any GPU is. NCCL is gloo.

Beside NVML's fields: how a GPU does some work (`fp32`, `tf32`, `bf16`, `fp16`, `fp8` for products, `memory`, `h2d`,
`d2h`, `p2p` for copies, `allreduce`), as `1.h2d=slow` (each takes two seconds more), `1.fp8=wrong` (it has another
result) or `1.p2p=fails` (it ends in CUDA's or NCCL's words). A copy is the work of the GPU that it comes from, else of
the one that it goes to.
"""

import os
import time
from pathlib import Path

PATH = Path(os.environ.get("CONDAFLEET_GPUS", "/etc/condafleet-gpus"))
VISIBLE = [uuid for uuid in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if uuid]
CAPABILITY = (9, 0)
SLOW_SECONDS = 2.0
ERRORS = {
    "p2p": "CUDA error: peer access is not supported between these two devices",
    "allreduce": "NCCL error in: ProcessGroupNCCL.cpp, unhandled cuda error",
}
ERROR = "CUDA error: an illegal memory access was encountered"


def field(gpu, name):
    """What stands in the file for the GPU that this process calls number `gpu`, else for all; "" where nothing does."""
    lines = PATH.read_text(encoding="utf-8").splitlines()
    told = dict(line.partition("=")[::2] for line in lines if not line.startswith("#"))
    number = next((key.partition(".")[0] for key, value in told.items() if value == VISIBLE[gpu]), "")
    return told.get(f"{number}.{name}", told.get(name, ""))


def carried_out(work, gpu, genuine, spoil):
    """What `genuine` returns, as this GPU does such work."""
    how = field(gpu, work)
    if how == "fails":
        raise RuntimeError(ERRORS.get(work, ERROR))
    if how == "slow":
        # Beforehand: who works together with it waits for it, too.
        time.sleep(SLOW_SECONDS)
    found = genuine()
    if how == "wrong":
        spoil(found)
    return found


def stand_in():
    import torch
    from torch import distributed
    from torch.overrides import TorchFunctionMode

    tensor = torch.Tensor

    def place(value):
        """The number of the GPU that a tensor is said to lie on, None for the host."""
        return getattr(value, "gpu_number", None)

    def put(value, gpu):
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(one, tensor):
                one.gpu_number = gpu
        return value

    def number_of(device):
        device = torch.device(device)
        return (device.index or 0) if device.type == "cuda" else None

    def tensors(values):
        found = [one for value in values if isinstance(value, (list, tuple)) for one in value]
        return [one for one in [*found, *values] if isinstance(one, tensor)]

    def precision(left):
        if left.dtype == torch.float32:
            return "tf32" if torch.backends.cuda.matmul.fp32_precision == "tf32" else "fp32"
        return {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(left.dtype, "fp8")

    def multiplied(left, right, kind):
        # As tensor cores do: sums of rounded numbers, in fp32.
        return (left.float() @ right.float()).to(kind)

    def add_one(value):
        value[7] += 1

    class OnGPUs(TorchFunctionMode):
        """Each call of PyTorch, carried out on the host; tensors remember where they are said to lie."""

        def __torch_function__(self, function, types, args=(), kwargs=None):
            kwargs = dict(kwargs or {})
            gpu = next((place(one) for one in tensors(args) if place(one) is not None), None)
            if function == tensor.device.__get__:
                return function(args[0]) if gpu is None else torch.device("cuda", gpu)
            if function == tensor.copy_:
                return self.copied(args[0], args[1])
            if function == tensor.to and isinstance(args[1], torch.device):
                return put(args[0].clone(), number_of(args[1]))
            if function == tensor.cpu:
                return put(args[0].clone(), None)
            if function == tensor.pin_memory:
                return args[0]
            if kwargs.get("device") is not None:
                gpu = number_of(kwargs["device"])
                kwargs["device"] = "cpu"
            together = {place(one) for one in tensors(args) if one.dim()}
            if len(together) > 1:
                raise RuntimeError(f"Expected all tensors to be on the same device: {function}, {together}")
            if gpu is not None and function in (tensor.matmul, tensor.__matmul__, torch._scaled_mm):
                return put(self.product(gpu, args, kwargs), gpu)
            return put(function(*args, **kwargs), gpu) if gpu is not None else function(*args, **kwargs)

        def product(self, gpu, args, kwargs):
            kind = kwargs.get("out_dtype") or args[0].dtype
            return carried_out(
                precision(args[0]), gpu,
                lambda: multiplied(args[0], args[1], kind), lambda found: found.mul_(1.25),
            )  # fmt: skip

        def copied(self, target, source):
            sent, got = place(source), place(target)
            if sent is None and got is None:
                return target.copy_(source)
            work = "h2d" if sent is None else "d2h" if got is None else "memory" if sent == got else "p2p"
            gpu = got if sent is None else sent
            return put(carried_out(work, gpu, lambda: target.copy_(source), add_one), got)

    def join(backend, **options):
        return genuine_join({"nccl": "gloo"}.get(backend, backend), **options)

    def all_reduce(values, **options):
        def reduced():
            genuine_reduce(values, **options)
            return values

        # Of one element or two it is only a question, and no figure.
        if place(values) is None or values.numel() <= 2:
            reduced()
        else:
            carried_out("allreduce", place(values), reduced, add_one)

    genuine_join, genuine_reduce = distributed.init_process_group, distributed.all_reduce
    distributed.init_process_group, distributed.all_reduce = join, all_reduce
    torch.version.cuda = "12.8"
    cuda = torch.cuda
    cuda.init = cuda.empty_cache = lambda: None
    cuda.synchronize = cuda.set_device = lambda device=None: None
    cuda.is_available = lambda: True
    cuda.device_count = lambda: len(VISIBLE)
    cuda.get_device_name = lambda device=0: field(number_of(device), "name")
    cuda.get_device_capability = lambda device=0: CAPABILITY
    cuda.mem_get_info = lambda device=0: (
        int(field(number_of(device), "memory_total")) - int(field(number_of(device), "memory_used")),
        int(field(number_of(device), "memory_total")),
    )
    cuda.can_device_access_peer = lambda one, other: field(one, "p2p") != "fails"
    OnGPUs().__enter__()


if VISIBLE and PATH.exists():
    stand_in()
