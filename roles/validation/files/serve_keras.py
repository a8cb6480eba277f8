# SPDX-License-Identifier: Apache-2.0
"""Serve the network as Keras exports it on its backend: a SavedModel, an ExportedProgram, or StableHLO.

On JAX, Keras' own export makes a SavedModel by way of TensorFlow; without TensorFlow the stateless call of its model
is exported by jax.export.
"""

from __future__ import annotations

import os
from importlib import util

import devices
import keras_backend
import keras_job
import serve_jax
import serve_job
import train_keras
from node_job import RefusedError


def export(job, weights, folder):
    keras, backend, device, versions = keras_backend.ready(job)
    model = keras_job.network(keras, weights)[0]
    path, form = EXPORTS[backend](model, folder)
    return path, form, [], device, versions


def export_tensorflow(model, folder):
    path = os.path.join(folder, "model.tf")
    model.export(path)
    return path, "SavedModel (Keras' export)"


def export_torch(model, folder):
    if not util.find_spec("keras.src.export.torch"):
        raise RefusedError(
            "the environment's Keras is too old to export a model of the backend torch",
            "take a newer keras where models are to be exported from it",
        )
    import torch

    model.eval()
    path = os.path.join(folder, "model.pt2")
    shapes = {0: torch.export.Dim("images", min=1)}
    model.export(path, format="torch", verbose=False, dynamic_shapes=shapes)
    return path, "ExportedProgram (Keras' export for PyTorch)"


def export_jax(model, folder):
    serve_jax.need_export()
    trained = [weight.value for weight in model.trainable_variables]
    others = [weight.value for weight in model.non_trainable_variables]
    path = os.path.join(folder, "model.stablehlo")

    def scores(images):
        return model.stateless_call(trained, others, images, training=False)[0]

    try:
        serve_jax.stablehlo(scores, (28, 28), path)
    except ValueError as error:
        # As of Keras 3.0, to which a number of images that is free is none.
        if "_DimExpr" not in str(error):
            raise
        raise RefusedError(
            "the environment's Keras is too old to be exported for a free number of images (%s)" % error,
            "take a newer keras where models are to be exported from it",
        ) from error
    return path, "StableHLO (jax.export of Keras' stateless call)"


EXPORTS = {"tensorflow": export_tensorflow, "torch": export_torch, "jax": export_jax}


def load(artefact, threads):
    """By the framework alone: what was exported needs no Keras."""
    if artefact.endswith(".tf"):
        import serve_tensorflow

        return serve_tensorflow.load(artefact, threads)
    if artefact.endswith(".pt2"):
        import serve_torch

        answer = serve_torch.load(artefact, threads)
        return lambda images: answer(images.reshape(-1, 28, 28))
    devices.xla_threads(threads)
    return serve_jax.load_stablehlo(artefact, (28, 28))


if __name__ == "__main__":
    serve_job.run(export, load, train_keras.train)
