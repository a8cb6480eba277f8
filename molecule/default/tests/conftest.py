"""What the tests of this scenario share: the fleet, its users' shells, and what was written to a node's disk."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from testinfra.host import Host

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tests" / "containers"))

from fleet import Fleet  # noqa: E402

MARKER = "/var/lib/condafleet-test-marker"
HERE = {"debian12": ("pytorch", "tensorflow", "keras", "jax"), "debian13": ("pytorch",)}
Shell = Callable[..., subprocess.CompletedProcess[str]]

# What a running Debian (systemd-tmpfiles tends some folders) and Ansible write by themselves. Whatever else is new,
# condafleet wrote.
NOT_OURS = re.compile(
    r"/(proc|sys|dev|run|tmp|var/tmp|var/log|var/lib/systemd|var/lib/private|var/cache|root/\.ansible|root/\.ansible_async)(/.*)?"
    r"|/(etc/(\.updated|machine-id|resolv\.conf|hosts|hostname))|/|/home|/srv|/var|/var/lib|/root|/etc|/home/alice"
)


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    """The scenario's nodes, as create.yml started them."""
    return Fleet(f"molecule-{os.environ.get('MOLECULE_SCENARIO_NAME', 'default')}", {})


@pytest.fixture
def node(host: Host) -> str:
    """The node's name in the inventory, which its containers carry as host name."""
    return host.check_output("hostname")


@pytest.fixture
def declared(node: str) -> tuple[str, ...]:
    """The environments that the inventory declares for the node."""
    return HERE[node]


@pytest.fixture
def alice(host: Host, node: str, fleet: Fleet) -> Iterator[Shell]:
    """Run a command line as an unprivileged user, in a connection of its own; leaves her home as it was."""

    def run(command: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return fleet.ssh(node, command, user="alice", timeout=timeout)

    yield run
    host.check_output(f"find /home/alice -mindepth 1 -cnewer {MARKER} -delete")


@pytest.fixture
def written(host: Host) -> list[str]:
    """Every path on the node that was made or changed since prepare.yml, but for the system's own."""
    found = host.check_output(f"find / -xdev -cnewer {MARKER}").splitlines()
    return [path for path in found if not NOT_OURS.fullmatch(path)]
