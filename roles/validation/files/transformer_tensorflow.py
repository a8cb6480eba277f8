# SPDX-License-Identifier: Apache-2.0
"""The transformer job in tf.keras, stored as a checkpoint of TensorFlow."""

from __future__ import annotations

import os

import devices
import transformer_job
from keras_transformer import KerasFramework


class Framework(KerasFramework):
    form = "checkpoint"

    def __init__(self, job):
        # tf.keras of today is Keras 3, which would follow a backend that the environment chose for its own Keras.
        os.environ["KERAS_BACKEND"] = "tensorflow"
        device, versions = devices.tensorflow(job)
        import tensorflow

        super().__init__(
            tensorflow.keras, device, {"framework": tensorflow.__version__, "keras": tensorflow.keras.__version__}
        )
        self.versions["cuda"] = versions["cuda"]

    def store(self, network, path):
        import tensorflow

        # Of the weights alone: the optimizer begins anew.
        tensorflow.train.Checkpoint(weights=network.weights).write(os.path.join(path, "weights"))

    def load(self, network, path):
        import tensorflow

        status = tensorflow.train.Checkpoint(weights=network.weights).read(os.path.join(path, "weights"))
        status.assert_consumed()


if __name__ == "__main__":
    transformer_job.run(Framework)
