"""What the tests of this scenario share: what mirror and proxy have seen, and an unprivileged user's shell."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tests" / "containers"))

import scenario  # noqa: E402

SITE = ROOT / "build" / "fleets" / f"molecule-{os.environ.get('MOLECULE_SCENARIO_NAME', 'mirror')}" / "site"
Records = list[dict[str, Any]]


@pytest.fixture(scope="session")
def site() -> dict[str, str]:
    """Where mirror and proxy are, and what they ask for."""
    return dict(json.loads((SITE / "site.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def seen() -> Callable[[str], Records]:
    """What `mirror` or `proxy` has seen so far."""

    def read(log: str) -> Records:
        return [json.loads(line) for line in (SITE / f"{log}.log").read_text(encoding="utf-8").splitlines()]

    return read


@pytest.fixture
def node(host: Host) -> str:
    """The node's name, which its container carries as host name."""
    return host.check_output("hostname")


@pytest.fixture
def alice(node: str) -> Callable[[str], str]:
    """Run a command line as an unprivileged user, and return what it said."""

    def run(command: str) -> str:
        done = scenario.fleet().ssh(node, command, user="alice")
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)

    return run
