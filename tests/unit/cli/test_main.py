"""The command line as it is typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from condafleet.version import __version__

HOME = Path(__file__).parents[3]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{HOME / 'python'}:{HOME / 'collections'}"}


def condafleet(*args: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "condafleet", *args],
        env={**environment(), **more},
        cwd=cwd,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )


def test_version() -> None:
    done = condafleet("--version")
    assert (done.returncode, done.stdout) == (0, f"condafleet {__version__}\n")


def test_every_verb_has_help() -> None:
    said = condafleet("--help").stdout
    for verb in (
        "provision",
        "plan",
        "install",
        "shell",
        "environments",
        "validate",
        "status",
        "audit",
        "stage",
        "switch",
        "rollback",
        "lock",
        "uninstall",
        "report",
        "compare",
        "schema",
        "depot",
    ):
        assert f"\n  {verb} " in said


@pytest.mark.parametrize(
    ("verb", "usage"),
    [
        ("compare", "condafleet compare [OPTIONS] [BEFORE] [AFTER]"),
        ("rollback", "condafleet rollback [OPTIONS] [ENVIRONMENT]..."),
        ("schema", "condafleet schema [OPTIONS] [NAME]"),
    ],
)
def test_usage_names_arguments_as_the_documentation_does(verb: str, usage: str) -> None:
    assert f"Usage: {usage}\n" in condafleet(verb, "--help").stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("provision",), "Missing option '-i' / '--inventory'"),
        (("provision", "-i", "a,", "--forks", "0"), "'--forks'"),
        (("provision", "-i", "no/such"), "inventory: no/such is not accepted (there is no such file or folder)."),
        (("provision", "-i", "a,", "-e", "x"), "--extra-vars: 'x' is not accepted. Accepted: KEY=VALUE"),
        (("report", "no/such"), "report: no/such is not accepted (No such file or directory)."),
        (("depot", "build"), "depot build: nothing says what to build. Accepted: --embedded DIR."),
        (("fly",), "No such command 'fly'"),
    ],
)
def test_wrong_use_is_status_2_without_a_traceback(tmp_path: Path, args: tuple[str, ...], said: str) -> None:
    done = condafleet(*args, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_traceback_only_when_asked_for(tmp_path: Path) -> None:
    done = condafleet("report", "no/such", cwd=tmp_path, CONDAFLEET_DEBUG="1")
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("verb", ["list", "verify", "serve"])
def test_no_depot_is_one_line_and_status_2(tmp_path: Path, verb: str) -> None:
    done = condafleet("depot", verb, str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith(f"condafleet: DIR: {tmp_path} is no depot: it has no manifest.json. Accepted: ")
    assert done.stderr.count("\n") == 1


def test_a_damaged_depot_is_one_line_and_status_1(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    done = condafleet("depot", "verify", str(tmp_path))
    assert done.returncode == 1
    assert "is damaged or of an unknown kind" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_saved_report_as_tables(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    part = {"message": "no room", "installation": {}, "environments": {}, "validation": {}}
    fleet = {"hosts": 1, "ok": 0, "changed": 0, "failed": 1, "unreachable": 0}
    path.write_text(json.dumps({"schema_version": 1, "fleet": fleet, "hosts": {"a": {"status": "failed", **part}}}))
    done = condafleet("report", str(path))
    assert done.returncode == 0
    assert "no room" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 host: 0 ok, 0 changed, 1 failed, 0 unreachable"


PLAY = """\
- name: Play
  hosts: all
  gather_facts: false
  tasks:
    - name: Wait
      ansible.builtin.command: {argv: [sleep, "{{ seconds }}"]}
      changed_when: false
"""
# The verb with another playbook: everything from the options to the exit status is the real thing.
WITH_PLAY = """\
import sys
from condafleet import api
from condafleet.cli import fleet, main
run = lambda inventory, **options: api.run_call(api.build_call({play!r}, inventory, options), options.get("on_event"))
fleet.VERBS["provision"] = fleet.Verb(run)
main()
"""


def provision(folder: Path, *args: str) -> subprocess.Popen[str]:
    (folder / "play.yml").write_text(PLAY)
    local = f"{{ansible_connection: local, ansible_python_interpreter: {sys.executable}}}"
    lost = "{ansible_host: 127.0.0.1, ansible_port: 1}"
    (folder / "hosts.yml").write_text(f"all: {{hosts: {{here: {local}, lost: {lost}}}}}\n")
    return subprocess.Popen(
        [sys.executable, "-c", WITH_PLAY.format(play=str(folder / "play.yml")), "provision", "-i", "hosts.yml", *args],
        env=environment(),
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_run_with_a_lost_node(tmp_path: Path) -> None:
    process = provision(tmp_path, "--json", "-", "-e", "seconds=0")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 4
    assert {name: one["status"] for name, one in json.loads(out)["hosts"].items()} == {
        "here": "ok",
        "lost": "unreachable",
    }
    assert "    unreachable  lost: " in err
    assert "2 hosts: 1 ok, 0 changed, 0 failed, 1 unreachable" in err


def test_ctrl_c_is_status_130(tmp_path: Path) -> None:
    process = provision(tmp_path, "--limit", "here", "-e", "seconds=47.3")
    assert process.stderr is not None
    for line in process.stderr:
        if "Wait" in line:
            break
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1].startswith(
        "condafleet: Interrupted. Work that had begun on the nodes may still be running"
    )
