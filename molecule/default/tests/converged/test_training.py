"""The saved weights, taken off the node and judged here again: no framework and no word of the node's is trusted."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from testinfra.host import Host

VALIDATION = "/opt/condafleet/validation"
PINNED = {
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
SHAPES = {"dense1_kernel": (784, 128), "dense1_bias": (128,), "dense2_kernel": (128, 10), "dense2_bias": (10,)}
JOBS = (("pytorch", "torch"), ("tensorflow", "tensorflow"), ("keras", "keras"), ("jax", "jax"))


def read(name: str, header: int) -> npt.NDArray[np.uint8]:
    """A file of MNIST's test set out of the depot, if it is the one that everybody means."""
    content = (Path(os.environ["CONDAFLEET_TEST_DEPOT"]) / "datasets" / "mnist" / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == PINNED[name]
    return np.frombuffer(content, dtype=np.uint8, offset=header)


@pytest.mark.parametrize(("environment", "framework"), JOBS)
def test_the_weights_recognise_the_test_set(
    host: Host, declared: tuple[str, ...], environment: str, framework: str
) -> None:
    if environment not in declared:
        pytest.skip("declared for the other node alone")
    folder = f"{VALIDATION}/{environment}/{framework}"
    result = json.loads(host.file(f"{folder}/result.json").content_string)
    assert result["verdict"] == "PASS"
    current = Path(host.check_output(f"readlink -f /opt/miniconda3/envs/{environment}"))
    assert result["generation"] == current.name

    with np.load(io.BytesIO(host.file(f"{folder}/weights.npz").content), allow_pickle=False) as stored:
        weights = {name: stored[name] for name in stored.files}
    assert {name: array.shape for name, array in weights.items()} == SHAPES
    images = read("t10k-images-idx3-ubyte", 16).reshape(10_000, 784) / np.float32(255)
    labels = read("t10k-labels-idx1-ubyte", 8)
    hidden = np.maximum(images @ weights["dense1_kernel"] + weights["dense1_bias"], 0)
    scores = hidden @ weights["dense2_kernel"] + weights["dense2_bias"]
    accuracy = float((scores.argmax(axis=1) == labels).mean())

    assert accuracy >= 0.97
    assert accuracy == pytest.approx(result["test_accuracy"], abs=0.0005)
