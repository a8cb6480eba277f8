# SPDX-License-Identifier: Apache-2.0
"""Serve the network as tf.keras exports it: a SavedModel."""

from __future__ import annotations

import os

import devices
import serve_job


def export(job, weights, folder):
    os.environ["KERAS_BACKEND"] = "tensorflow"
    device, versions = devices.tensorflow(job)
    import keras_job
    import tensorflow

    model = keras_job.network(tensorflow.keras, weights)[0]
    path = os.path.join(folder, "model")
    model.export(path, verbose=False)
    versions = {"framework": tensorflow.__version__, "keras": tensorflow.keras.__version__, "cuda": versions["cuda"]}
    return path, "SavedModel", [], device, versions


def load(artefact, threads):
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    tensorflow.config.threading.set_inter_op_parallelism_threads(threads)
    model = tensorflow.saved_model.load(artefact)
    return lambda images: model.serve(tensorflow.constant(images.reshape(-1, 28, 28))).numpy()


if __name__ == "__main__":
    serve_job.run(export, load, "tensorflow")
