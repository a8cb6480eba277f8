# SPDX-License-Identifier: Apache-2.0
"""Every check that validation knows: one row each. Pure data; docs/checks.md is made from it.

A check's `version` goes up when the same node could get another verdict by it, so that results of two runs are only
compared where they mean the same. A limit's `source` says who says so. Without limits of its own a check is judged by
its code (a count of bad things, which has to be none), by the model's figures (gpu_figures.py) or by the fleet
(fleet_limits.py), as `fleet` says: `higher` and `lower` name what is better in a figure, `same` what all have to share.
"""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional, Tuple

LEVELS = ("smoke", "standard", "full")
SMOKE, STANDARD, FULL = LEVELS
NODE, GPU, ENVIRONMENT, GROUP = "node", "gpu", "environment", "group"


class Check(NamedTuple):
    name: str
    version: int
    level: str
    scope: str
    unit: str
    question: str
    # Seconds that it may take on one subject.
    timeout: float = 30
    least: Optional[float] = None
    most: Optional[float] = None
    equal: Any = None
    source: str = ""
    # What is compared within the fleet, among nodes (GPUs) of one model: higher, lower, same, or nothing.
    fleet: str = ""


XIDS = "NVIDIA's Xid catalog, and what public node checks condemn nodes for"
REMAPS = "NVIDIA GPU Memory Error Management: a pending one takes effect at a reset, a failed one is a case for RMA"
LEARNS = "the tutorials' network and schedule: 14 runs in four frameworks ended at 0.974 and more"
CLOCK = (
    "the kernel adds 0.5 ms a second until the clock is set again: 1.02 s between two polls of systemd-timesyncd "
    "(2048 s), 0.51 s of chrony and ntpd (1024 s)"
)
HEAT = "condafleet: a GPU that is cooled as it should be takes these seconds of work at its full clocks"
SHM = "the 64 MiB that container engines give by default end data loaders with a bus error"

HOST_CHECKS: Tuple[Check, ...] = (
    Check("host.cpus", 1, STANDARD, NODE, "CPUs", "How many CPUs may be used (affinity, cgroup)?", fleet="same"),
    Check("host.memory", 1, STANDARD, NODE, "GiB", "How much memory may be used (node, cgroup)?", fleet="higher"),
    Check("host.numa", 1, STANDARD, NODE, "nodes", "How many NUMA nodes have memory?", fleet="same"),
    Check("host.clock", 2, STANDARD, NODE, "s", "How far may the clock be off, by the kernel's own estimate?",
          most=2.0, source=CLOCK),
    Check("host.shm", 1, STANDARD, NODE, "GiB", "How large is /dev/shm?", least=1.0, source=SHM),
    Check("host.nofile", 1, STANDARD, NODE, "files", "How many files may a session open (soft limit)?",
          least=1024, source="the default of Linux; data loaders with many workers want more"),
    Check("host.memlock", 1, STANDARD, NODE, "", "May a session lock memory without limit, where there is InfiniBand?"),
    Check("host.mounts", 1, STANDARD, NODE, "", "Are the declared mounts there, writable, with the space they need?"),
    Check("host.driver", 1, SMOKE, NODE, "", "Are the NVIDIA driver's kernel module and libraries of one version?"),
)  # fmt: skip
# By NVML, nvidia-smi and the kernel's log.
GPU_CHECKS: Tuple[Check, ...] = (
    Check("gpu.count", 1, SMOKE, NODE, "GPUs", "How many GPUs does the driver see?", fleet="same"),
    Check("gpu.model", 2, STANDARD, NODE, "", "Which model are they?", fleet="same"),
    Check("gpu.driver", 2, STANDARD, NODE, "", "Which driver is loaded?", fleet="same"),
    Check("gpu.cuda", 2, STANDARD, NODE, "", "Up to which CUDA version does the driver go?", fleet="same"),
    Check("gpu.recovery", 1, SMOKE, GPU, "", "Does the driver ask for a reset, a reboot or a drain?"),
    Check("gpu.ecc", 1, STANDARD, GPU, "errors", "Uncorrected memory errors since the driver was loaded?",
          most=0, source="any uncorrected error has ended a job, or corrupted one"),
    Check("gpu.remaps", 1, STANDARD, GPU, "rows", "Rows (before Ampere: pages) whose remapping is pending or failed?",
          most=0, source=REMAPS),
    Check("gpu.xid", 2, STANDARD, GPU, "", "Xid errors that condemn a GPU, within the time window?", source=XIDS),
    Check("gpu.nvlink", 2, STANDARD, GPU, "", "Are all NVLinks up, without errors?"),
    Check("gpu.pcie", 1, STANDARD, GPU, "", "Has the PCIe link its full width and generation?"),
    Check("gpu.clocks", 1, STANDARD, GPU, "MHz", "How far may the clock of the SMs go?", fleet="same"),
    Check("gpu.throttle", 1, STANDARD, GPU, "", "Is it slowed down for heat, power brake or hardware?"),
    Check("gpu.persistence", 1, STANDARD, GPU, "", "Is persistence mode (or its daemon) on?",
          equal="on", source="NVIDIA: without it each job initialises the driver anew"),
    Check("gpu.mig", 1, STANDARD, GPU, "", "Is MIG as the others have it?", fleet="same"),
    Check("gpu.temperature", 1, STANDARD, GPU, "°C below slowdown", "How far is it from its slowdown temperature?",
          least=5, source="condafleet: any closer, and the next job is slowed down"),
    Check("gpu.power", 1, STANDARD, GPU, "W", "Is the power limit the default one?", fleet="same"),
    Check("gpu.dcgm", 1, STANDARD, NODE, "", "Does DCGM's own diagnosis pass, where it is installed?", timeout=300),
)  # fmt: skip
ENVIRONMENT_CHECKS: Tuple[Check, ...] = (
    Check("env.smoke", 1, SMOKE, ENVIRONMENT, "", "Imports, device, a kernel with a checked result, a training step?",
          timeout=300),
    Check("train.mnist", 1, STANDARD, ENVIRONMENT, "of the test images", "Does the reference network learn MNIST?",
          timeout=1800, least=0.97, source=LEARNS),
    Check("train.curve", 1, STANDARD, ENVIRONMENT, "", "Are the losses like the other nodes'?"),
    Check("train.speed", 1, STANDARD, ENVIRONMENT, "images/s", "How fast does it train?", fleet="higher"),
    Check("train.transformer", 1, FULL, ENVIRONMENT, "", "Does a small transformer fine-tune from given weights?",
          timeout=900),
    Check("serve.export", 1, FULL, ENVIRONMENT, "", "Does the exported model answer as the trained one?", timeout=600),
)  # fmt: skip
# The same code on GPUs and on CPUs.
SPEED_CHECKS: Tuple[Check, ...] = (
    Check("speed.matmul.fp32", 1, STANDARD, GPU, "TFLOP/s", "Matrix products in fp32", 120, fleet="higher"),
    Check("speed.matmul.tf32", 1, STANDARD, GPU, "TFLOP/s", "Matrix products in TF32", 120, fleet="higher"),
    Check("speed.matmul.bf16", 1, STANDARD, GPU, "TFLOP/s", "Matrix products in bf16", 120, fleet="higher"),
    Check("speed.matmul.fp16", 1, STANDARD, GPU, "TFLOP/s", "Matrix products in fp16", 120, fleet="higher"),
    Check("speed.matmul.fp8", 1, STANDARD, GPU, "TFLOP/s", "Matrix products in fp8 (E4M3)", 120, fleet="higher"),
    Check("speed.memory", 1, STANDARD, GPU, "GB/s", "Copies within memory, read and write", 120, fleet="higher"),
    Check("speed.h2d", 1, STANDARD, GPU, "GB/s", "From pinned host memory to the GPU", 120, fleet="higher"),
    Check("speed.d2h", 1, STANDARD, GPU, "GB/s", "From the GPU to pinned host memory", 120, fleet="higher"),
    Check("speed.slowdown", 1, STANDARD, GPU, "s", "How long did heat slow it down while its speed was measured?",
          most=0, source=HEAT),
    Check("speed.p2p", 1, FULL, GPU, "GB/s", "From GPU to GPU, the slowest pair", 300, fleet="higher"),
    Check("speed.loading", 1, STANDARD, NODE, "images/s", "Data loading with workers", 120, fleet="higher"),
    Check("speed.disk", 1, STANDARD, NODE, "MB/s", "Reading from the disk below ROOT", 120, fleet="higher"),
    Check("speed.allreduce", 1, FULL, NODE, "GB/s", "All-reduce over the node's GPUs, bus bandwidth", 600,
          fleet="higher"),
)  # fmt: skip
GROUP_CHECKS: Tuple[Check, ...] = (
    Check("group.allreduce", 1, FULL, GROUP, "GB/s", "All-reduce over a group's nodes, bus bandwidth", 600),
    Check("group.pair", 1, FULL, GROUP, "GB/s", "The same over pairs, to find the culprit", 300, fleet="higher"),
)  # fmt: skip
CHECKS = HOST_CHECKS + GPU_CHECKS + ENVIRONMENT_CHECKS + SPEED_CHECKS + GROUP_CHECKS
BY_NAME: Dict[str, Check] = {check.name: check for check in CHECKS}
