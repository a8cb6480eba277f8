"""What the tests of this scenario share."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "containers"))

import scenario

NODE = "of-one"


@pytest.fixture
def packets() -> Callable[[], dict[str, int]]:
    """What the node has sent since before the first run: {dns, elsewhere, depot}, in packets."""

    def read() -> dict[str, int]:
        program = scenario.ROOT / "molecule" / "offline" / "files" / "counters.py"
        container = scenario.fleet().container(NODE)
        done = subprocess.run(
            [sys.executable, program, "read", container], capture_output=True, text=True, timeout=60, check=True
        )
        return dict(json.loads(done.stdout))

    return read


@pytest.fixture
def alice() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command line as an unprivileged user, in a login shell."""

    def run(command: str, user: str = "alice") -> subprocess.CompletedProcess[str]:
        quoted = "'" + command.replace("'", "'\\''") + "'"
        return scenario.fleet().ssh(NODE, f"bash -lc {quoted}", user=user, timeout=120)

    return run
