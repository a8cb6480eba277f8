"""What a smoke test's program has to come to: each wrong figure is a failure, and a GPU is never taken for granted."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import smoke_programs as programs
from ansible_collections.condafleet.core.plugins.module_utils.smoke_judged import (
    SmokeError,
    gpu_of,
    judge,
    last_record,
)

SOUND: dict[str, Any] = {
    "version": "2.13.0", "cuda": "12.8", "seen": True, "device": "NVIDIA H100", "wrong": 0, "elements": 4096,
    "gradient": [-9.0, -13.0], "losses": [4.25, 0.7431], "backend": "torch",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "changes", "cuda", "uuid", "said"),
    [
        ("torch", {"wrong": 1}, False, None, "1 of 4096 elements of a matrix product are wrong"),
        ("torch", {"wrong": None}, False, None, "None of 4096 elements"),
        ("torch", {"elements": 0}, False, None, "0 of 0 elements"),
        ("torch", {"gradient": [-9.0, 13.0]}, False, None, "the gradient is -9, 13, not -9, -13"),
        ("torch", {"gradient": [-9.0]}, False, None, "the gradient is -9, not"),
        ("jax", {"losses": [4.25, 4.25]}, False, None, "training step are 4.25, 4.25, not 4.25, 0.7432"),
        ("jax", {"losses": [4.25, math.nan]}, False, None, "training step are 4.25, nan"),
        ("tensorflow", {"losses": None}, False, None, "training step are None"),
        ("keras-jax", {}, False, None, "Keras took the backend torch, not jax"),
        ("torch", {"cuda": None, "version": "2.13.0+cpu"}, True, None, r"2\.13\.0\+cpu is a build for the CPU"),
        ("keras", {"cuda": None}, True, None, "is a build for the CPU"),
        ("torch", {"seen": False}, True, "GPU-1", "GPU-1 is free, but it sees no GPU"),
        ("python", {"result": 21}, False, None, "it computed 21, not 22"),
        ("python", {}, False, None, "it computed None, not 22"),
    ],
)
def test_what_fails(name: str, changes: dict[str, Any], cuda: bool, uuid: str | None, said: str) -> None:
    with pytest.raises(SmokeError, match=said) as caught:
        judge(name, {**SOUND, **changes}, cuda, uuid)
    assert caught.value.verdict == "FAIL"


def test_no_record_fails() -> None:
    with pytest.raises(SmokeError, match="without a result"):
        judge("torch", None)


@pytest.mark.parametrize(
    ("name", "changes", "cuda", "uuid"),
    [
        ("torch", {}, True, "GPU-1"),
        ("torch", {"seen": False}, True, None),
        ("torch", {"cuda": None, "seen": False}, False, "GPU-1"),
        ("keras-torch", {"gradient": None}, True, None),
        # As TF32 rounds the weights after the step.
        ("jax", {"losses": [4.25, 0.7458]}, False, None),
        ("python", {"result": 22.0}, True, None),
    ],
)
def test_what_passes(name: str, changes: dict[str, Any], cuda: bool, uuid: str | None) -> None:
    judge(name, {**SOUND, **changes}, cuda, uuid)


FREE, BUSY = {"state": "free", "why": None, "uuid": "GPU-1"}, {"state": "busy", "why": "in use by 7", "uuid": None}
UNKNOWN, NONE = {"state": "unknown", "why": "it hangs", "uuid": None}, {"state": "none", "why": None, "uuid": None}


@pytest.mark.parametrize(
    ("cuda", "observed", "state", "why"),
    [
        ("12.8", FREE, "PASS", None),
        ("12.8", BUSY, "SKIP", "in use by 7"),
        ("12.8", UNKNOWN, "SKIP", "it hangs"),
        ("12.8", NONE, "none", "there is no NVIDIA driver here"),
        (None, BUSY, "none", "it is a build for the CPU"),
    ],
)
def test_what_is_said_of_the_gpu(cuda: str | None, observed: dict[str, Any], state: str, why: str | None) -> None:
    told = gpu_of({"cuda": cuda, "device": "NVIDIA H100"}, observed)
    assert told is not None and (told["state"], told["why"]) == (state, why)
    assert (told["uuid"], told["name"]) == (("GPU-1", "NVIDIA H100") if state == "PASS" else (None, None))
    assert gpu_of({"cuda": cuda}, None) is None


def test_the_record_is_the_last_line_of_json() -> None:
    assert last_record('noise\n{"a": 1}\n{"result": 22}\nmore noise\n') == {"result": 22}
    assert last_record("noise") is None and last_record("{broken") is None


def test_the_known_figures_are_those_of_the_step() -> None:
    samples, labels, weights = [(1.0, 2.0), (3.0, 4.0)], [1.0, 2.0], [0.5, -0.5]
    losses = []
    for _dummy in range(2):
        left = [
            sum(w * x for w, x in zip(weights, row, strict=True)) - y for row, y in zip(samples, labels, strict=True)
        ]
        losses.append(sum(one * one for one in left) / 2)
        gradient = [sum(left[i] * samples[i][j] for i in range(2)) for j in range(2)]
        if len(losses) == 1:
            assert gradient == list(programs.GRADIENT)
        weights = [w - programs.RATE * g for w, g in zip(weights, gradient, strict=True)]
    assert losses == pytest.approx(programs.LOSSES)


@pytest.mark.parametrize("away", [0.0, 0.02, math.nan])
def test_a_product_is_looked_at_element_by_element(away: float) -> None:
    code = programs.COMMON + "known2 = [list(row) for row in known]\nknown2[63][1] += float(sys.argv[1])\ntell(known2)"
    said = subprocess.run([sys.executable, "-c", code, str(away)], capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == {"wrong": 0 if away == 0 else 1, "elements": 4096}
