# SPDX-License-Identifier: Apache-2.0
"""The validation job in tf.keras."""

from __future__ import annotations

import os

# tf.keras of today is Keras 3, which would follow a backend that the environment chose for its own Keras.
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras_job
import mnist_job


def train(job, data):
    import tensorflow

    cuda_build = bool(tensorflow.sysconfig.get_build_info().get("is_cuda_build"))
    job.claim_device(cuda_build)
    gpus = tensorflow.config.list_physical_devices("GPU")
    job.expect_gpu(cuda_build, bool(gpus))
    name = None
    if gpus:
        name = tensorflow.config.experimental.get_device_details(gpus[0]).get("device_name")
    trained = keras_job.fit(tensorflow.keras, job, data)
    trained["device"] = {"kind": "cuda" if gpus else "cpu", "name": name}
    trained["versions"] = {
        "framework": tensorflow.__version__,
        "keras": tensorflow.keras.__version__,
        "cuda": tensorflow.sysconfig.get_build_info().get("cuda_version"),
    }
    return trained


if __name__ == "__main__":
    mnist_job.run(train)
