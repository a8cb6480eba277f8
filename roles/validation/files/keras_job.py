# SPDX-License-Identifier: Apache-2.0
"""What the Keras and the tf.keras job share: the network and its schedule, written against the one API."""

from __future__ import annotations

import os


def fit(keras, job, data):
    """Train with `keras` (keras, or tf.keras) and return what mnist_job expects, but for device and versions."""
    train_images, train_labels, test_images, test_labels = data
    keras.utils.set_random_seed(job.seed)
    first = keras.layers.Dense(128, activation="relu")
    # The loss works on the scores before the softmax, which is the stable form of the same network.
    second = keras.layers.Dense(10)
    model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), first, keras.layers.Dropout(0.2), second])
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=0.001),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    follow = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: job.epoch_begins(),
        on_epoch_end=lambda epoch, logs: job.epoch_ends(logs["loss"], logs["accuracy"]),
    )
    model.fit(
        train_images, train_labels, epochs=job.epochs, batch_size=job.batch_size, verbose=0, callbacks=[follow]
    )  # fmt: skip
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
