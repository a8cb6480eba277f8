# SPDX-License-Identifier: Apache-2.0
"""Serve the network as tf.keras exports it: a SavedModel."""

from __future__ import annotations

import os

import keras_backend
import keras_job
import serve_job
import train_tensorflow


def export(job, weights, folder):
    tensorflow, device, versions = keras_backend.tensorflow_ready(job)
    path = os.path.join(folder, "model")
    keras_job.network(tensorflow.keras, weights)[0].export(path)
    return path, "SavedModel", [], device, versions


def load(artefact, threads):
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    tensorflow.config.threading.set_inter_op_parallelism_threads(threads)
    model = tensorflow.saved_model.load(artefact)
    return lambda images: model.serve(tensorflow.constant(images.reshape(-1, 28, 28))).numpy()


if __name__ == "__main__":
    serve_job.run(export, load, train_tensorflow.train)
