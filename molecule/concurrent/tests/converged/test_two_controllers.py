"""Runs that meet on one node: one waits for the other, or says who was in the way; both environments are right."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import scenario

ENVS = "/opt/miniconda3/envs"
GENERATIONS = "/opt/condafleet/generations"
# Holds ROOT for so many seconds, as a run of another controller would.
HOLDER = """
import fcntl, json, os, sys, time
descriptor = os.open("/opt/condafleet/lock", os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(descriptor, fcntl.LOCK_EX)
held = {"pid": os.getpid(), "host": "elsewhere", "since": "2026-01-02T03:04:05Z", "what": "build of the test"}
os.ftruncate(descriptor, 0)
os.pwrite(descriptor, json.dumps(held).encode(), 0)
print(os.getpid(), flush=True)
time.sleep(float(sys.argv[1]))
"""
Controller = Callable[..., "subprocess.Popen[str]"]
Root = Callable[..., str]


def ended(process: subprocess.Popen[str]) -> str:
    """What a run said, in one line; it has to end well."""
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    return " ".join(said.split())


def fared(process: subprocess.Popen[str], *words: str) -> bool:
    """Whether a run ended well; else it has to say one of these."""
    said, _ = process.communicate(timeout=240)
    told = " ".join(said.split())
    assert process.returncode == 0 or any(word in told for word in words), said
    assert "Traceback" not in told
    return process.returncode == 0


def which(root: Root, name: str) -> str:
    """The environment as a user has it."""
    return root(
        f"bash -c '. {ENVS}/{name}/bin/activate; python -c \"import six, idna, packaging\"; echo $WHICH'", "alice"
    )


def unfinished(root: Root) -> list[str]:
    """Generations without a receipt, or half removed."""
    return root(f"cd {GENERATIONS}; for g in *; do [ -e $g/.condafleet.json ] || echo $g; done").split()


def drifted(tmp_path: Path) -> dict[str, str]:
    """What status says of every environment but that it is ok."""
    hosts = scenario.status(tmp_path)
    found = {name: one["state"] for name, one in hosts["co-one"]["environments"].items()}
    return {name: state for name, state in found.items() if state not in ("ok", "behind")}


def test_the_same_declaration_is_built_once(controller: Controller, root: Root, tmp_path: Path) -> None:
    mine = (
        f"for i in 1 2; do /opt/miniconda3/bin/conda create --name mine$i --yes --quiet --override-channels "
        f"--channel {scenario.fleet().depot_url}/channel packaging || exit 1; done; "
        "~/.conda/envs/mine2/bin/python -c 'import packaging'"
    )
    user = subprocess.Popen(
        ["ssh", *scenario.fleet().ssh_options(), f"alice@{scenario.fleet().address('co-one')}", mine],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    one, two = controller(concurrent_which="same"), controller(concurrent_which="same")
    ended(one), ended(two)
    said, _ = user.communicate(timeout=120)
    assert user.returncode == 0, said
    assert which(root, "plain") == "same"
    receipts = root(f'grep -l \'"WHICH": "same"\' {GENERATIONS}/*/.condafleet.json').split()
    assert len(receipts) == 1
    assert unfinished(root) == []
    assert drifted(tmp_path) == {}


def test_different_environments_are_both_right(controller: Controller, root: Root) -> None:
    one = controller(concurrent_name="red", concurrent_which="1")
    two = controller(concurrent_name="blue", concurrent_which="2")
    ended(one), ended(two)
    assert (which(root, "red"), which(root, "blue"), which(root, "plain")) == ("1", "2", "same")
    assert unfinished(root) == []


def test_two_locks_of_one_environment(controller: Controller, root: Root, tmp_path: Path) -> None:
    """The later switch counts, and nobody collects what the other one has staged."""
    folders = {name: tmp_path / name for name in ("a", "b")}
    runs = {name: controller(concurrent_which=name, environments_locks_dir=str(folders[name])) for name in folders}
    for process in runs.values():
        ended(process)
    assert which(root, "plain") in runs
    assert unfinished(root) == []
    ended(controller(concurrent_which="a", environments_locks_dir=str(folders["a"])))
    assert which(root, "plain") == "a"


def test_two_declarations_for_one_lock_folder(controller: Controller, root: Root) -> None:
    runs = [controller(concurrent_which=name) for name in ("c", "d")]
    well = [fared(process, "is not what this run planned with") for process in runs]
    assert which(root, "plain") in (("c", "d") if any(well) else ("a",))
    ended(controller(concurrent_which="d"))
    assert which(root, "plain") == "d"
    assert unfinished(root) == []


def test_environments_of_one_run_at_the_same_time(controller: Controller, root: Root, tmp_path: Path) -> None:
    """Two names for one node: what one run stages in parallel shares caches, ROOT and lock."""
    reach = {
        "ansible_host": scenario.fleet().address("co-one"), "ansible_user": "root",
        "ansible_ssh_private_key_file": str(scenario.fleet().key),
    }  # fmt: skip
    names = {f"co-{name}": {**reach, "concurrent_name": name, "concurrent_which": name} for name in ("left", "right")}
    inventory = tmp_path / "names.yml"
    inventory.write_text(json.dumps({"nodes": {"hosts": names}}), encoding="utf-8")
    # With cold caches: that is where parallel work breaks them.
    root("rm -rf /opt/condafleet/pkgs/* /opt/condafleet/wheels/* /opt/condafleet/uv-cache/*")
    ended(controller(f"--inventory={inventory}", "--limit=co-left,co-right"))
    assert (which(root, "left"), which(root, "right")) == ("left", "right")
    assert unfinished(root) == []


@pytest.fixture
def held(root: Root) -> Callable[[float], str]:
    """Hold ROOT's lock on the node for so many seconds; the process that does."""

    def hold(seconds: float) -> str:
        quoted = "'" + HOLDER.replace("'", "'\\''") + "'"
        root(f"printf %s {quoted} > /var/tmp/holder.py")
        root(f"setsid python3 /var/tmp/holder.py {seconds} </dev/null >/var/tmp/held 2>&1 & sleep 1")
        return root("cat /var/tmp/held")

    return hold


def test_who_waits_says_for_whom(controller: Controller, held: Callable[[float], str]) -> None:
    pid = held(20)
    said = ended(controller(concurrent_which="waited"))
    holder = rf"process {pid} on elsewhere since 2026-01-02T03:04:05Z \(build of the test\)"
    # Whatever the run does first in ROOT: it makes room there where a former one has left something.
    assert re.search(rf"(plain|collection): wait for {holder}, which holds /opt/condafleet", said), said


def test_who_waits_too_long_says_who_is_in_the_way(held: Callable[[float], str], root: Root) -> None:
    pid = held(60)
    began = time.monotonic()
    arguments = {
        "state": "fetched", "name": "never", "prefix": "/opt/miniconda3", "root": "/opt/condafleet",
        "digest": "e" * 64, "lock_timeout": 3,
    }  # fmt: skip
    done = subprocess.run(
        ["ansible", *scenario.inventories(), "co-one", "-m", "condafleet.core.conda_environment",
         "-a", json.dumps(arguments)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False, cwd=scenario.ROOT,
    )  # fmt: skip
    assert done.returncode == 2
    assert re.search(
        rf"/opt/condafleet/lock is held by process {pid} on elsewhere since 2026-01-02T03:04:05Z "
        r"\(build of the test\), "
        "and was not given back within 3 seconds. Next: wait until that has ended",
        scenario.words(done),
    ), done.stdout
    assert time.monotonic() - began < 30
    root(f"kill {pid}")
