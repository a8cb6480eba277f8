# SPDX-License-Identifier: Apache-2.0
"""What the training scripts share: reading the data, telling the progress, checking and writing the outcome.

A script is started by the environment's own python as `python train_X.py JOB.json`, and calls `run(train)`.
JOB.json: {data: {train_images, train_labels, test_images, test_labels: path}, epochs, batch_size, seed, threads,
gpu: {state: none|free|busy|unknown, why}, outcome: path, progress: path, weights: path of weights.npz, native: folder}.
`train(job, data)` returns the fields of `Trained`. A new framework is one more file with one such function.

Only numpy and the standard library here, Python 3.8 or newer.
"""

from __future__ import annotations

import gzip
import json
import os
import platform
import resource
import sys
import time
import traceback

try:
    import numpy
except ImportError:  # torch works without it, and many environments hold nothing else
    numpy = None

# The four arrays of the one-hidden-layer network, as every framework's script hands them over.
LAYOUT = {"dense1_kernel": (784, 128), "dense1_bias": (128,), "dense2_kernel": (128, 10), "dense2_bias": (10,)}
MAGIC = {3: 0x00000803, 1: 0x00000801}


class CannotTellError(Exception):
    """The job could not find out whether the environment trains: verdict ERROR."""


class RefusedError(Exception):
    """The job does not start, for a reason that says nothing about the environment: verdict SKIP."""


class UnfitError(Exception):
    """The environment cannot do what it was made for: verdict FAIL."""


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


def cpu_name():
    """Return the processor's model, or None where /proc does not tell."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            names = [line.split(":", 1)[1].strip() for line in stream if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else None


def write_json(path, value):
    """Write so that a reader sees all or nothing."""
    with open(path + ".tmp", "w", encoding="utf-8") as stream:
        json.dump(value, stream)
    os.replace(path + ".tmp", path)


class Job:
    """The job description, and what has been reached of it."""

    def __init__(self, description):
        self.__dict__.update(description)
        self.done = []
        self._seconds = []
        self.images_per_epoch = 0
        self._epoch_started = 0.0

    def claim_device(self, cuda_build):
        """Raise where the framework is built for GPUs and the node's are taken, or nobody could tell."""
        if not cuda_build:
            return
        if self.gpu["state"] == "busy":
            raise RefusedError(self.gpu["why"])
        if self.gpu["state"] == "unknown":
            raise CannotTellError(self.gpu["why"])

    def expect_gpu(self, cuda_build, seen):
        """Raise where a free GPU is there, the framework is built for one, and sees none."""
        if cuda_build and self.gpu["state"] == "free" and not seen:
            raise UnfitError("the framework is built for CUDA and the node has a free GPU, but the framework sees none")

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
        progress = {"step": "train", "done": entry["epoch"], "total": self.epochs, "unit": "epochs"}
        print(message, flush=True)
        if self.progress:
            write_json(self.progress, dict(progress, message=message, time=time.time()))

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
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def run(train):
    """Carry out the job named on the command line, and write its outcome whatever happens."""
    with open(sys.argv[1], encoding="utf-8") as stream:
        job = Job(json.load(stream))
    try:
        if numpy is None:
            raise CannotTellError(
                "the environment holds no numpy, which the job reads its data and keeps its weights with: "
                "add numpy to the environment's spec, or take its framework out of `frameworks`"
            )
        outcome = dict(carry_out(job, train), kind="done")
    except RefusedError as error:
        outcome = {"kind": "refused", "reason": str(error)}
    except UnfitError as error:
        outcome = {"kind": "unfit", "reason": str(error), "epochs": job.done}
    except CannotTellError as error:
        outcome = {"kind": "error", "reason": str(error), "epochs": job.done}
    except Exception as error:  # noqa: BLE001 - whatever it is, it becomes the verdict
        traceback.print_exc()
        outcome = {"kind": "error", "reason": "%s: %s" % (type(error).__name__, error), "epochs": job.done}
    write_json(job.outcome, outcome)
    # Frameworks keep threads and device handles that can hang or crash at exit; everything is written by now.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
