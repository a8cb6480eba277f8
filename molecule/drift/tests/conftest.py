"""What the tests of this scenario share: runs of condafleet on the scenario's fleet, and what was said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "containers"))

import scenario


@dataclass(frozen=True)
class Said:
    """What a run of the command line left: its exit status, its tables, its report."""

    code: int
    text: str
    report: dict[str, Any]

    @property
    def fleet(self) -> dict[str, Any]:
        return dict(self.report["fleet"])

    def environment(self, node: str, name: str) -> dict[str, Any]:
        return dict(self.report["hosts"][node]["environments"][name])


Run = Callable[..., Said]


@pytest.fixture(scope="session")
def condafleet(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a verb with options on the scenario's nodes."""
    folder = tmp_path_factory.mktemp("runs")
    inventory = scenario.inventory(folder)

    def run(*arguments: str, timeout: float = 420) -> Said:
        path = folder / "report.json"
        path.unlink(missing_ok=True)
        done = subprocess.run(
            ["condafleet", *arguments, "-i", str(inventory), "--json", str(path)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False, cwd=scenario.ROOT,
            env={**os.environ, "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "true"},
        )  # fmt: skip
        assert path.exists(), done.stdout + done.stderr
        return Said(done.returncode, done.stdout + done.stderr, json.loads(path.read_text(encoding="utf-8")))

    return run


@pytest.fixture(scope="session")
def on() -> Callable[[str, str], str]:
    """Run a shell's lines on a node, as root; what they print."""

    def run(node: str, lines: str) -> str:
        done = scenario.fleet().ssh(node, "set -eu\n" + lines, timeout=180)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    return run
