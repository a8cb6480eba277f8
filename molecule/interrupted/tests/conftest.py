"""What the tests of this scenario share."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "containers"))

import engine
import scenario

PREFIX = "/opt/miniconda3"
ROOT = "/opt/condafleet"
Root = Callable[..., str]
Inside = Callable[..., None]


# What decides when something is killed. Printed in any case; set, it repeats a run.
SEED = int(os.environ.get("CONDAFLEET_TEST_SEED") or random.SystemRandom().randrange(1 << 32))


def pytest_report_header() -> str:
    return f"CONDAFLEET_TEST_SEED={SEED}"


@pytest.fixture(scope="session")
def seed() -> int:
    return SEED


@pytest.fixture
def root() -> Root:
    """Run a command line as root on a node; what it printed."""

    def run(node: str, command: str, timeout: float = 60) -> str:
        done = scenario.fleet().ssh(node, command, timeout=timeout)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture(scope="session")
def inside() -> Inside:
    """Run a program of this machine in the mounts of a node, with rights that the node itself lacks."""

    def run(node: str, *command: str) -> None:
        container = scenario.fleet().container(node)
        pid = engine.podman("inspect", "--format", "{{.State.Pid}}", container).strip()
        subprocess.run(["nsenter", f"--target={pid}", "--mount", *command], timeout=60, check=True)

    return run
