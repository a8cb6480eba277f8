# SPDX-License-Identifier: Apache-2.0
"""What the training scripts share: the data, the first weights, the order of the images, and the outcome's figures.

A script is `train_X.py` and calls `run(train)`. Beside what node_job.py says, JOB.json holds
{data: {train_images, train_labels, test_images, test_labels: path}, weights: path of weights.npz, native: folder} and
maybe dropout (0.2 unless given). `train(job, data)` returns the fields of `Trained`. A new framework is one more file
with one such function.

All frameworks train one network, defined here: they begin with the same weights and see the images in the same order,
both made by numpy from the seed. What is left to differ is dropout, which each framework draws by itself, and rounding.

Only numpy and the standard library here, Python 3.8 or newer.
"""

from __future__ import annotations

import gzip
import platform
import time

import node_job
from node_job import CannotTellError, RefusedError, UnfitError, cpu_name, numpy, peak_memory

__all__ = ["CannotTellError", "RefusedError", "UnfitError"]

# The four arrays of the one-hidden-layer network, as every framework's script hands them over.
LAYOUT = {"dense1_kernel": (784, 128), "dense1_bias": (128,), "dense2_kernel": (128, 10), "dense2_bias": (10,)}
MAGIC = {3: 0x00000803, 1: 0x00000801}
# Adam's, for all: the rate that tutorials take, and Keras' epsilon (PyTorch's own default is 1e-8).
RATE, BETA1, BETA2, EPSILON = 0.001, 0.9, 0.999, 1e-7
DROPOUT = 0.2


def first_weights(seed):
    """Return the network before training: Glorot's uniform distribution for the matrices, zeros for the biases."""
    chance = numpy.random.default_rng([seed, 0])
    weights = {}
    for name, shape in LAYOUT.items():
        reach = (6.0 / sum(shape)) ** 0.5 if len(shape) == 2 else 0.0
        weights[name] = chance.uniform(-reach, reach, shape).astype(numpy.float32)
    return weights


def order_of(seed, epoch, count):
    """Return in which order an epoch (from 0) takes the images."""
    return numpy.random.default_rng([seed, 1, epoch]).permutation(count)


def read_idx(path, dimensions):
    """Return an IDX file of unsigned bytes (raw, or .gz by content) as an array of `dimensions` dimensions."""
    try:
        with open(path, "rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else open(path, "rb") as stream:
            content = stream.read()
    except (OSError, EOFError) as error:
        raise CannotTellError("%s cannot be read: %s" % (path, error)) from error
    head = 4 + 4 * dimensions
    if len(content) < head:
        raise CannotTellError("%s is no IDX file: it ends within its header" % path)
    magic = int.from_bytes(content[:4], "big")
    if magic != MAGIC[dimensions]:
        raise CannotTellError(
            "%s is no IDX file of bytes with %d dimension(s): its first four bytes are %08x, expected %08x"
            % (path, dimensions, magic, MAGIC[dimensions])
        )
    shape = tuple(int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(dimensions))
    count = 1
    for length in shape:
        count *= length
    if len(content) - head != count:
        raise CannotTellError(
            "%s: its header promises %d bytes of data, it has %d" % (path, count, len(content) - head)
        )
    return numpy.frombuffer(content, dtype=numpy.uint8, offset=head).reshape(shape)


def read_data(paths):
    """Return (train images, train labels, test images, test labels): images as float32 from 0 to 1, labels as int64."""
    found = []
    for part in ("train", "test"):
        images = read_idx(paths[part + "_images"], 3)
        labels = read_idx(paths[part + "_labels"], 1)
        if images.shape[1:] != (28, 28):
            raise CannotTellError(
                "%s: images are %d x %d, expected 28 x 28" % (paths[part + "_images"], *images.shape[1:])
            )
        if len(images) != len(labels) or not len(labels):
            counts = (paths[part + "_labels"], len(images), len(labels))
            raise CannotTellError("%s: for %d images there are %d labels" % counts)
        if labels.max() > 9:
            raise CannotTellError("%s: has the label %d, expected 0 to 9" % (paths[part + "_labels"], labels.max()))
        found += [images.astype(numpy.float32) / 255.0, labels.astype(numpy.int64)]
    return tuple(found)


def forward_accuracy(weights, images, labels):
    """Return the share of images that the network with these four arrays recognises; numpy alone, no framework."""
    hidden = numpy.maximum(images.reshape(len(images), -1) @ weights["dense1_kernel"] + weights["dense1_bias"], 0.0)
    scores = hidden @ weights["dense2_kernel"] + weights["dense2_bias"]
    # Softmax keeps the order of the scores, so the most probable digit is the one with the highest score.
    return float((scores.argmax(axis=1) == labels).mean())


class Job(node_job.Job):
    """A training, and how far it has come."""

    def __init__(self, description):
        super().__init__({"dropout": DROPOUT, **description})
        self._seconds = []
        self.images_per_epoch = 0
        self._epoch_started = 0.0

    def epoch_begins(self):
        self._epoch_started = time.monotonic()

    def epoch_ends(self, loss, accuracy):
        """Note one epoch, with its mean training loss and accuracy, and tell whoever follows the progress file."""
        # Never 0, by which nothing could be divided, however coarse the clock.
        seconds = max(time.monotonic() - self._epoch_started, 1e-6)
        self._seconds.append(seconds)
        speed = round(self.images_per_epoch / seconds, 1)
        entry = {"epoch": len(self.done) + 1, "loss": round(float(loss), 6), "accuracy": round(float(accuracy), 6)}
        entry.update(seconds=round(seconds, 3), images_per_second=speed)
        if not numpy.isfinite(entry["loss"]):
            raise UnfitError("the training loss of epoch %d is %s" % (entry["epoch"], entry["loss"]))
        self.done.append(entry)
        message = "epoch %d/%d loss %.4f accuracy %.4f %s images/s" % (
            entry["epoch"], self.epochs, loss, accuracy, format(round(speed), ","),
        )  # fmt: skip
        self.tell("train", entry["epoch"], self.epochs, "epochs", message)

    def training_speed(self):
        """Return images per second over the epochs after the first, which also pays for start-up and compilation."""
        counted = self._seconds[1:] or self._seconds
        return round(len(counted) * self.images_per_epoch / sum(counted), 1)


def save_weights(path, arrays):
    """Write the four arrays under the names of LAYOUT."""
    for name, shape in LAYOUT.items():
        if arrays[name].shape != shape:
            raise CannotTellError("the weights %s have the shape %s, expected %s" % (name, arrays[name].shape, shape))
    numpy.savez(path, **{name: numpy.asarray(arrays[name], dtype=numpy.float32) for name in LAYOUT})


def carry_out(job, train):
    """Train, save, and read back what was saved: return the figures."""
    started = time.monotonic()
    data = read_data(job.data)
    job.images_per_epoch = len(data[0])
    trained = train(job, data)
    if not numpy.isfinite(trained["test_loss"]):
        raise UnfitError("the test loss is %s" % trained["test_loss"])
    save_weights(job.weights, trained["weights"])
    with numpy.load(job.weights) as stored:
        recomputed = forward_accuracy(stored, data[2], data[3])
    # One image in a thousand may fall to the other side by rounding; more means that something else was saved.
    if abs(recomputed - trained["test_accuracy"]) > 0.001:
        raise CannotTellError(
            "the framework says test accuracy %.4f, but the saved weights give %.4f"
            % (trained["test_accuracy"], recomputed)
        )
    return {
        "epochs": job.done,
        "test_loss": round(float(trained["test_loss"]), 6),
        "test_accuracy": round(float(trained["test_accuracy"]), 6),
        "recomputed_accuracy": round(recomputed, 6),
        "train_images": len(data[0]),
        "test_images": len(data[2]),
        "images_per_second": job.training_speed(),
        "images_per_second_of": "training, epochs %d to %d" % (min(2, len(job.done)), len(job.done)),
        "training_seconds": round(time.monotonic() - started, 3),
        "device": dict(trained["device"], name=trained["device"]["name"] or cpu_name()),
        "versions": dict(trained["versions"], python=platform.python_version(), numpy=numpy.__version__),
        "native_weights": trained["native_weights"],
        "peak_memory_bytes": peak_memory(),
    }


def run(train):
    """Carry out the job named on the command line, and write its outcome whatever happens."""
    node_job.run(lambda job: carry_out(job, train), Job)
