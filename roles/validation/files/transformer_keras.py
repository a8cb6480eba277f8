# SPDX-License-Identifier: Apache-2.0
"""The transformer job in Keras 3, on the backend that KERAS_BACKEND names (the module sets it)."""

from __future__ import annotations

import keras_backend
import transformer_job
from keras_transformer import KerasFramework


def framework(job):
    keras, _backend, device, versions = keras_backend.ready(job)
    return KerasFramework(keras, device, versions)


if __name__ == "__main__":
    transformer_job.run(framework)
