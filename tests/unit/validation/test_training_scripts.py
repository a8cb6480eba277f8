"""The training scripts, run as on a node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.validation.scripts import FILES, PARTS, describe, need, run

# A framework made of numpy: enough to drive everything that the frameworks share.
NUMPY_TRAINING = """
import numpy, mnist_job

def train(job, data):
    job.claim_device(True)
    job.expect_gpu(True, False)
    images, labels = data[0].reshape(len(data[0]), -1), data[1]
    for _ in range(job.epochs):
        job.epoch_begins()
        job.epoch_ends(LOSS, 0.5)
    # Rows that are bright for a digit point to it: the means of its images are its scores.
    means = numpy.stack([images[labels == digit].mean(axis=0) for digit in range(10)])
    kernel1 = numpy.zeros((784, 128), "float32")
    kernel1[:, :10] = means.T
    kernel2 = numpy.zeros((128, 10), "float32")
    kernel2[:10] = numpy.eye(10)
    weights = {"dense1_kernel": kernel1, "dense1_bias": numpy.zeros(128), "dense2_kernel": kernel2,
               "dense2_bias": numpy.zeros(10)}
    accuracy = mnist_job.forward_accuracy(weights, data[2], data[3])
    return {"test_loss": TEST, "test_accuracy": accuracy - LIE, "weights": weights,
            "device": {"kind": "cpu", "name": None}, "versions": {},
            "native_weights": {"path": job.native, "format": "x"}}

mnist_job.run(train)
"""


def shared(
    folder: Path, source: Path, lie: float = 0.0, loss: str = "0.5", test: str = "0.1", **changes: Any
) -> dict[str, Any]:
    code = NUMPY_TRAINING.replace("LIE", str(lie)).replace("LOSS", loss).replace("TEST", test)
    return run(need("numpy"), ["-c", code, str(describe(folder, source, **changes))], folder)


def test_figures_of_a_job(tmp_path: Path, data: Any) -> None:
    outcome = shared(tmp_path, tmp_path / "source")
    assert outcome["kind"] == "done", outcome
    assert [entry["epoch"] for entry in outcome["epochs"]] == [1, 2, 3]
    assert outcome["recomputed_accuracy"] == outcome["test_accuracy"] > 0.9
    assert (outcome["train_images"], outcome["test_images"]) == (320, 100)
    assert outcome["images_per_second_of"] == "training, epochs 2 to 3"
    assert json.loads((tmp_path / "progress.json").read_text())["message"].startswith("epoch 3/3 loss 0.5000 ")


def test_packed_files_give_the_same(tmp_path: Path, data: Any, maker: Any) -> None:
    maker.write_data(tmp_path / "packed", packed=True)
    paths = {part: str(tmp_path / "packed" / (name + ".gz")) for name, part in PARTS.items()}
    plain = shared(tmp_path, tmp_path / "source")
    packed = shared(tmp_path, tmp_path / "source", data=paths)
    assert packed["test_accuracy"] == plain["test_accuracy"]


def test_weights_that_do_not_give_the_accuracy_are_error(tmp_path: Path, data: Any) -> None:
    outcome = shared(tmp_path, tmp_path / "source", lie=0.1)
    assert outcome["kind"] == "error" and "but the saved weights give" in outcome["reason"]


def test_a_loss_that_is_no_number_is_unfit(tmp_path: Path, data: Any) -> None:
    outcome = shared(tmp_path, tmp_path / "source", loss="float('nan')")
    assert outcome["kind"] == "unfit" and "loss of epoch 1 is nan" in outcome["reason"]


@pytest.mark.parametrize("loss", ["nan", "inf"])
def test_a_test_loss_that_is_no_number_is_unfit(tmp_path: Path, data: Any, loss: str) -> None:
    """The last step of all can spoil the weights after every loss of the training was told."""
    outcome = shared(tmp_path, tmp_path / "source", test=f"float('{loss}')")
    assert outcome["kind"] == "unfit" and f"the test loss is {loss}" in outcome["reason"]
    assert len(outcome["epochs"]) == 3


@pytest.mark.parametrize(
    ("gpu", "kind", "text"),
    [
        ({"state": "busy", "why": "all 1 GPU(s) are in use"}, "refused", "in use"),
        ({"state": "unknown", "why": "nvidia-smi did not answer"}, "error", "did not answer"),
        ({"state": "free", "why": None}, "unfit", "sees none"),
    ],
)
def test_a_gpu_that_cannot_be_used(tmp_path: Path, data: Any, gpu: Any, kind: str, text: str) -> None:
    outcome = shared(tmp_path, tmp_path / "source", gpu=gpu)
    assert outcome["kind"] == kind and text in outcome["reason"]


def test_a_build_for_the_cpu_is_no_pass_where_the_target_is_for_cuda(tmp_path: Path, data: Any) -> None:
    code = NUMPY_TRAINING.replace("claim_device(True)", "claim_device(False)")
    program = ["-c", code, str(describe(tmp_path, tmp_path / "source", for_cuda=True))]
    outcome = run(need("numpy"), program, tmp_path)
    assert outcome["kind"] == "unfit" and "is a build for the CPU" in outcome["reason"]


IMAGES, LABELS = bytes(100 * 28 * 28), bytes(100)
DAMAGE: dict[str, tuple[str, Any, str]] = {
    "empty": ("t10k-images-idx3-ubyte", b"", "ends within its header"),
    "truncated": ("t10k-images-idx3-ubyte", ([100, 28, 28], IMAGES[:-1]), "promises 78400 bytes"),
    "too long": ("t10k-labels-idx1-ubyte", ([100], LABELS + b"\0"), "promises 100 bytes"),
    "wrong magic": ("t10k-labels-idx1-ubyte", ([100, 28, 28], IMAGES), "first four bytes are 00000803"),
    "no IDX": ("train-images-idx3-ubyte", b"<html>not found</html>", "is no IDX file"),
    "wrong shape": ("t10k-images-idx3-ubyte", ([100, 32, 32], bytes(102400)), "images are 32 x 32"),
    "counts differ": ("t10k-labels-idx1-ubyte", ([99], LABELS[:-1]), "for 100 images there are 99 labels"),
    "strange label": ("t10k-labels-idx1-ubyte", ([100], b"\x0b" + LABELS[1:]), "has the label 11"),
    "damaged gz": ("t10k-labels-idx1-ubyte", b"\x1f\x8b\x08\x00garbage", "cannot be read"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_bad_data_are_error(tmp_path: Path, data: Any, maker: Any, name: str) -> None:
    victim, content, text = DAMAGE[name]
    content = maker.idx(*content) if isinstance(content, tuple) else content
    (tmp_path / "source" / victim).write_bytes(content)
    outcome = shared(tmp_path, tmp_path / "source")
    assert outcome["kind"] == "error", outcome
    assert text in outcome["reason"] and victim in outcome["reason"]


# The network and its schedule once more, in plain numpy: losses of each epoch, without dropout.
NUMPY_LOSSES = """
import json, sys, numpy, mnist_job
from mnist_job import BETA1, BETA2, EPSILON, RATE

job = json.load(open(sys.argv[1]))
images, labels, _, _ = mnist_job.read_data(job["data"])
images = images.reshape(len(images), -1)
weights = mnist_job.first_weights(job["seed"])
moment = {name: 0.0 for name in weights}
spread = {name: 0.0 for name in weights}
count, losses = 0, []
for epoch in range(job["epochs"]):
    order, total = mnist_job.order_of(job["seed"], epoch, len(images)), 0.0
    for start in range(0, len(order), job["batch_size"]):
        chosen = order[start : start + job["batch_size"]]
        x, y = images[chosen], labels[chosen]
        before = x @ weights["dense1_kernel"] + weights["dense1_bias"]
        hidden = numpy.maximum(before, 0)
        scores = hidden @ weights["dense2_kernel"] + weights["dense2_bias"]
        chances = numpy.exp(scores - scores.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        total -= numpy.log(chances[range(len(y)), y]).sum()
        slope2 = chances.copy()
        slope2[range(len(y)), y] -= 1
        slope2 /= len(y)
        slope1 = (slope2 @ weights["dense2_kernel"].T) * (before > 0)
        slopes = {"dense1_kernel": x.T @ slope1, "dense1_bias": slope1.sum(axis=0),
                  "dense2_kernel": hidden.T @ slope2, "dense2_bias": slope2.sum(axis=0)}
        count += 1
        for name, slope in slopes.items():
            moment[name] = BETA1 * moment[name] + (1 - BETA1) * slope
            spread[name] = BETA2 * spread[name] + (1 - BETA2) * slope * slope
            rate = RATE * (1 - BETA2**count) ** 0.5 / (1 - BETA1**count)
            weights[name] = weights[name] - rate * moment[name] / (numpy.sqrt(spread[name]) + EPSILON)
    losses.append(float(total) / len(order))
json.dump(losses, open(job["outcome"], "w"))
"""

TRAINED = ["torch", "tensorflow", "keras-torch", "keras-tensorflow", "keras-jax", "jax"]


def train(framework: str, folder: Path, **changes: Any) -> dict[str, Any]:
    name, _, backend = framework.partition("-")
    program = [str(FILES / f"train_{name}.py"), str(describe(folder, folder / "source", **changes))]
    return run(need(*framework.split("-")), program, folder, **({"KERAS_BACKEND": backend} if backend else {}))


@pytest.mark.parametrize("framework", TRAINED)
def test_a_framework_learns(tmp_path: Path, data: Any, framework: str) -> None:
    outcome = train(framework, tmp_path, epochs=8)
    assert outcome["kind"] == "done", outcome
    assert outcome["test_accuracy"] > 0.9
    assert outcome["epochs"][-1]["loss"] < outcome["epochs"][0]["loss"]
    assert Path(outcome["native_weights"]["path"]).stat().st_size > 100_000
    assert outcome["device"]["kind"] == "cpu" and outcome["versions"]["framework"]


@pytest.mark.parametrize("framework", TRAINED)
def test_frameworks_train_one_network_by_one_schedule(tmp_path: Path, data: Any, framework: str) -> None:
    # A batch that divides nothing: the last one of an epoch is smaller.
    changes = {"epochs": 3, "dropout": 0.0, "batch_size": 48}
    described = describe(tmp_path, tmp_path / "source", **changes)
    expected: Any = run(need("numpy"), ["-c", NUMPY_LOSSES, str(described)], tmp_path)
    losses = [entry["loss"] for entry in train(framework, tmp_path, **changes)["epochs"]]
    # PyTorch's Adam takes epsilon elsewhere: what that does to the first steps stays below this.
    assert losses == pytest.approx(expected, rel=2e-3)
    assert losses[-1] < losses[0] / 2


HIDDEN = """
import json, sys, types
import keras_backend, tensorflow
class Hidden:
    keras = types.SimpleNamespace()
    __version__ = "2.16.2"
    sysconfig, config = tensorflow.sysconfig, tensorflow.config
sys.modules["tensorflow"] = Hidden
job = types.SimpleNamespace(claim_device=lambda build: None, expect_gpu=lambda build, seen: None)
json.dump(keras_backend.tensorflow_ready(job)[2], open("outcome.json", "w"))
"""


def test_a_tensorflow_that_hides_the_version_of_its_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As 2.16 does, where tf.keras has no __version__.
    monkeypatch.chdir(tmp_path)
    versions = run(need("tensorflow"), ["-c", HIDDEN], tmp_path)
    assert versions["framework"] == "2.16.2" and versions["keras"].startswith("3.")
