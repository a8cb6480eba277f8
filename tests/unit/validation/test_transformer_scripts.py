"""The transformer scripts, run as on a node: that they pass, and that each thing that can go wrong is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.validation.scripts import FILES, describe, need, run

# A network of numpy: a table that tells the next token from the one that stood a period before, learnt by counting.
NUMPY_FRAMEWORK = """
import numpy, sys, transformer_job as sizes

class Framework:
    form = "table.npz"
    device, versions = {"kind": "cpu", "name": None}, {"framework": "1"}

    def __init__(self, job):
        job.claim_device(True)

    def fresh(self, seed):
        chance = numpy.random.default_rng(seed)
        size = sizes.VOCABULARY
        return {"table": chance.random((size, size)) / 100, "bias": numpy.zeros(1)}

    def train(self, network, inputs, targets):
        losses = []
        for one, wanted in zip(inputs, targets):
            before, after = one[:, : -sizes.FIRST], wanted[:, sizes.FIRST :]
            numpy.add.at(network["table"], (before.ravel(), after.ravel()), STEP)
            losses.append(LOSS if LOSS else self.loss(network, one, wanted))
        return losses

    def loss(self, network, inputs, targets):
        scores = network["table"][inputs[:, : -sizes.FIRST]]
        chances = numpy.exp(scores - scores.max(axis=-1, keepdims=True))
        chances = chances / chances.sum(axis=-1, keepdims=True)
        wanted = targets[:, sizes.FIRST :]
        return float(-numpy.log(numpy.take_along_axis(chances, wanted[..., None], 2) + 1e-9).mean())

    def weights(self, network):
        return {name: array.copy() for name, array in network.items()}

    def store(self, network, path):
        numpy.savez(path, **network)
        DAMAGE

    def load(self, network, path):
        with numpy.load(path) as stored:
            network.update({name: array.copy() for name, array in stored.items()})
        AFTER

sizes.run(Framework)
"""


def of_numpy(folder: Path, step: str = "0.05", loss: str = "0", damage: str = "pass", after: str = "pass") -> Any:
    code = NUMPY_FRAMEWORK.replace("STEP", step).replace("LOSS", loss).replace("DAMAGE", damage)
    return run(need("numpy"), ["-c", code.replace("AFTER", after), str(describe(folder, folder))], folder)


def test_a_network_that_does_not_gain_fails(tmp_path: Path) -> None:
    # A table of tokens knows nothing of where to look: from given weights the second task goes worse than from fresh.
    outcome = of_numpy(tmp_path)
    assert outcome["kind"] == "unfit", outcome
    assert "after 60 steps on the second task the loss is" in outcome["reason"]
    figures = outcome["figures"]
    assert figures["loss_fine_tuned"] > figures["loss_fresh"] and figures["weights_that_differ"] == 0
    assert figures["loss_learnt"] < 0.5 < figures["loss_before"]


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"step": "0.0"}, "unfit", "the loss on the first task went from"),
        ({"loss": "float('nan')"}, "unfit", "learning: a loss is no number"),
        ({"damage": "open(path, 'r+b').truncate(100)"}, "error", "table.npz was stored and can't be loaded"),
        ({"after": "network['table'][3, 4] += 1e-9"}, "unfit", "not what was stored, once they are loaded: table"),
        ({"after": "del network['bias']"}, "unfit", "once they are loaded: bias"),
        ({"after": "network['bias'] = network['bias'].astype('float32')"}, "unfit", "once they are loaded: bias"),
    ],
    ids=["learns nothing", "no number", "damaged file", "one weight", "a weight is missing", "another precision"],
)
def test_what_goes_wrong_is_seen(tmp_path: Path, changes: dict[str, str], kind: str, text: str) -> None:
    outcome = of_numpy(tmp_path, **changes)
    assert outcome["kind"] == kind and text in outcome["reason"], outcome


FRAMEWORKS = ["torch", "tensorflow", "keras-torch", "keras-tensorflow", "keras-jax", "jax"]


def fine_tune(framework: str, folder: Path, code: str = "") -> dict[str, Any]:
    """Run a script, as it is or with `code` (which finds it as `script`) before it."""
    name, _, backend = framework.partition("-")
    variables = {"KERAS_BACKEND": backend} if backend else {}
    described = str(describe(folder, folder))
    program = [str(FILES / f"transformer_{name}.py"), described]
    if code:
        program = ["-c", f"import transformer_job, transformer_{name} as script\n{code}", described]
    return run(need(*framework.split("-")), program, folder, **variables)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_fine_tunes_from_given_weights(tmp_path: Path, framework: str) -> None:
    outcome = fine_tune(framework, tmp_path)
    assert outcome["kind"] == "done", outcome
    figures = outcome["figures"]
    assert figures["weights_that_differ"] == 0 and figures["loss_learnt"] < 0.1
    assert figures["loss_fine_tuned"] < 0.6 * figures["loss_fresh"]
    assert outcome["device"]["kind"] == "cpu" and outcome["versions"]["framework"]


DAMAGED = """
class Damaged(script.Framework):
    def store(self, network, path):
        super().store(network, path)
        # Bits of the stored matrix of scores, somewhere in the file.
        content = bytearray(open(path, "rb").read())
        part = network.state_dict()["scores.weight"].numpy().tobytes()[:64]
        at = content.index(part)
        content[at] ^= 1
        open(path, "wb").write(content)

transformer_job.run(Damaged)
"""


def test_a_bit_that_fell_over_in_the_stored_file_is_seen(tmp_path: Path) -> None:
    outcome = fine_tune("torch", tmp_path, DAMAGED)
    # PyTorch's own checksum may see it first.
    assert outcome["kind"] in ("unfit", "error"), outcome
    assert "once they are loaded: scores.weight" in outcome["reason"] or "can't be loaded" in outcome["reason"]


IDLE = """
class Idle(script.Framework):
    def train(self, network, inputs, targets):
        losses = super().train(network, inputs, targets)
        # Whatever is learnt on the second task is taken back.
        if (targets[..., 6:] != targets[..., :-6]).any():
            network.load_state_dict(self.fresh(7).state_dict())
        return losses

transformer_job.run(Idle)
"""


def test_fine_tuning_that_does_not_learn_is_seen(tmp_path: Path) -> None:
    outcome = fine_tune("torch", tmp_path, IDLE)
    assert outcome["kind"] == "unfit", outcome
    assert "after 60 steps on the second task" in outcome["reason"]
