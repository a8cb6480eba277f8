# SPDX-License-Identifier: Apache-2.0
"""All-reduce over all nodes of a group, then over its pairs of nodes, with their bus bandwidth. torchrun starts it.

`python -m torch.distributed.run … collective_torch.py JOB.json`, on each node with a JOB.json of its own:
{backend: nccl|gloo, sizes: [bytes], rounds, pause (seconds between two of them), budget (seconds for a sweep), pairs:
[[[node rank, node rank]]] (rounds of disjoint pairs), timeout (seconds for each operation), seconds (until it ends
itself), outcome: path, progress: path}.
A node's first process, or the first one that fails, writes to `outcome` {world, nodes, backend, together: sweep|null,
pairs: [{with: node rank, …sweep}], step, error: text|null}; a sweep is {sizes: [{bytes, seconds, bus_gbps}], bus_gbps:
the best}.
Bus bandwidth is 2 (n - 1) / n x bytes / seconds, in GB/s (10^9), as nccl-tests reckon it: it does not depend on n.
The result is checked: each rank sends its number in the group + 1, so every element has to be n (n + 1) / 2.
"""

from __future__ import annotations

import ctypes
import datetime
import json
import os
import signal
import statistics
import sys
import time

PR_SET_PDEATHSIG = 1


class Collective:
    """The processes of a group, and what they measure together."""

    def __init__(self, torch, distributed, job, outcome):
        self.torch, self.distributed = torch, distributed
        self.job, self.outcome = job, outcome
        self.local = int(os.environ["LOCAL_RANK"])
        self.device = torch.device("cuda", self.local) if job["backend"] == "nccl" else torch.device("cpu")
        self.step = Step(job, outcome, self.local == 0)

    def run(self):
        self.join()
        self.step("together")
        everybody = list(range(self.distributed.get_world_size()))
        self.outcome["together"] = self.sweep(None, everybody, "together")
        members = self.members()
        self.outcome["nodes"] = len(members)
        own = int(os.environ["GROUP_RANK"])
        for number, pairs in enumerate(self.job["pairs"], 1):
            self.step("pairs %d/%d" % (number, len(self.job["pairs"])))
            # Who has no partner in this round is one by itself.
            pair = next((one for one in pairs if own in one), [own])
            ranks = [rank for node in pair for rank in members[node]]
            # Made by its own processes alone: else every one would have to make every pair of the fleet. PyTorch takes
            # how many groups a process has made for a part of the group's name, so all make one in each round.
            group = self.distributed.new_group(ranks, use_local_synchronization=True)
            if len(pair) == 2:
                found = self.sweep(group, ranks, "pairs %d" % number)
                self.outcome["pairs"].append({"with": pair[0] if pair[1] == own else pair[1], **found})
            self.distributed.barrier()
        self.step("done")

    def join(self):
        if self.device.type == "cuda":
            # What fails here is this node's own fault, and not the others'.
            self.step("device")
            self.torch.cuda.set_device(self.device)
            self.torch.zeros(1, device=self.device)
        self.step("joining")
        limit = datetime.timedelta(seconds=self.job["timeout"])
        self.distributed.init_process_group(self.job["backend"], timeout=limit)
        self.outcome["world"] = self.distributed.get_world_size()

    def members(self):
        """[the ranks of each node], by the nodes' own ranks."""
        ranks = self.torch.zeros(self.distributed.get_world_size(), dtype=self.torch.int64, device=self.device)
        ranks[self.distributed.get_rank()] = int(os.environ["GROUP_RANK"])
        self.distributed.all_reduce(ranks)
        found = ranks.tolist()
        return [[rank for rank, node in enumerate(found) if node == one] for one in sorted(set(found))]

    def sweep(self, group, ranks, what):
        number = ranks.index(self.distributed.get_rank())
        world = len(ranks)
        deadline = time.monotonic() + self.job["budget"]
        found = []
        for size in self.job["sizes"]:
            if not self.time_for(size, found, deadline, group):
                break
            values = self.torch.full((max(1, size // 4),), float(number + 1), device=self.device)
            self.distributed.all_reduce(values, group=group)
            wrong = int((values != world * (world + 1) / 2).sum())
            if wrong:
                raise ValueError(
                    "%d of %d elements are wrong after an all-reduce of %d bytes" % (wrong, len(values), size)
                )
            # What is added up grows with every round, and how fast that is does not depend on the figures.
            took = [self.timed(values, group) for _dummy in range(self.job["rounds"])]
            seconds = statistics.median(took)
            bus = 2.0 * (world - 1) / world * size / seconds / 1e9
            found.append({"bytes": size, "seconds": seconds, "bus_gbps": bus})
            self.step.told(what, "%s KiB: %.3f GB/s" % (format(size // 1024, ","), bus))
        return {"sizes": found, "bus_gbps": max(one["bus_gbps"] for one in found)}

    def timed(self, values, group):
        # On CPUs what is measured is the network: a quota of CPU time is not to be used up by the rounds before.
        time.sleep(self.job["pause"])
        self.distributed.barrier(group=group)
        start = time.perf_counter()
        self.distributed.all_reduce(values, group=group)
        if self.device.type == "cuda":
            self.torch.cuda.synchronize(self.device)
        return time.perf_counter() - start

    def time_for(self, size, found, deadline, group):
        """Whether the next size still fits into the sweep's time. The most hurried one decides for all."""
        late = self.torch.tensor([float(time.monotonic() + self.expected(size, found) > deadline)], device=self.device)
        self.distributed.all_reduce(late, group=group)
        return not late.item()

    def expected(self, size, found):
        """Seconds for all rounds of a size, by the two before it: so much for a start, so much for each byte."""
        if len(found) < 2:
            return 0.0
        before, last = found[-2:]
        each = max(0.0, last["seconds"] - before["seconds"]) / (last["bytes"] - before["bytes"])
        seconds = last["seconds"] + each * (size - last["bytes"])
        return (seconds + self.job["pause"]) * (self.job["rounds"] + 1)


class Step:
    """Writes down how far it is; what it was at stays in the outcome where it ends there."""

    def __init__(self, job, outcome, speaks):
        self.job, self.outcome, self.speaks = job, outcome, speaks

    def __call__(self, step):
        self.outcome["step"] = step
        self.told(step, "")

    def told(self, step, message):
        if self.speaks:
            write(self.job["progress"], {"step": step, "message": message})


def write(path, value):
    # Two processes of a node may write at once.
    part = "%s.%d" % (path, os.getpid())
    with open(part, "w", encoding="utf-8") as stream:
        json.dump(value, stream)
    os.replace(part, path)


def end_with_parent(seconds):
    """The kernel ends this process with torchrun, and at the deadline in any case, whoever else is gone by then."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(max(1, int(seconds)))


def main(path):
    with open(path, encoding="utf-8") as stream:
        job = json.load(stream)
    end_with_parent(job["seconds"])
    outcome = {"world": None, "nodes": None, "backend": job["backend"], "together": None, "pairs": [], "error": None}
    speaks = os.environ["LOCAL_RANK"] == "0"
    Step(job, outcome, speaks)("importing")
    status = 0
    try:
        import torch
        from torch import distributed

        Collective(torch, distributed, job, outcome).run()
    except Exception as error:  # noqa: BLE001 - whatever it is, the node says so
        outcome["error"] = "%s: %s" % (type(error).__name__, " ".join(str(error).split())[:600])
        status = 1
    # Of several processes of a node the first one speaks. Where one has failed its word stands: the others only see
    # that it is gone.
    if (speaks or status) and not os.path.exists(job["outcome"]):
        write(job["outcome"], outcome)
    sys.stdout.flush()
    # Not by way of the interpreter's end: taking groups down waits for nodes that may be gone.
    os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1])
