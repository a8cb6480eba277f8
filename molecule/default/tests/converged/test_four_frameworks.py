"""Four frameworks' MNIST results in one table from one run: the report of the run that built them, as people see it."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from pathlib import Path
from typing import Any

import pytest

REPORT = Path(__file__).parents[4] / "build" / "molecule" / "default" / "trained.json"
NODE = "debian12"
FRAMEWORKS = {"torch": "pytorch", "tensorflow": "tensorflow", "keras": "keras", "jax": "jax"}
# As roles/validation/README.md says how far apart they lie.
ACCURACIES_APART = 0.005
FROM_THE_MEDIAN = 0.10
EPOCHS = 5


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """The report of the run that made the nodes."""
    return dict(json.loads(REPORT.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def results(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """{framework: result} of the node that has all four."""
    stored = report["hosts"][NODE]["validation"]
    return {framework: stored[environment]["frameworks"][framework] for framework, environment in FRAMEWORKS.items()}


def test_one_run_has_trained_all_four(report: dict[str, Any], results: dict[str, dict[str, Any]]) -> None:
    for framework, one in results.items():
        assert report["started"] <= one["started"] < one["ended"] <= report["ended"], framework
        assert one["verdict"] == "PASS", one["reason"]


def test_they_did_the_same_job(results: dict[str, dict[str, Any]]) -> None:
    """One data set, one schedule, one seed."""
    for key in ("data", "seed", "batch_size", "train_images", "test_images"):
        assert len({json.dumps(one[key], sort_keys=True) for one in results.values()}) == 1, key
    assert {one["train_images"] for one in results.values()} == {60_000}
    assert {len(one["epochs"]) for one in results.values()} == {EPOCHS}


def test_accuracies_are_comparable(results: dict[str, dict[str, Any]]) -> None:
    accuracies = {framework: one["test_accuracy"] for framework, one in results.items()}
    assert max(accuracies.values()) - min(accuracies.values()) <= ACCURACIES_APART, accuracies


@pytest.mark.parametrize("epoch", range(1, EPOCHS + 1))
def test_losses_are_comparable(results: dict[str, dict[str, Any]], epoch: int) -> None:
    losses = {framework: one["epochs"][epoch - 1]["loss"] for framework, one in results.items()}
    median = statistics.median(losses.values())
    assert max(abs(loss / median - 1) for loss in losses.values()) <= FROM_THE_MEDIAN, losses


def test_people_see_them_in_one_table(results: dict[str, dict[str, Any]]) -> None:
    done = subprocess.run(
        ["condafleet", "report", str(REPORT)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    header = next(at for at, line in enumerate(lines) if line[:3] == ["host", "environment", "framework"])
    assert lines[header][3:5] == ["verdict", "accuracy"]
    table = lines[header + 1 : header + 1 + len(FRAMEWORKS) + 1]
    seen = {line[2]: (line[1], line[3], line[4]) for line in table if line and line[0] == NODE}
    assert seen == {
        framework: (environment, "PASS", f"{results[framework]['test_accuracy']:.4f}")
        for framework, environment in FRAMEWORKS.items()
    }, done.stdout
