# SPDX-License-Identifier: Apache-2.0
"""What the Keras jobs and the tf.keras job share: the network and its schedule, written against the one API."""

from __future__ import annotations

import os

import mnist_job


def network(keras, weights, dropout=mnist_job.DROPOUT):
    """Return (model, first dense layer, second one) that begins with `weights`."""
    first = keras.layers.Dense(128, activation="relu")
    # The loss works on the scores before the softmax, which is the stable form of the same network.
    second = keras.layers.Dense(10)
    model = keras.Sequential(
        [keras.Input((28, 28)), keras.layers.Flatten(), first, keras.layers.Dropout(dropout), second]
    )
    first.set_weights([weights["dense1_kernel"], weights["dense1_bias"]])
    second.set_weights([weights["dense2_kernel"], weights["dense2_bias"]])
    return model, first, second


def fit(keras, job, data):
    """Train with `keras` (keras, or tf.keras) and return what mnist_job expects, but for device and versions."""
    train_images, train_labels, test_images, test_labels = data
    keras.utils.set_random_seed(job.seed)
    model, first, second = network(keras, mnist_job.first_weights(job.seed), job.dropout)
    model.compile(
        optimizer=keras.optimizers.Adam(
            learning_rate=mnist_job.RATE, beta_1=mnist_job.BETA1, beta_2=mnist_job.BETA2, epsilon=mnist_job.EPSILON
        ),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    for epoch in range(job.epochs):
        # An epoch at a time, so that its order is the one that all frameworks take.
        order = mnist_job.order_of(job.seed, epoch, len(train_images))
        images, labels = train_images[order], train_labels[order]
        job.epoch_begins()
        past = model.fit(
            images, labels, batch_size=job.batch_size, initial_epoch=epoch, epochs=epoch + 1, shuffle=False, verbose=0
        )
        job.epoch_ends(past.history["loss"][0], past.history["accuracy"][0])
    test_loss, test_accuracy = model.evaluate(test_images, test_labels, batch_size=1000, verbose=0)
    native = os.path.join(job.native, "native.weights.h5")
    model.save_weights(native)
    kernel1, bias1 = first.get_weights()
    kernel2, bias2 = second.get_weights()
    return {
        "test_loss": test_loss,
        "test_accuracy": test_accuracy,
        "native_weights": {"path": native, "format": "Keras weights, HDF5"},
        "weights": {"dense1_kernel": kernel1, "dense1_bias": bias1, "dense2_kernel": kernel2, "dense2_bias": bias2},
    }
