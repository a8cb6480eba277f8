# SPDX-License-Identifier: Apache-2.0
"""The transformer job in tf.keras, stored as a checkpoint of TensorFlow."""

from __future__ import annotations

import os

import keras_backend
import transformer_job
from keras_transformer import KerasFramework


class Framework(KerasFramework):
    form = "checkpoint"

    def __init__(self, job):
        self.tensorflow, device, versions = keras_backend.tensorflow_ready(job)
        super().__init__(self.tensorflow.keras, device, versions)

    def store(self, network, path):
        # Of the weights alone: the optimizer begins anew.
        self.tensorflow.train.Checkpoint(weights=network.weights).write(os.path.join(path, "weights"))

    def load(self, network, path):
        status = self.tensorflow.train.Checkpoint(weights=network.weights).read(os.path.join(path, "weights"))
        status.assert_consumed()


if __name__ == "__main__":
    transformer_job.run(Framework)
