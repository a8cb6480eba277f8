"""What the tests of this scenario share: two users' shells, each in a connection of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from testinfra.host import Host

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "containers"))

import scenario

USERS = ("alice", "bob")
Said = subprocess.CompletedProcess[str]
Run = Callable[[str, str], Said]
Both = Callable[[str], dict[str, Said]]


@pytest.fixture
def node(host: Host) -> str:
    """The node's name in the inventory."""
    return str(host.backend.get_hostname())


@pytest.fixture
def as_user(node: str) -> Run:
    """Run a command line as a user."""
    fleet = scenario.fleet()
    return lambda user, command: fleet.ssh(node, command, user=user, timeout=240)


@pytest.fixture
def at_once(as_user: Run) -> Both:
    """Run a command line as both users at the same time."""

    def run(command: str) -> dict[str, Said]:
        with ThreadPoolExecutor(len(USERS)) as pool:
            return dict(zip(USERS, pool.map(lambda user: as_user(user, command), USERS), strict=True))

    return run
