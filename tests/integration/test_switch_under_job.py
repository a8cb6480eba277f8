"""A job that runs through a switch stays with the generation it started on: a genuine conda, nothing made up.

Needs a built embedded depot: its path in CONDAFLEET_TEST_DEPOT, else in build/DEPOT_PATH.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from installs import depot_path, packages_of

from ansible_collections.condafleet.core.plugins.module_utils import environment_states as states
from ansible_collections.condafleet.core.plugins.module_utils.environment_request import Request

pytestmark = pytest.mark.integration

CONDA_PACKAGES = ("python", "pip", "setuptools", "wheel", "packaging")
WHEEL = "six"
# Waits for a file, then does for the first time what a job may do late: import, open a data file, start a worker.
JOB = """
import os, sys, time

def work(_):
    import six
    return [sys.prefix, sys.executable, six.__file__]

if __name__ == "__main__":
    go = sys.argv[1]
    print("started", flush=True)
    while not os.path.exists(go):
        time.sleep(0.05)
    import json, multiprocessing, sqlite3, subprocess, sysconfig, six
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        worker = pool.map(work, [0])[0]
    child = subprocess.run([sys.executable, "-c", "import sys; print(sys.prefix)"], stdout=subprocess.PIPE, text=True)
    mine = [six.__file__, sqlite3.__file__, sys.prefix, sysconfig.get_path("purelib"), child.stdout.strip()]
    print(json.dumps({"job": mine, "worker": worker}), flush=True)
"""


DEPOT = depot_path()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[Request]]]:
    """An installed conda, and two generations of one environment that differ in a variable. None is current."""
    if DEPOT is None:
        pytest.skip("no embedded depot: build one and name it in CONDAFLEET_TEST_DEPOT or build/DEPOT_PATH")
    base = tmp_path_factory.mktemp("n")
    installer = next((DEPOT / "installers").glob("*.sh"))
    home = {**os.environ, "HOME": str(base)}
    subprocess.run(["bash", installer, "-b", "-p", base / "mc"], check=True, capture_output=True, env=home)
    manifest = json.loads((DEPOT / "manifest.json").read_text())
    first = Request(
        name="x", prefix=str(base / "mc"), root=str(base / "root"), target="linux-64-cpu", digest="a" * 64,
        packages=packages_of(DEPOT, CONDA_PACKAGES, WHEEL), variables={"WHICH": "a"}, depot_url=DEPOT.as_uri(),
        depot_origins=manifest["origins"], tools=manifest["tools"],
    )  # fmt: skip
    requests = [first, replace(first, digest="b" * 64, variables={"WHICH": "b"})]
    for request in requests:
        for state in (states.fetched, states.built, states.tested):
            state(request)
    return base, requests


def start(base: Path, command: str) -> subprocess.Popen[str]:
    job = base / "job.py"
    job.write_text(JOB)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(base)}
    process = subprocess.Popen(
        ["bash", "-euc", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=base
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n", process.stderr.read() if process.stderr else ""
    return process


@pytest.mark.parametrize("how", ["direct", "activated", "conda run"])
def test_a_running_job_keeps_its_generation(node: tuple[Path, list[Request]], how: str) -> None:
    base, (first, second) = node
    states.current(first)
    go = base / f"go {how}"
    job = f'job.py "{go}"'
    commands = {
        "direct": f"exec mc/envs/x/bin/python {job}",
        "activated": f'. mc/etc/profile.d/conda.sh; conda activate x; test "$WHICH" = a; exec python {job}',
        "conda run": f"exec mc/bin/conda run --no-capture-output -n x python {job}",
    }
    process = start(base, commands[how])
    assert states.current(second).changed
    time.sleep(0.1)
    go.write_text("")
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    found = json.loads(said)
    old = f"{base}/root/generations/x-aaaaaaaaaaaa-1"
    assert [place for place in found["job"] + found["worker"] if not place.startswith(old)] == []
    # Whoever starts now gets the new one.
    now = subprocess.run(
        ["mc/envs/x/bin/python", "-c", "import sys; print(sys.prefix)"],
        cwd=base,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert now.stdout.strip().endswith("x-bbbbbbbbbbbb-1")


@pytest.mark.parametrize("shell", ["bash", "zsh", "dash"])
def test_activation_is_nested_and_taken_back(node: tuple[Path, list[Request]], shell: str) -> None:
    base, (first, _) = node
    if subprocess.run(["which", shell], capture_output=True, check=False).returncode:
        pytest.skip(f"{shell} is not installed")
    states.current(first)
    script = """
    . mc/etc/profile.d/conda.sh
    before=$PATH
    conda activate x; echo "$CONDA_PREFIX $CONDA_DEFAULT_ENV"; command -v python
    conda activate base; echo "$CONDA_PREFIX"
    conda deactivate; echo "$CONDA_PREFIX"; command -v python
    conda deactivate; echo "${CONDA_PREFIX:-none}"
    case ":$PATH:" in *generations*|*envs/x*) echo left over;; esac
    """
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(base)}
    done = subprocess.run(
        [shell, "-euc", script], cwd=base, env=environment, capture_output=True, text=True, check=False
    )
    generation = f"{base}/root/generations/x-aaaaaaaaaaaa-1"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{generation} x", f"{generation}/bin/python", f"{base}/mc", generation, f"{generation}/bin/python", "none"
    ]  # fmt: skip


def test_a_package_edited_in_an_environment_is_not_in_the_next_build(node: tuple[Path, list[Request]]) -> None:
    base, (first, _) = node
    folder = base / "root" / "generations" / "x-aaaaaaaaaaaa-1" / "lib" / "python3.11" / "site-packages"
    for name in ("packaging/version.py", "six.py"):
        with (folder / name).open("a") as stream:
            stream.write("\nEDITED = True\n")
    third = replace(first, digest="c" * 64)
    states.fetched(third)
    outcome = states.built(third)
    states.tested(third)
    built = base / "root" / "generations" / str(outcome.generation)
    for name in ("packaging/version.py", "six.py"):
        assert "EDITED" not in next(built.glob(f"lib/python3*/site-packages/{name}")).read_text(), name


def test_what_is_built_is_not_writable_by_others_and_conda_lists_it(node: tuple[Path, list[Request]]) -> None:
    base, (first, _) = node
    states.current(first)
    generation = base / "root" / "generations" / "x-aaaaaaaaaaaa-1"
    loose = [path for path in generation.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022]
    assert loose == []
    closed = [path for path in generation.rglob("*") if not path.is_symlink() and not path.stat().st_mode & 0o004]
    assert closed == []
    done = subprocess.run(
        [base / "mc" / "bin" / "conda", "list", "-n", "x", "--json"], capture_output=True, text=True, check=True
    )
    listed = {entry["name"]: entry["channel"] for entry in json.loads(done.stdout)}
    assert set(listed) == {*CONDA_PACKAGES, WHEEL}
    assert (
        not (base / ".conda" / "environments.txt").exists()
        or "generations" not in (base / ".conda" / "environments.txt").read_text()
    )


def test_a_second_run_has_nothing_to_do(node: tuple[Path, list[Request]]) -> None:
    _, (first, _) = node
    states.current(first)
    for state in (states.fetched, states.built, states.tested, states.current):
        assert state(first).changed is False
