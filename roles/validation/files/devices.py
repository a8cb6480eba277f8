# SPDX-License-Identifier: Apache-2.0
"""The device that a framework computes on, once it is known that it may be used.

Each function claims the device for `job` (node_job.Job), readies the framework for the job's threads, and returns
({kind: cpu|cuda, name}, {name: version}).
"""

from __future__ import annotations

import os
from importlib import util


def torch(job):
    import torch as framework

    cuda_build = bool(framework.version.cuda or getattr(framework.version, "hip", None))
    job.claim_device(cuda_build)
    framework.set_num_threads(job.threads)
    seen = framework.cuda.is_available()
    job.expect_gpu(cuda_build, seen)
    device = {"kind": "cuda", "name": framework.cuda.get_device_name(0)} if seen else {"kind": "cpu", "name": None}
    return device, {"torch": framework.__version__, "cuda": framework.version.cuda}


def tensorflow(job):
    import tensorflow as framework

    build = framework.sysconfig.get_build_info()
    job.claim_device(bool(build.get("is_cuda_build")))
    gpus = framework.config.list_physical_devices("GPU")
    job.expect_gpu(bool(build.get("is_cuda_build")), bool(gpus))
    versions = {"tensorflow": framework.__version__, "cuda": build.get("cuda_version")}
    if not gpus:
        return {"kind": "cpu", "name": None}, versions
    details = framework.config.experimental.get_device_details(gpus[0])
    return {"kind": "cuda", "name": details.get("device_name")}, versions


def xla_threads(threads):
    """Have XLA's CPU client, which reads this when it starts, keep to one thread: its pool would know no limit."""
    flags = os.environ.get("XLA_FLAGS", "")
    if threads == 1 and "xla_cpu_multi_thread_eigen" not in flags:
        os.environ["XLA_FLAGS"] = (flags + " --xla_cpu_multi_thread_eigen=false").strip()


def jax(job):
    xla_threads(job.threads)
    import jax as framework

    plugins = [major for major in (11, 12, 13) if util.find_spec("jax_cuda%d_plugin" % major)]
    job.claim_device(bool(plugins))
    first = framework.devices()[0]
    seen = first.platform in ("gpu", "cuda", "rocm")
    job.expect_gpu(bool(plugins), seen)
    return (
        {"kind": "cuda" if seen else "cpu", "name": first.device_kind if seen else None},
        {"jax": framework.__version__, "cuda": str(plugins[-1]) if plugins else None},
    )


BY_BACKEND = {"torch": torch, "tensorflow": tensorflow, "jax": jax}
