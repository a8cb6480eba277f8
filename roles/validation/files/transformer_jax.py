# SPDX-License-Identifier: Apache-2.0
"""The transformer job in JAX alone: layers and Adam are written out, since JAX brings none of them."""

from __future__ import annotations

import devices
import numpy
import transformer_job as sizes


def fresh_weights(seed):
    """{name: array}: matrices by Glorot's uniform distribution, biases 0, norms 1, embeddings small and normal."""
    chance = numpy.random.default_rng(seed)

    def matrix(rows, columns):
        reach = (6.0 / (rows + columns)) ** 0.5
        return chance.uniform(-reach, reach, (rows, columns))

    def norm():
        return numpy.stack([numpy.ones(sizes.WIDTH), numpy.zeros(sizes.WIDTH)])

    weights = {
        "tokens": chance.normal(0, 1.0, (sizes.VOCABULARY, sizes.WIDTH)),
        "places": chance.normal(0, 0.5, (sizes.LENGTH, sizes.WIDTH)),
        "norm": norm(),
        "scores": matrix(sizes.WIDTH, sizes.VOCABULARY),
        "scores_bias": numpy.zeros(sizes.VOCABULARY),
    }
    for number in range(sizes.LAYERS):
        for name in ("query", "key", "value", "mixed"):
            weights["%s%d" % (name, number)] = matrix(sizes.WIDTH, sizes.WIDTH)
        weights["norm_a%d" % number], weights["norm_b%d" % number] = norm(), norm()
        weights["hidden%d" % number] = matrix(sizes.WIDTH, sizes.HIDDEN)
        weights["hidden_bias%d" % number] = numpy.zeros(sizes.HIDDEN)
        weights["out%d" % number] = matrix(sizes.HIDDEN, sizes.WIDTH)
        weights["out_bias%d" % number] = numpy.zeros(sizes.WIDTH)
    return {name: array.astype(numpy.float32) for name, array in weights.items()}


def scores_of(weights, tokens):
    import jax
    import jax.numpy as jnp

    def normal(state, scale):
        state = state - state.mean(axis=-1, keepdims=True)
        return state / jnp.sqrt((state**2).mean(axis=-1, keepdims=True) + 1e-5) * scale[0] + scale[1]

    def heads(state):
        return state.reshape(*state.shape[:-1], sizes.HEADS, sizes.WIDTH // sizes.HEADS).swapaxes(1, 2)

    past = jnp.tril(jnp.ones((sizes.LENGTH, sizes.LENGTH), bool))
    state = weights["tokens"][tokens] + weights["places"]
    for number in range(sizes.LAYERS):
        here = normal(state, weights["norm_a%d" % number])
        query, key, value = (heads(here @ weights["%s%d" % (name, number)]) for name in ("query", "key", "value"))
        nearness = query @ key.swapaxes(-1, -2) / (sizes.WIDTH // sizes.HEADS) ** 0.5
        attention = jax.nn.softmax(jnp.where(past, nearness, -1e9), axis=-1)
        seen = (attention @ value).swapaxes(1, 2).reshape(state.shape)
        state = state + seen @ weights["mixed%d" % number]
        here = normal(state, weights["norm_b%d" % number])
        hidden = jax.nn.relu(here @ weights["hidden%d" % number] + weights["hidden_bias%d" % number])
        state = state + hidden @ weights["out%d" % number] + weights["out_bias%d" % number]
    return normal(state, weights["norm"]) @ weights["scores"] + weights["scores_bias"]


class Framework:
    form = "transformer.npz"

    def __init__(self, job):
        self.device, versions = devices.jax(job)
        self.versions = {"framework": versions["jax"], "cuda": versions["cuda"]}
        import jax
        import jax.numpy as jnp

        def loss(weights, tokens, targets):
            chances = jax.nn.log_softmax(scores_of(weights, tokens)[:, sizes.FIRST :])
            return -jnp.take_along_axis(chances, targets[:, sizes.FIRST :, None], axis=2).mean()

        def step(state, batch):
            weights, moment, spread, count = state
            value, slope = jax.value_and_grad(loss)(weights, *batch)
            count = count + 1
            moment = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moment, slope)
            spread = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, spread, slope)
            rate = sizes.RATE * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
            weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-7), weights, moment, spread)
            return (weights, moment, spread, count), value

        self._loss = jax.jit(loss)
        self._steps = jax.jit(lambda state, inputs, targets: jax.lax.scan(step, state, (inputs, targets)))

    def fresh(self, seed):
        return self._begin(fresh_weights(seed))

    def _begin(self, weights):
        import jax
        import jax.numpy as jnp

        weights = jax.tree.map(jnp.asarray, weights)
        zeros = jax.tree.map(jnp.zeros_like, weights)
        return {"state": (weights, zeros, zeros, jnp.zeros(()))}

    def train(self, network, inputs, targets):
        network["state"], losses = self._steps(network["state"], inputs, targets)
        return numpy.asarray(losses).tolist()

    def loss(self, network, inputs, targets):
        return float(self._loss(network["state"][0], inputs, targets))

    def weights(self, network):
        return {name: numpy.array(array) for name, array in network["state"][0].items()}

    def store(self, network, path):
        numpy.savez(path, **self.weights(network))

    def load(self, network, path):
        with numpy.load(path) as stored:
            network.update(self._begin(dict(stored)))


if __name__ == "__main__":
    sizes.run(Framework)
