# SPDX-License-Identifier: Apache-2.0
"""What the transformer scripts share: the two tasks, the schedule, and the judgement by figures.

A script is `transformer_X.py` and calls `run(Framework)`. A small causal transformer learns to go on with sequences
that repeat (task 1), is stored, loaded into a new network with other weights, and fine-tuned on sequences in which each
repetition is shifted by one (task 2). What it has learnt, where to look, has to show: on task 2 it gets further in the
same steps, over the same sequences, than a network with fresh weights.

`Framework(job)` claims the device and has `device`, `versions`, `form` (the name of the file that `store` writes), and
    fresh(seed) -> network                      new weights
    train(network, inputs, targets) -> losses   one step a batch; arrays of (steps, BATCH, LENGTH) tokens
    loss(network, inputs, targets) -> float     over one batch
    weights(network) -> {name: array}           of all that is trained
    store(network, path), load(network, path)

Only numpy and the standard library here, Python 3.8 or newer.
"""

from __future__ import annotations

import os
import platform
import time

import node_job
from node_job import CannotTellError, UnfitError, cpu_name, numpy, peak_memory

# Tokens, tokens after which a sequence repeats, tokens that a network sees.
VOCABULARY, PERIOD, LENGTH = 16, 6, 24
WIDTH, HEADS, LAYERS, HIDDEN = 32, 4, 2, 64
BATCH, RATE = 32, 0.003
LEARN_STEPS, TUNE_STEPS, PORTION = 240, 60, 20
# Before the first repetition nothing can be told: the loss is taken from the first token that follows from others.
FIRST = PERIOD - 1
# A network that guesses has a loss of ln 16 = 2.77.
LEARNT = 0.5
# What fine-tuning has to gain on fresh weights.
GAIN = 0.8


def sequences(seed, batches, shift):
    """Return (inputs, targets): int32 arrays of (batches, BATCH, LENGTH), the targets one token later."""
    chance = numpy.random.default_rng(seed)
    tokens = chance.integers(0, VOCABULARY, (batches, BATCH, LENGTH + 1))
    for place in range(PERIOD, LENGTH + 1):
        tokens[..., place] = (tokens[..., place - PERIOD] + shift) % VOCABULARY
    tokens = tokens.astype(numpy.int32)
    return tokens[..., :-1].copy(), tokens[..., 1:].copy()


def differing(stored, loaded):
    """Return the names of weights that are not the same bit for bit."""
    names = sorted(set(stored) ^ set(loaded))
    for name in sorted(set(stored) & set(loaded)):
        one, other = numpy.asarray(stored[name]), numpy.asarray(loaded[name])
        if one.shape != other.shape or one.dtype != other.dtype or one.tobytes() != other.tobytes():
            names.append(name)
    return names


def teach(job, framework, network, what, seed, steps, shift):
    """Train over `steps` batches, told as they go; return the losses."""
    inputs, targets = sequences([job.seed, seed], steps, shift)
    losses = []
    for start in range(0, steps, PORTION):
        part = slice(start, start + PORTION)
        losses += [float(loss) for loss in framework.train(network, inputs[part], targets[part])]
        job.tell(what, len(losses), steps, "steps", "step %d/%d loss %.4f" % (len(losses), steps, losses[-1]))
    if not numpy.isfinite(losses).all():
        raise UnfitError("%s: a loss is no number (%s)" % (what, losses[-1]))
    return losses


def carry_out(job, make):
    """Learn, store, load, fine-tune, compare: return the figures."""
    started = time.monotonic()
    framework = make(job)
    first = [array[0] for array in sequences([job.seed, 1], 1, 0)]
    second = [array[0] for array in sequences([job.seed, 2], 1, 1)]

    network = framework.fresh(job.seed)
    # Copies: some frameworks give a view of what the next step changes.
    count = sum(array.size for array in framework.weights(network).values())
    before = framework.loss(network, *first)
    teach(job, framework, network, "learning", 3, LEARN_STEPS, 0)
    figures = {"parameters": int(count), "loss_before": before, "loss_learnt": framework.loss(network, *first)}
    if not figures["loss_learnt"] <= LEARNT:
        why = "the loss on the first task went from %.3f to %.3f, expected at most %.3f"
        raise UnfitError(why % (before, figures["loss_learnt"], LEARNT), {"figures": figures})

    path = os.path.join(job.native, framework.form)
    framework.store(network, path)
    tuned = framework.fresh(job.seed + 1)
    figures["stored_bytes"] = size_of(path)
    try:
        framework.load(tuned, path)
    except Exception as error:
        raise CannotTellError(
            "%s was stored and can't be loaded: %s: %s" % (framework.form, type(error).__name__, error)
        ) from error
    wrong = differing(framework.weights(network), framework.weights(tuned))
    figures["weights_that_differ"] = len(wrong)
    if wrong:
        why = "weights are not what was stored, once they are loaded: %s" % ", ".join(wrong[:4])
        raise UnfitError(why, {"figures": figures})

    fresh = framework.fresh(job.seed + 2)
    teach(job, framework, tuned, "fine-tuning", 4, TUNE_STEPS, 1)
    teach(job, framework, fresh, "from fresh weights", 4, TUNE_STEPS, 1)
    figures.update(
        steps=TUNE_STEPS, loss_fine_tuned=framework.loss(tuned, *second), loss_fresh=framework.loss(fresh, *second)
    )
    if not figures["loss_fine_tuned"] <= GAIN * figures["loss_fresh"]:
        why = (
            "after %d steps on the second task the loss is %.3f from given weights and %.3f from fresh ones, "
            "expected at most %g of that"
        )
        raise UnfitError(
            why % (TUNE_STEPS, figures["loss_fine_tuned"], figures["loss_fresh"], GAIN), {"figures": figures}
        )
    return {
        "figures": {name: round(value, 6) for name, value in figures.items()},
        "device": dict(framework.device, name=framework.device["name"] or cpu_name()),
        "versions": dict(framework.versions, python=platform.python_version(), numpy=numpy.__version__),
        "training_seconds": round(time.monotonic() - started, 3),
        "peak_memory_bytes": peak_memory(),
    }


def size_of(path):
    """Return the bytes of a file, or of all files of a folder."""
    if not os.path.isdir(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(place, name)) for place, _folders, names in os.walk(path) for name in names)


def run(make):
    """Carry out the job named on the command line with the framework that `make(job)` returns."""
    node_job.run(lambda job: carry_out(job, make))
