# SPDX-License-Identifier: Apache-2.0
"""What all jobs share: the description they are started with, the device they may use, progress, and the outcome.

A script is started by the environment's own python as `python KIND_FRAMEWORK.py JOB.json`. JOB.json holds at least
{epochs, batch_size, seed, threads, timeout, gpu: {state: none|free|busy|unknown, why}, outcome: path, progress: path}
and maybe for_cuda (whether the environment's target is one for CUDA; false unless given).
The outcome is a JSON file: {kind: done|refused|unfit|error, reason, …figures}.

Only numpy and the standard library here, Python 3.8 or newer.
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys
import time
import traceback

try:
    import numpy
except ImportError:  # torch works without it, and many environments hold nothing else
    numpy = None


class CannotTellError(Exception):
    """The job could not find out whether the environment works: verdict ERROR."""


class RefusedError(Exception):
    """The job does not start, for a reason that says nothing about the environment: verdict SKIP."""

    def __init__(self, reason, next_step=None):
        super().__init__(reason)
        self.next_step = next_step


class UnfitError(Exception):
    """The environment cannot do what it was made for: verdict FAIL. `figures` are what was measured before."""

    def __init__(self, reason, figures=None):
        super().__init__(reason)
        self.figures = figures or {}


def cpu_name():
    """Return the processor's model, or None where /proc does not tell."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            names = [line.split(":", 1)[1].strip() for line in stream if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else None


def peak_memory():
    """Return the largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def write_json(path, value):
    """Write so that a reader sees all or nothing."""
    with open(path + ".tmp", "w", encoding="utf-8") as stream:
        json.dump(value, stream)
    os.replace(path + ".tmp", path)


def speakable(value):
    """Return what JSON can say of a value: figures that are no numbers become words, since other readers of JSON know
    none of Python's NaN and Infinity."""
    if isinstance(value, dict):
        return {key: speakable(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [speakable(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


class Job:
    """The job description, and what has been reached of it."""

    def __init__(self, description):
        self.for_cuda = False
        self.__dict__.update(description)
        self.done = []

    def claim_device(self, cuda_build):
        """Raise where the framework is built for GPUs and the node's are taken, or nobody could tell; or is not built
        for them and should be."""
        if not cuda_build:
            if self.for_cuda:
                raise UnfitError("the environment's target is one for CUDA, and its framework is a build for the CPU")
            return
        if self.gpu["state"] == "busy":
            raise RefusedError(self.gpu["why"])
        if self.gpu["state"] == "unknown":
            raise CannotTellError(self.gpu["why"])

    def expect_gpu(self, cuda_build, seen):
        """Raise where a free GPU is there, the framework is built for one, and sees none."""
        if cuda_build and self.gpu["state"] == "free" and not seen:
            raise UnfitError("the framework is built for CUDA and the node has a free GPU, but the framework sees none")

    def tell(self, step, done, total, unit, message):
        """Tell whoever follows the progress file, and the log."""
        print(step, message, flush=True)
        if self.progress:
            told = {"step": step, "done": done, "total": total, "unit": unit}
            write_json(self.progress, dict(told, message=message, time=time.time()))


def run(body, make=Job):
    """Carry out `body(job)` for the job named on the command line, and write its outcome whatever happens."""
    with open(sys.argv[1], encoding="utf-8") as stream:
        job = make(json.load(stream))
    try:
        if numpy is None:
            raise CannotTellError(
                "the environment holds no numpy, which the job reads its data and keeps its weights with: "
                "add numpy to the environment's spec, or take its framework out of `frameworks`"
            )
        outcome = dict(body(job), kind="done")
    except RefusedError as error:
        outcome = {"kind": "refused", "reason": str(error), "next_step": error.next_step}
    except UnfitError as error:
        outcome = dict(error.figures, kind="unfit", reason=str(error), epochs=job.done)
    except CannotTellError as error:
        outcome = {"kind": "error", "reason": str(error), "epochs": job.done}
    except Exception as error:  # noqa: BLE001 - whatever it is, it becomes the verdict
        traceback.print_exc()
        outcome = {"kind": "error", "reason": "%s: %s" % (type(error).__name__, error), "epochs": job.done}
    write_json(job.outcome, speakable(outcome))
    # Frameworks keep threads and device handles that can hang or crash at exit; everything is written by now.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
