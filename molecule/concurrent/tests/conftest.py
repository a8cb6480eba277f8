"""What the tests of this scenario share: controllers that know nothing of each other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "containers"))

import scenario

Controller = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def controller() -> Iterator[Controller]:
    """Start a run of the site from a home of its own; options are variables to declare."""
    started: list[subprocess.Popen[str]] = []
    homes: list[Path] = []

    def start(*options: str, **declared: str) -> subprocess.Popen[str]:
        # Short: ssh's sockets lie in it.
        home = Path(tempfile.mkdtemp(prefix="cf-"))
        homes.append(home)
        variables = [f"--extra-vars={name}={value}" for name, value in declared.items()]
        started.append(
            subprocess.Popen(
                ["ansible-playbook", *scenario.inventories(), *options, *variables, "condafleet.core.site"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                cwd=scenario.ROOT,
                env={
                    **os.environ, "HOME": str(home), "ANSIBLE_HOME": str(home / ".ansible"),
                    "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "true",
                },
            )
        )  # fmt: skip
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()
    for home in homes:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def root() -> Callable[..., str]:
    """Run a command line on the node; what it printed."""

    def run(command: str, user: str = "root") -> str:
        done = scenario.fleet().ssh("co-one", command, user=user, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    return run
