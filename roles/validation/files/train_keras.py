# SPDX-License-Identifier: Apache-2.0
"""The validation job in Keras 3, on the backend that KERAS_BACKEND names (the module sets it)."""

from __future__ import annotations

import keras_backend
import keras_job
import mnist_job


def train(job, data):
    keras, _backend, device, versions = keras_backend.ready(job)
    return dict(keras_job.fit(keras, job, data), device=device, versions=versions)


if __name__ == "__main__":
    mnist_job.run(train)
