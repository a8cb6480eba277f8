# SPDX-License-Identifier: Apache-2.0
"""What the Keras and the tf.keras transformer job share, written against the one API."""

from __future__ import annotations

import transformer_job as sizes


class KerasFramework:
    """`keras` is keras, or tf.keras."""

    form = "transformer.weights.h5"

    def __init__(self, keras, device, versions):
        self.keras, self.device, self.versions = keras, device, versions

    def fresh(self, seed):
        keras = self.keras
        layers = keras.layers
        keras.utils.set_random_seed(seed)

        class Places(layers.Layer):
            """A learnt vector for each place, added to what stands there."""

            def build(self, shape):
                self.places = self.add_weight(
                    shape=shape[1:], initializer=keras.initializers.RandomNormal(stddev=0.5), name="places"
                )

            def call(self, inputs):
                return inputs + self.places

        inputs = keras.Input((sizes.LENGTH,), dtype="int32")
        state = layers.Embedding(
            sizes.VOCABULARY,
            sizes.WIDTH,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0),
            name="tokens",
        )(inputs)
        state = Places(name="places")(state)
        for number in range(sizes.LAYERS):
            normal = layers.LayerNormalization(epsilon=1e-5, name="norm_a%d" % number)(state)
            attention = layers.MultiHeadAttention(sizes.HEADS, sizes.WIDTH // sizes.HEADS, name="attention%d" % number)
            state = state + attention(normal, normal, use_causal_mask=True)
            normal = layers.LayerNormalization(epsilon=1e-5, name="norm_b%d" % number)(state)
            hidden = layers.Dense(sizes.HIDDEN, activation="relu", name="hidden%d" % number)(normal)
            state = state + layers.Dense(sizes.WIDTH, name="out%d" % number)(hidden)
        state = layers.LayerNormalization(epsilon=1e-5, name="norm")(state)
        scores = layers.Dense(sizes.VOCABULARY, name="scores")(state)
        network = keras.Model(inputs, scores[:, sizes.FIRST :])
        network.compile(
            optimizer=keras.optimizers.Adam(learning_rate=sizes.RATE),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        return network

    def train(self, network, inputs, targets):
        # By fit, since early versions of Keras 3 compile anew at each train_on_batch.
        told = []
        each = self.keras.callbacks.LambdaCallback(on_batch_end=lambda _batch, logs: told.append(float(logs["loss"])))
        wanted = targets[:, :, sizes.FIRST :]
        network.fit(
            inputs.reshape(-1, sizes.LENGTH),
            wanted.reshape(-1, wanted.shape[-1]),
            batch_size=sizes.BATCH,
            shuffle=False,
            verbose=0,
            callbacks=[each],
        )
        # Keras gives the mean over all batches so far.
        sums = [mean * count for count, mean in enumerate(told, 1)]
        return [after - before for before, after in zip([0.0, *sums], sums)]

    def loss(self, network, inputs, targets):
        network.reset_metrics()
        return float(network.test_on_batch(inputs, targets[:, sizes.FIRST :]))

    def weights(self, network):
        # With copies, since on a CPU a backend may hand out a view of what the next step changes.
        # Keras 2, which is tf.keras until 2.15, knows names only.
        named = enumerate((getattr(one, "path", one.name), one) for one in network.weights)
        return {"%d %s" % (at, name): one.numpy().copy() for at, (name, one) in named}

    def store(self, network, path):
        network.save_weights(path)

    def load(self, network, path):
        network.load_weights(path)
