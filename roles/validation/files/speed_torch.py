# SPDX-License-Identifier: Apache-2.0
"""How fast a node computes and copies, with PyTorch: the same code on a GPU and on CPUs.

Started by the environment's own python as `python speed_torch.py JOB.json`.
JOB.json: {kind: cuda|cpu, subjects: [the UUID of each GPU that is seen, in their order, or `node`],
work: [{check, subject, seconds: that it may take}], threads, cpus: [those near the GPU] or null, memory_bytes: what
may be used of the host's, seed, outcome: path, progress: path}.
Writes {device, versions, figures: [{check, subject, seconds: that it took, …}],
refused: null or {kind: missing|cpu_build|unseen, why}}. A figure is {value, evidence: [text]}, or {skip: why},
{wrong: what was computed wrong}, {unfit: why, step} or {error: why}.
Units are the catalog's: TFLOP/s for matrix products, GB/s (10^9) for copies, images/s.

A figure is the median of several rounds, each long enough for the clock. After an error nothing more is measured: a
GPU that has failed once gives the same process nothing but errors. Who started this starts it again for the rest.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback

from speed_copies import host_copy, memory, peers
from speed_loading import loading
from speed_matmul import matmul
from speed_meter import Meter, SkipError, UnfitError, WrongError, write_json

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
    "speed.loading": loading,
}


class RefusedError(Exception):
    """Nothing can be measured by this environment on this device."""

    def __init__(self, kind, why):
        super().__init__(why)
        self.kind = kind


def figure(measure, meter, limit):
    try:
        value, evidence = measure(meter, limit)
    except SkipError as error:
        return {"skip": str(error)}
    except WrongError as error:
        return {"wrong": str(error)}
    except UnfitError as error:
        return {"unfit": str(error), "step": error.step}
    except Exception as error:  # noqa: BLE001 - whatever it is, it becomes the verdict
        traceback.print_exc()
        text = " ".join(str(error).split())
        return {"error": "%s: %s" % (type(error).__name__, text[:600])}
    return {"value": value, "evidence": evidence}


def import_torch():
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise RefusedError("missing", "the environment holds no PyTorch") from error
    return torch


def devices(torch, job):
    """{subject: device}; RefusedError where a GPU is to be used and is not to be had."""
    if job["kind"] == "cpu":
        return {subject: torch.device("cpu") for subject in job["subjects"]}
    if not torch.version.cuda:
        raise RefusedError("cpu_build", "PyTorch %s is a build without CUDA" % torch.__version__)
    try:
        # Says why, where is_available() only says no.
        torch.cuda.init()
    except Exception as error:
        raise RefusedError("unseen", "%s: %s" % (type(error).__name__, " ".join(str(error).split())[:400])) from error
    seen = torch.cuda.device_count()
    if seen != len(job["subjects"]):
        why = "PyTorch %s sees %d of %d GPUs" % (torch.__version__, seen, len(job["subjects"]))
        raise RefusedError("unseen", why)
    return {subject: torch.device("cuda", index) for index, subject in enumerate(job["subjects"])}


def carry_out(job, outcome):
    if job.get("cpus"):
        os.sched_setaffinity(0, job["cpus"])
    torch = import_torch()
    torch.set_num_threads(job["threads"])
    outcome["versions"] = {"torch": torch.__version__, "cuda": torch.version.cuda}
    found = devices(torch, job)
    first = next(iter(found.values()))
    outcome["device"] = {
        "kind": first.type,
        "name": torch.cuda.get_device_name(first) if first.type == "cuda" else None,
    }
    for done, one in enumerate(job["work"]):
        message = "%s on %s" % (one["check"], one["subject"])
        print(message, flush=True)
        told = {"step": "speed", "done": done, "total": len(job["work"]), "unit": "checks", "message": message}
        write_json(job["progress"], dict(told, check=one["check"], subject=one["subject"], time=time.time()))
        started = time.monotonic()
        got = figure(MEASURES[one["check"]], Meter(torch, found[one["subject"]], job), one["seconds"])
        got.update(check=one["check"], subject=one["subject"], seconds=round(time.monotonic() - started, 3))
        outcome["figures"].append(got)
        write_json(job["outcome"], outcome)
        if "error" in got:
            return
        if first.type == "cuda":
            torch.cuda.empty_cache()


def main(path):
    with open(path, encoding="utf-8") as stream:
        job = json.load(stream)
    outcome = {"device": None, "versions": {}, "figures": [], "refused": None}
    try:
        carry_out(job, outcome)
    except RefusedError as error:
        outcome["refused"] = {"kind": error.kind, "why": str(error)}
    write_json(job["outcome"], outcome)
    # Frameworks keep threads and device handles that can hang or crash at exit; everything is written by now.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
