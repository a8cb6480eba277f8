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
# Of the check's time limit, what the sweep may take, and what one operation may.
SHARE = 0.5


def sizes_for(memory: Optional[int]) -> List[int]:
    """What fits; a modest choice where the memory is not known."""
    most = (memory or 0) * MEMORY_SHARE or SIZES[-2]
    return [size for size in SIZES if size <= most] or [SIZES[0]]


def allreduce(runner: Any, count: int, backend: str, timeout: float, memory: Optional[int] = None) -> Dict[str, Any]:
    """A figure as those of speed_torch.py. `runner` is speed_run.Runner, `count` how many processes."""
    outcome_file = runner.path("outcome.json")
    job = {
        "backend": backend,
        "sizes": sizes_for(memory),
        "rounds": ROUNDS,
        "pause": 0,
        "pairs": [],
        # The sweep keeps to its own limit, so that what it has measured until then counts.
        "budget": timeout * SHARE,
        "timeout": timeout * SHARE,
        "seconds": timeout,
        "outcome": outcome_file,
        "progress": runner.path("progress.json"),
    }
    files.write_json(runner.job, job)
    files.remove_quietly(outcome_file)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    status = runner.run([*torchrun, runner.path(SCRIPT), runner.job], timeout)
    evidence = runner.said()
    outcome = files.read_others_json(outcome_file)
    error = outcome.get("error") if isinstance(outcome, dict) else None
    if status is None:
        return {
            "error": "no end within its time limit of %g seconds; it was ended" % timeout,
            "step": "look at gpu.nvlink and nvidia-fabricmanager; run it with NCCL_DEBUG=INFO",
            "evidence": evidence,
        }
    if error:
        return {"wrong" if "elements are wrong" in error else "error": error, "evidence": evidence}
    if status or not isinstance(outcome, dict) or not outcome.get("together"):
        return {"error": "it ended with status %s" % status, "evidence": evidence}
    found = outcome["together"]
    lines = [
        "%s: %.4g s, %.4g GB/s" % (_amount(one["bytes"]), one["seconds"], one["bus_gbps"]) for one in found["sizes"]
    ]
    return {"value": found["bus_gbps"], "evidence": ["%d ranks, %s" % (outcome["world"], backend), *lines]}


def _amount(size: int) -> str:
    return "%d GiB" % (size >> 30) if size >= 1 << 30 else "%d MiB" % (size >> 20)
