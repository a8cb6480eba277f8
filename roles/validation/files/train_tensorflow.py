# SPDX-License-Identifier: Apache-2.0
"""The validation job in tf.keras."""

from __future__ import annotations

import os

import devices
import keras_job
import mnist_job


def train(job, data):
    # tf.keras of today is Keras 3, which would follow a backend that the environment chose for its own Keras.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    device, versions = devices.tensorflow(job)
    import tensorflow

    trained = keras_job.fit(tensorflow.keras, job, data)
    trained["device"] = device
    trained["versions"] = {
        "framework": tensorflow.__version__,
        "keras": tensorflow.keras.__version__,
        "cuda": versions["cuda"],
    }
    return trained


if __name__ == "__main__":
    mnist_job.run(train)
