# SPDX-License-Identifier: Apache-2.0
"""The validation job in tf.keras."""

from __future__ import annotations

import keras_backend
import keras_job
import mnist_job


def train(job, data):
    tensorflow, device, versions = keras_backend.tensorflow_ready(job)
    return dict(keras_job.fit(tensorflow.keras, job, data), device=device, versions=versions)


if __name__ == "__main__":
    mnist_job.run(train)
