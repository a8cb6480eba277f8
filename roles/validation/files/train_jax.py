# SPDX-License-Identifier: Apache-2.0
"""The validation job in JAX alone: network, loss and Adam are written out, since JAX brings none of them."""

from __future__ import annotations

import os

import devices
import mnist_job
import numpy


def scores_of(weights, images):
    """The network without dropout."""
    import jax

    hidden = jax.nn.relu(images.reshape(-1, 784) @ weights["dense1_kernel"] + weights["dense1_bias"])
    return hidden @ weights["dense2_kernel"] + weights["dense2_bias"]


def epoch_function(dropout):
    """One pass over batches as one compiled function.

    (state, images, labels, batches) -> (state, sum of the losses, number of images that were right)
    """
    import jax
    import jax.numpy as jnp
    from mnist_job import BETA1, BETA2, EPSILON, RATE

    def loss_of(weights, images, labels, key):
        hidden = jax.nn.relu(images @ weights["dense1_kernel"] + weights["dense1_bias"])
        if dropout:
            # What is left is scaled up, so that the sum stays.
            kept = jax.random.bernoulli(key, 1 - dropout, hidden.shape)
            hidden = jnp.where(kept, hidden / (1 - dropout), 0.0)
        scores = hidden @ weights["dense2_kernel"] + weights["dense2_bias"]
        chances = jax.nn.log_softmax(scores)
        loss = -jnp.take_along_axis(chances, labels[:, None], axis=1).mean()
        return loss, (scores.argmax(axis=1) == labels).sum()

    def epoch(state, images, labels, batches):
        def step(state, batch):
            weights, moment, spread, count, key = state
            key, own = jax.random.split(key)
            (loss, right), slope = jax.value_and_grad(loss_of, has_aux=True)(weights, images[batch], labels[batch], own)
            count = count + 1
            moment = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, moment, slope)
            spread = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, spread, slope)
            rate = RATE * jnp.sqrt(1 - BETA2**count) / (1 - BETA1**count)
            weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + EPSILON), weights, moment, spread)
            return (weights, moment, spread, count, key), (loss * len(batch), right)

        state, (losses, right) = jax.lax.scan(step, state, batches)
        return state, losses.sum(), right.sum()

    return jax.jit(epoch)


def train(job, data):
    device, versions = devices.jax(job)
    import jax
    import jax.numpy as jnp

    train_images, train_labels, test_images, test_labels = data
    count = len(train_images)
    images = jnp.asarray(train_images.reshape(count, -1))
    labels = jnp.asarray(train_labels.astype(numpy.int32))
    weights = jax.tree.map(jnp.asarray, mnist_job.first_weights(job.seed))
    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = (weights, zeros, zeros, jnp.zeros(()), jax.random.key(job.seed))
    pass_over = epoch_function(job.dropout)
    whole = count // job.batch_size * job.batch_size
    for epoch in range(job.epochs):
        job.epoch_begins()
        order = mnist_job.order_of(job.seed, epoch, count).astype(numpy.int32)
        loss_sum, right_sum = 0.0, 0
        # The images that fill no whole batch are a pass of their own, since a compiled function has fixed shapes.
        for part, size in ((order[:whole], job.batch_size), (order[whole:], count - whole)):
            if len(part):
                state, losses, right = pass_over(state, images, labels, jnp.asarray(part.reshape(-1, size)))
                loss_sum, right_sum = loss_sum + float(losses), right_sum + int(right)
        job.epoch_ends(loss_sum / count, right_sum / count)
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
        "versions": {"framework": versions["jax"], "cuda": versions["cuda"]},
        "native_weights": {"path": native, "format": "numpy arrays, as JAX has no format of its own"},
        "weights": arrays,
    }


if __name__ == "__main__":
    mnist_job.run(train)
