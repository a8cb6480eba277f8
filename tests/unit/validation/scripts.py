"""Job scripts, run as on a node, with whichever python here has what they need."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FILES = Path(__file__).parents[3] / "roles" / "validation" / "files"
PARTS = {
    "train-images-idx3-ubyte": "train_images",
    "train-labels-idx1-ubyte": "train_labels",
    "t10k-images-idx3-ubyte": "test_images",
    "t10k-labels-idx1-ubyte": "test_labels",
}
# Pythons with frameworks, such as those of environments: CONDAFLEET_TEST_PYTHON, with a colon between them. The base
# of a virtual environment often has numpy where the virtual environment has not.
NAMED = os.environ.get("CONDAFLEET_TEST_PYTHON", "").split(":")
PYTHONS = [*NAMED, sys.executable, str(Path(sys.base_prefix) / "bin" / "python3")]


@functools.cache
def python_with(*modules: str) -> str:
    for python in PYTHONS:
        if python and Path(python).exists():
            code = f"import importlib.util as i, sys; sys.exit(not all(map(i.find_spec, {modules!r})))"
            if subprocess.run([python, "-c", code], check=False).returncode == 0:
                return python
    return ""


def need(*modules: str) -> str:
    python = python_with(*modules)
    if not python:
        pytest.skip(f"no python here has {' and '.join(modules)}; name one in CONDAFLEET_TEST_PYTHON")
    return python


def describe(folder: Path, source: Path, **changes: Any) -> Path:
    job = {
        "data": {part: str(source / name) for name, part in PARTS.items()},
        "epochs": 3, "batch_size": 32, "seed": 1, "threads": 1, "timeout": 60, "gpu": {"state": "none", "why": None},
        "outcome": str(folder / "outcome.json"), "progress": str(folder / "progress.json"),
        "weights": str(folder / "weights.npz"), "native": str(folder), **changes,
    }  # fmt: skip
    (folder / "job.json").write_text(json.dumps(job))
    return folder / "job.json"


def run(python: str, program: list[str], folder: Path, **variables: str) -> dict[str, Any]:
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(FILES), "PYTHONDONTWRITEBYTECODE": "1"}
    environ.update(OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="", KERAS_HOME=str(folder), TF_CPP_MIN_LOG_LEVEL="2")
    environ.update(variables)
    done = subprocess.run([python, *program], env=environ, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    # Python alone reads NaN and Infinity, and what is told goes into a report for everybody.
    outcome: dict[str, Any] = json.loads((folder / "outcome.json").read_text(), parse_constant=pytest.fail)
    return outcome
