# SPDX-License-Identifier: Apache-2.0
"""All-reduce over the processes of a group, in growing sizes, with its bus bandwidth. Started by torchrun on each node.

`python -m torch.distributed.run … collective_torch.py JOB.json`.
JOB.json: {backend: nccl|gloo, sizes: [bytes], rounds, timeout (seconds for each operation), outcome: path}.
Rank 0 of each node writes {world, backend, sizes: [{bytes, seconds, bus_gbps}], bus_gbps: the best} to `outcome`.
Bus bandwidth is 2 (n - 1) / n x bytes / seconds, in GB/s (10^9), as nccl-tests reckon it: it does not depend on n.
The result is checked: each rank sends its number + 1, so every element has to be n (n + 1) / 2.
"""

from __future__ import annotations

import datetime
import json
import os
import statistics
import sys
import time


def sweep(torch, distributed, job, device):
    world = distributed.get_world_size()
    rank = distributed.get_rank()
    found = []
    for size in job["sizes"]:
        values = torch.full((max(1, size // 4),), float(rank + 1), device=device)
        distributed.all_reduce(values)
        expected = world * (world + 1) / 2
        wrong = int((values != expected).sum())
        if wrong:
            raise ValueError("%d of %d elements are wrong after an all-reduce of %d bytes" % (wrong, len(values), size))
        took = []
        for _dummy in range(job["rounds"]):
            distributed.barrier()
            start = time.perf_counter()
            distributed.all_reduce(values)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            took.append(time.perf_counter() - start)
        seconds = statistics.median(took)
        bus = 2.0 * (world - 1) / world * size / seconds / 1e9
        found.append({"bytes": size, "seconds": seconds, "bus_gbps": bus})
    return found


def main(path):
    with open(path, encoding="utf-8") as stream:
        job = json.load(stream)
    import torch
    from torch import distributed

    local = int(os.environ["LOCAL_RANK"])
    on_gpu = job["backend"] == "nccl"
    device = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    distributed.init_process_group(job["backend"], timeout=datetime.timedelta(seconds=job["timeout"]))
    found = sweep(torch, distributed, job, device)
    if local == 0:
        outcome = {
            "world": distributed.get_world_size(),
            "backend": job["backend"],
            "sizes": found,
            "bus_gbps": max(one["bus_gbps"] for one in found),
        }
        with open(job["outcome"] + ".tmp", "w", encoding="utf-8") as stream:
            json.dump(outcome, stream)
        os.replace(job["outcome"] + ".tmp", job["outcome"])
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
