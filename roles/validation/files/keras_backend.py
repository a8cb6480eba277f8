# SPDX-License-Identifier: Apache-2.0
"""Which backend Keras 3 computes with: it has to be said before Keras is imported."""

from __future__ import annotations

import os
from importlib import util

import devices
from node_job import CannotTellError


def choose():
    """Set KERAS_BACKEND to what is installed where it is not set (for `keras-torch` the module sets it); return it."""
    chosen = os.environ.get("KERAS_BACKEND")
    if not chosen:
        chosen = next((name for name in devices.BY_BACKEND if util.find_spec(name)), "")
    if chosen not in devices.BY_BACKEND or not util.find_spec(chosen):
        raise CannotTellError(
            "KERAS_BACKEND: %r is not accepted. Accepted: torch, tensorflow or jax, installed in the environment"
            % chosen
        )
    os.environ["KERAS_BACKEND"] = chosen
    return chosen


def ready(job):
    """Return (keras, backend, device, versions), ready to compute on the device that was claimed."""
    name = choose()
    device, versions = devices.BY_BACKEND[name](job)
    import keras

    return keras, name, device, {"framework": keras.__version__, "keras_backend": name, **versions}


def tensorflow_ready(job):
    """Return (tensorflow, device, versions): tf.keras, ready to compute on the device that was claimed."""
    # tf.keras of today is Keras 3, which would follow a backend that the environment chose for its own Keras.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    device, versions = devices.tensorflow(job)
    import tensorflow

    version = getattr(tensorflow.keras, "__version__", None)
    if version is None:  # TensorFlow 2.16 hides it
        import keras

        version = keras.__version__
    return tensorflow, device, {"framework": tensorflow.__version__, "keras": version, "cuda": versions["cuda"]}
