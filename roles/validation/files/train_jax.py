# SPDX-License-Identifier: Apache-2.0
"""The validation job in JAX alone: network, loss and Adam are written out, since JAX brings none of them."""

from __future__ import annotations

import os
from importlib import util

import mnist_job
import numpy

# Adam's, as the other frameworks have them by default.
RATE, BETA1, BETA2, EPSILON = 0.001, 0.9, 0.999, 1e-7


def device_of(job):
    """The device to train on, once it is known that it may be used."""
    import jax

    cuda_build = any(util.find_spec("jax_cuda%d_plugin" % major) for major in (12, 13))
    job.claim_device(cuda_build)
    first = jax.devices()[0]
    seen = first.platform in ("gpu", "cuda", "rocm")
    job.expect_gpu(cuda_build, seen)
    return {"kind": "cuda" if seen else "cpu", "name": first.device_kind if seen else None}


def scores_of(weights, images):
    import jax
    import jax.numpy as jnp

    hidden = jax.nn.relu(images.reshape(len(images), -1) @ weights["dense1_kernel"] + weights["dense1_bias"])
    return jnp.asarray(hidden) @ weights["dense2_kernel"] + weights["dense2_bias"]


def first_weights(key):
    """Glorot's uniform distribution for the matrices and zeros for the biases, as Keras begins."""
    import jax
    import jax.numpy as jnp

    weights = {}
    for name, shape in mnist_job.LAYOUT.items():
        if len(shape) == 1:
            weights[name] = jnp.zeros(shape)
            continue
        key, own = jax.random.split(key)
        reach = (6.0 / sum(shape)) ** 0.5
        weights[name] = jax.random.uniform(own, shape, minval=-reach, maxval=reach)
    return weights


def epoch_function(batch_size):
    """One epoch as one compiled function: (state, images, labels, order, key) -> (state, mean loss, accuracy)."""
    import jax
    import jax.numpy as jnp

    def loss_of(weights, images, labels, kept):
        hidden = jax.nn.relu(images @ weights["dense1_kernel"] + weights["dense1_bias"])
        # Dropout 0.2: what is left is scaled up, so that the sum stays.
        hidden = jnp.where(kept, hidden / 0.8, 0.0)
        scores = hidden @ weights["dense2_kernel"] + weights["dense2_bias"]
        chances = jax.nn.log_softmax(scores)
        loss = -jnp.take_along_axis(chances, labels[:, None], axis=1).mean()
        return loss, (scores.argmax(axis=1) == labels).sum()

    def step(state, batch):
        weights, moment, spread, count, key, images, labels = state
        key, own = jax.random.split(key)
        kept = jax.random.bernoulli(own, 0.8, (batch_size, 128))
        (loss, right), slope = jax.value_and_grad(loss_of, has_aux=True)(weights, images[batch], labels[batch], kept)
        count = count + 1
        moment = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, moment, slope)
        spread = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, spread, slope)
        rate = RATE * jnp.sqrt(1 - BETA2**count) / (1 - BETA1**count)
        weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + EPSILON), weights, moment, spread)
        return (weights, moment, spread, count, key, images, labels), (loss, right)

    def epoch(weights, moment, spread, count, key, images, labels, order):
        state = (weights, moment, spread, count, key, images, labels)
        state, (losses, right) = jax.lax.scan(step, state, order)
        return state[:5], losses.mean(), right.sum()

    return jax.jit(epoch)


def train(job, data):
    # Threads of XLA's CPU client are told before it starts.
    flags = os.environ.get("XLA_FLAGS", "")
    if job.threads == 1 and "xla_cpu_multi_thread_eigen" not in flags:
        os.environ["XLA_FLAGS"] = (flags + " --xla_cpu_multi_thread_eigen=false").strip()
    import jax
    import jax.numpy as jnp

    device = device_of(job)
    train_images, train_labels, test_images, test_labels = data
    images = jnp.asarray(train_images.reshape(len(train_images), -1))
    labels = jnp.asarray(train_labels.astype(numpy.int32))
    key = jax.random.key(job.seed)
    key, own = jax.random.split(key)
    weights = first_weights(own)
    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = (weights, zeros, zeros, jnp.zeros(()), key)
    epoch = epoch_function(job.batch_size)
    shuffle = numpy.random.default_rng(job.seed)
    steps = len(images) // job.batch_size
    for _dummy in range(job.epochs):
        job.epoch_begins()
        # The images that fill no whole batch are left out, others in each epoch.
        order = shuffle.permutation(len(images))[: steps * job.batch_size].reshape(steps, job.batch_size)
        state, loss, right = epoch(*state, images, labels, jnp.asarray(order))
        job.epoch_ends(float(loss), float(right) / (steps * job.batch_size))
    weights = state[0]
    scores = scores_of(weights, jnp.asarray(test_images))
    chances = jax.nn.log_softmax(scores)
    test_loss = -jnp.take_along_axis(chances, jnp.asarray(test_labels)[:, None], axis=1).mean()
    arrays = {name: numpy.asarray(array) for name, array in weights.items()}
    native = os.path.join(job.native, "native.npz")
    numpy.savez(native, **arrays)
    return {
        "test_loss": float(test_loss),
        "test_accuracy": float((numpy.asarray(scores).argmax(axis=1) == test_labels).mean()),
        "device": device,
        "versions": {"framework": jax.__version__},
        "native_weights": {"path": native, "format": "numpy arrays, as JAX has no format of its own"},
        "weights": arrays,
    }


if __name__ == "__main__":
    mnist_job.run(train)
