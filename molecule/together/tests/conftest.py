"""What the tests of this scenario share: runs of the whole site, and what users of each node have after them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "containers"))

import scenario

NODES = ("tg1", "tg2", "tg3")
Stand = Callable[[], dict[str, str]]
Provision = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def stand() -> Stand:
    """Which declaration the environment of each node is of, as its users have it."""
    state = "/opt/miniconda3/envs/plain/conda-meta/state"

    def read() -> dict[str, str]:
        found = {}
        for node in NODES:
            said = scenario.fleet().ssh(node, f"cat {state}")
            assert said.returncode == 0, said.stderr
            found[node] = json.loads(said.stdout)["env_vars"]["WHICH"]
        return found

    return read


@pytest.fixture
def provision(tmp_path: Path) -> Provision:
    """`condafleet provision` with variables: its exit status, its report, and what it showed."""

    def run(**variables: object) -> tuple[int, dict[str, Any], str]:
        path = tmp_path / "report.json"
        folder = scenario.inventory(tmp_path) if not (tmp_path / "inventory").exists() else tmp_path / "inventory"
        extra = [f"--extra-vars={key}={value}" for key, value in variables.items()]
        done = subprocess.run(
            ["condafleet", "provision", "-i", str(folder), *extra, "--json", str(path)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, check=False,
            cwd=scenario.ROOT, env={**os.environ, "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "true"},
        )  # fmt: skip
        said = " ".join((done.stdout + done.stderr).split())
        return done.returncode, json.loads(path.read_text(encoding="utf-8")), said

    return run
