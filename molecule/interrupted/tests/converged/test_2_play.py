"""A real run is ended from both sides: its controller, its job on the node, and the node's power."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import engine
import pytest
import scenario

NODE = "in-killed"
LINK = "/opt/miniconda3/envs/plain"
SITE = "condafleet.core.site"
# Waits for a job that builds, and tells its process group.
WATCH = (
    "for i in $(seq 4800); do cat /opt/condafleet/progress/plain-built-*.json 2>/dev/null | grep '\"link\"' && exit; "
    "sleep 0.05; done; exit 1"
)
Root = Callable[..., str]


@pytest.fixture
def run() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start a run that declares another lock, and wait until its job on the node links packages."""
    started: list[subprocess.Popen[str]] = []

    def start(which: str) -> subprocess.Popen[str]:
        command = ["ansible-playbook", *scenario.inventories(), f"--limit={NODE}", f"-einterrupted_which={which}", SITE]
        started.append(
            subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                cwd=scenario.ROOT, start_new_session=True,
                env={**os.environ, "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "true"},
            )
        )  # fmt: skip
        return started[-1]

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def converges(root: Root, which: str) -> None:
    """One run, and the environment is what it declares."""
    before = root(NODE, f"readlink -f {LINK}")
    assert receipt_is_there(root, before)
    done = scenario.play(SITE, f"--limit={NODE}", f"-einterrupted_which={which}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert root(NODE, f"bash -c '. {LINK}/bin/activate; echo $WHICH; python -c \"import six, idna, rich\"'") == which
    assert root(NODE, f"readlink -f {LINK}") != before


def receipt_is_there(root: Root, generation: str) -> bool:
    return "digest" in root(NODE, f"cat {generation}/.condafleet.json")


def test_the_controller_is_killed_and_the_job_goes_on(run: Callable[..., Any], root: Root, seed: int) -> None:
    process = run(f"killed-controller-{seed}")
    root(NODE, WATCH, timeout=280)
    os.killpg(process.pid, signal.SIGKILL)
    converges(root, f"killed-controller-{seed}")


def test_the_job_is_killed_and_the_run_says_so(run: Callable[..., Any], root: Root, seed: int) -> None:
    process = run(f"killed-job-{seed}")
    found = re.search(r'"pgid": (\d+)', root(NODE, WATCH, timeout=280))
    assert found
    root(NODE, f"kill -KILL -{found[1]}")
    killed = time.monotonic()
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 2, said
    assert time.monotonic() - killed < 60
    words = " ".join(said.split())
    assert "environments_root: the job on the node ended without an answer, at the step: link" in words
    assert re.search(r"/opt/condafleet has \d+ MB free", words)
    assert "Traceback" not in words
    converges(root, f"killed-job-{seed}")


def test_the_power_is_cut_in_the_middle_of_a_build(run: Callable[..., Any], root: Root, seed: int) -> None:
    process = run(f"power-cut-{seed}")
    root(NODE, WATCH, timeout=280)
    container = scenario.fleet().container(NODE)
    engine.podman("kill", "--signal=KILL", container)
    # A node that is out of reach is asked again for two minutes, each time as patiently as Ansible is.
    said, _ = process.communicate(timeout=300)
    assert process.returncode != 0, said
    assert "trying again for up to 120 seconds" in " ".join(said.split())
    engine.podman("start", container)
    for _ in range(100):
        if scenario.fleet().ssh(NODE, "true").returncode == 0:
            break
        time.sleep(0.3)
    assert root(NODE, "ls /opt/condafleet/generations | grep -c plain-") != "0"
    converges(root, f"power-cut-{seed}")
    again = scenario.play(SITE, f"--limit={NODE}", f"-einterrupted_which=power-cut-{seed}")
    assert re.search(rf"{NODE} .*changed=0 .*failed=0", again.stdout), again.stdout
