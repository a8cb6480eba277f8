# SPDX-License-Identifier: Apache-2.0
"""Serve the network as JAX exports it: StableHLO (jax.export), with the weights as its constants."""

from __future__ import annotations

import os
from importlib import util

import devices
import serve_job
import train_jax
from node_job import RefusedError


def need_export():
    """jax.export is part of JAX since 0.4.30, and writes by flatbuffers, which jax does not bring."""
    if not util.find_spec("jax.export"):
        raise RefusedError(
            "the environment's JAX is older than 0.4.30 and has no jax.export",
            "take a newer jax where models are to be exported from it",
        )
    if not util.find_spec("flatbuffers"):
        raise RefusedError(
            "jax.export writes StableHLO by flatbuffers, which the environment does not hold",
            "add flatbuffers to the environment's spec where models are to be exported from it",
        )


def stablehlo(function, example_shape, path):
    """Write `function`, of a free number of images, for the device that is in use."""
    import jax
    import jax.numpy as jnp
    from jax import export as jax_export

    count = jax_export.symbolic_shape("images")[0]
    images = jax.ShapeDtypeStruct((count, *example_shape), jnp.float32)
    exported = jax_export.export(jax.jit(function))(images)
    with open(path, "wb") as stream:
        stream.write(exported.serialize())


def load_stablehlo(artefact, shape):
    """Return what answers for images of `shape` by a written StableHLO."""
    import numpy
    from jax import export as jax_export

    with open(artefact, "rb") as stream:
        call = jax_export.deserialize(bytearray(stream.read())).call
    return lambda images: numpy.asarray(call(images.reshape(-1, *shape)))


def export(job, weights, folder):
    device, versions = devices.jax(job)
    need_export()
    import jax
    import jax.numpy as jnp

    constants = jax.tree.map(jnp.asarray, weights)
    path = os.path.join(folder, "model.stablehlo")
    stablehlo(lambda images: train_jax.scores_of(constants, images), (784,), path)
    return path, "StableHLO (jax.export)", [], device, {"framework": versions["jax"], "cuda": versions["cuda"]}


def load(artefact, threads):
    devices.xla_threads(threads)
    return load_stablehlo(artefact, (784,))


if __name__ == "__main__":
    serve_job.run(export, load, train_jax.train)
