# SPDX-License-Identifier: Apache-2.0
"""The validation job in Keras 3, on the backend that KERAS_BACKEND names (the module sets it)."""

from __future__ import annotations

import os

import keras_job
import mnist_job


def device_torch(job):
    import torch

    cuda_build = bool(torch.version.cuda or getattr(torch.version, "hip", None))
    job.claim_device(cuda_build)
    torch.set_num_threads(job.threads)
    seen = torch.cuda.is_available()
    job.expect_gpu(cuda_build, seen)
    device = {"kind": "cuda", "name": torch.cuda.get_device_name(0)} if seen else {"kind": "cpu", "name": None}
    return device, torch.__version__


def device_tensorflow(job):
    import tensorflow

    cuda_build = bool(tensorflow.sysconfig.get_build_info().get("is_cuda_build"))
    job.claim_device(cuda_build)
    gpus = tensorflow.config.list_physical_devices("GPU")
    job.expect_gpu(cuda_build, bool(gpus))
    if not gpus:
        return {"kind": "cpu", "name": None}, tensorflow.__version__
    details = tensorflow.config.experimental.get_device_details(gpus[0])
    return {"kind": "cuda", "name": details.get("device_name")}, tensorflow.__version__


def device_jax(job):
    from importlib import util

    import jax

    cuda_build = any(util.find_spec("jax_cuda%d_plugin" % major) for major in (12, 13))
    job.claim_device(cuda_build)
    first = jax.devices()[0]
    seen = first.platform in ("gpu", "cuda", "rocm")
    job.expect_gpu(cuda_build, seen)
    return {"kind": "cuda" if seen else "cpu", "name": first.device_kind if seen else None}, jax.__version__


DEVICES = {"torch": device_torch, "tensorflow": device_tensorflow, "jax": device_jax}


def backend():
    """Return the backend to use: the environment's own choice, else torch where it is installed."""
    from importlib import util

    chosen = os.environ.get("KERAS_BACKEND")
    if not chosen:
        chosen = next((name for name in ("torch", "tensorflow", "jax") if util.find_spec(name)), "")
    if chosen not in DEVICES:
        raise mnist_job.CannotTellError(
            "KERAS_BACKEND: %r is not accepted. Accepted: torch, tensorflow or jax, installed in the environment"
            % chosen
        )
    os.environ["KERAS_BACKEND"] = chosen
    return chosen


def train(job, data):
    name = backend()
    import keras

    device, version = DEVICES[name](job)
    trained = keras_job.fit(keras, job, data)
    trained["device"] = device
    trained["versions"] = {"framework": keras.__version__, "keras_backend": name, name: version}
    return trained


if __name__ == "__main__":
    mnist_job.run(train)
