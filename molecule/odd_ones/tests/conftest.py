"""What the tests of this scenario share: validations of the four nodes, and who still runs on them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "containers"))

import scenario

PLAYBOOK = "condafleet.core.validate"
# Of the processes of an all-reduce, in whatever group; the shell that asks has only a part of the word.
RUNNING = "grep -lszE 'CONDAFLEET_COLLECTIV[E]=' /proc/[0-9]*/environ; pgrep -af 'collective_torc[h]'; true"

# A node that is gone is given up sooner than usual: two questions without an answer, and three tries of five seconds.
PATIENCE = {
    "ANSIBLE_TIMEOUT": "5",
    "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=60s -o ServerAliveInterval=5 -o ServerAliveCountMax=2",
    "ANSIBLE_FORCE_COLOR": "false",
    "ANSIBLE_NOCOLOR": "true",
}


@pytest.fixture
def validate(tmp_path: Path) -> Callable[..., tuple[str, dict[str, Any]]]:
    """Run the validation, of some nodes or with other variables if need be: what it said, and the report's hosts."""

    def run(limit: str = "all", **variables: Any) -> tuple[str, dict[str, Any]]:
        path = tmp_path / "report.json"
        given = {**variables, "condafleet_report_path": str(path)}
        done = scenario.play(PLAYBOOK, f"--limit={limit}", f"--extra-vars={json.dumps(given)}", timeout=850)
        assert path.exists(), done.stdout + done.stderr
        return scenario.words(done), json.loads(path.read_text(encoding="utf-8"))["hosts"]

    return run


def hold(first: int) -> bool:
    """Stop what a node reduces with, whose first process is given, as soon as it reduces together with the others: from
    then on they wait for it. Else the middle of an all-reduce lasts a second or two, which a busy machine lets pass.
    Whether it has come to that."""
    namespace = Path(f"/proc/{first}/ns/pid").readlink()
    for path in Path(f"/proc/{first}/root/opt/condafleet/validation/.collective").glob("*/*/work/progress.json"):
        if json.loads(path.read_text(encoding="utf-8"))["step"] == "together":
            own = [pid for pid in reducing() if Path(f"/proc/{pid}/ns/pid").readlink() == namespace]
            for pid in own:
                os.kill(pid, signal.SIGSTOP)
            return bool(own)
    return False


def reducing() -> list[int]:
    """The processes of all nodes that measure, without those of torchrun that only look after them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes()
            if b"collective_torch" in words and b"torch.distributed.run" not in words:
                found.append(int(path.parent.name))
    return found


@pytest.fixture
def begun(tmp_path: Path) -> Callable[[int], tuple[subprocess.Popen[bytes], Path]]:
    """Begin a validation of groups alone, and return when all nodes reduce together and od3 makes them wait."""

    def run(limit: int) -> tuple[subprocess.Popen[bytes], Path]:
        log = tmp_path / "play.log"
        checks = {"validation_checks": {"*": False, "group.*": {"enabled": True, "timeout": limit}}}
        options = [*scenario.inventories(), f"--extra-vars={json.dumps(checks)}", "--forks=10"]
        options.append(f"--extra-vars=condafleet_report_path={tmp_path / 'report.json'}")
        with log.open("wb") as heard:
            playing = subprocess.Popen(
                ["ansible-playbook", *options, PLAYBOOK], stdin=subprocess.DEVNULL, stdout=heard, stderr=heard,
                cwd=scenario.ROOT, start_new_session=True,
                env={**os.environ, **PATIENCE, "ANSIBLE_SSH_CONTROL_PATH_DIR": str(tmp_path / "c")},
            )  # fmt: skip
        of_node = scenario.engine.podman("inspect", "--format", "{{.State.Pid}}", scenario.fleet().container("od3"))
        held = False
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and playing.poll() is None:
            held = held or hold(int(of_node))
            if held and "all-reduce together" in log.read_text(encoding="utf-8"):
                return playing, log
            time.sleep(0.05)
        playing.kill()
        raise AssertionError(log.read_text(encoding="utf-8"))

    return run


@pytest.fixture
def running() -> Callable[..., dict[str, str]]:
    """The processes of all-reduces on each node that has any; some nodes may be left out."""

    def look(without: str = "") -> dict[str, str]:
        found = {}
        for node in scenario.fleet().state["nodes"]:
            if node != without:
                said = scenario.fleet().ssh(node, RUNNING)
                assert said.returncode == 0, said.stderr
                found[node] = said.stdout
        return {node: text for node, text in found.items() if text}

    return look


@pytest.fixture
def bad() -> Callable[[dict[str, Any]], dict[str, str]]:
    """{check: verdict} of what speaks against a host of a report."""

    def look(host: dict[str, Any]) -> dict[str, str]:
        found = {one["check"]: one["verdict"] for one in host["checks"]["findings"]}
        return {check: verdict for check, verdict in found.items() if verdict in ("FAIL", "ERROR")}

    return look


@pytest.fixture
def of() -> Callable[[dict[str, Any], str], dict[str, Any]]:
    """The finding of a check in a host of a report."""

    def look(host: dict[str, Any], check: str) -> dict[str, Any]:
        (found,) = [one for one in host["checks"]["findings"] if one["check"] == check]
        return dict(found)

    return look
