# SPDX-License-Identifier: Apache-2.0
"""All-reduce over the GPUs of one node (over processes, with gloo): torchrun starts collective_torch.py on it."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from ansible_collections.condafleet.core.plugins.module_utils import files

SCRIPT = "collective_torch.py"
# Bytes; the best bandwidth is that of the largest, as long as they fit.
SIZES = (1 << 20, 1 << 26, 1 << 30, 1 << 33)
ROUNDS = 7
# Of a GPU's memory, what the values may take; comparing them takes as much again, and NCCL has its own.
MEMORY_SHARE = 0.25


def sizes_for(memory: Optional[int]) -> List[int]:
    """What fits; a modest choice where the memory is not known."""
    most = (memory or 0) * MEMORY_SHARE or SIZES[-2]
    return [size for size in SIZES if size <= most] or [SIZES[0]]


def allreduce(runner: Any, count: int, backend: str, timeout: float, memory: Optional[int] = None) -> Dict[str, Any]:
    """A figure as those of speed_torch.py. `runner` is speed_run.Runner, `count` how many processes."""
    outcome_file, job_file = runner.path("outcome.json"), runner.path("job.json")
    job = {
        "backend": backend,
        "sizes": sizes_for(memory),
        "rounds": ROUNDS,
        "timeout": timeout / 2,
        "outcome": outcome_file,
    }
    files.write_json(job_file, job)
    status = runner.run(
        ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count), runner.path(SCRIPT), job_file],
        timeout,
    )
    evidence = runner.said()
    outcome = files.read_json(outcome_file)
    if status is None:
        return {
            "error": "no end within its time limit of %g seconds; it was ended" % timeout,
            "step": "look at gpu.nvlink and nvidia-fabricmanager; run it with NCCL_DEBUG=INFO",
            "evidence": evidence,
        }
    if status or not isinstance(outcome, dict):
        wrong = next((line for line in evidence if "are wrong after an all-reduce" in line), None)
        if wrong:
            return {"wrong": "elements are wrong after an all-reduce", "evidence": evidence}
        fault = " (CUDA error)" if any("CUDA error" in line for line in evidence) else ""
        return {"error": "it ended with status %s%s" % (status, fault), "evidence": evidence}
    lines = [
        "%s: %.4g s, %.4g GB/s" % (_amount(one["bytes"]), one["seconds"], one["bus_gbps"]) for one in outcome["sizes"]
    ]
    return {"value": outcome["bus_gbps"], "evidence": ["%d ranks, %s" % (count, backend), *lines]}


def _amount(size: int) -> str:
    return "%d GiB" % (size >> 30) if size >= 1 << 30 else "%d MiB" % (size >> 20)
