"""Functions that really start Ansible: few, and small."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import condafleet
from condafleet import FleetError, FleetResult, InputError, RunError, RunInterruptedError
from condafleet.api import RunOptions, build_call, run_call

SLEEP = """\
- name: Sleep
  hosts: all
  gather_facts: false
  tasks:
    - name: Sleep long
      ansible.builtin.command: {argv: [sleep, "61.7"]}
      changed_when: false
"""


@pytest.fixture
def sleepy(tmp_path: Path) -> str:
    path = tmp_path / "sleep.yml"
    path.write_text(SLEEP)
    return str(path)


def running(text: str, patience: float = 3) -> list[str]:
    """Return command lines of processes that hold a text; one that was killed gets a moment to be gone."""
    end = time.monotonic() + patience
    while (found := command_lines(text)) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def command_lines(text: str) -> list[str]:
    """Return command lines that hold a text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found


def test_each_host_gets_its_status(ran: tuple[FleetResult, Any]) -> None:
    result, _ = ran
    assert {name: host.status for name, host in result.hosts.items()} == {
        "ok": "ok",
        "changed": "changed",
        "failed": "failed",
        "lost": "unreachable",
    }
    assert (result.changed, result.failed, result.unreachable) == (("changed",), ("failed",), ("lost",))
    assert (result.ok, result.status) == (False, "failed")
    assert result.started <= result.ended


def test_a_failure_says_where_and_why(ran: tuple[FleetResult, Any]) -> None:
    result, _ = ran
    assert result.hosts["failed"].task == "Do it"
    assert result.hosts["failed"].message == "its outcome is what the task calls a failure"
    assert "Connection refused" in str(result.hosts["lost"].message)
    with pytest.raises(FleetError, match=r"1 failed and 1 unreachable of 4: failed: .*; lost: ") as caught:
        result.raise_for_status()
    assert caught.value.result is result


def test_data_of_each_host_comes_along(ran: tuple[FleetResult, Any]) -> None:
    result, _ = ran
    assert result.hosts["ok"].environments["pytorch"]["generation"] == "g1"
    assert result.hosts["failed"].environments == {}
    fleet = result.report()["fleet"]
    counts = {"hosts": 4, "ok": 1, "changed": 1, "failed": 1, "unreachable": 1}
    assert {key: fleet[key] for key in counts} == counts
    assert [group["hosts"] for group in fleet["groups"]["pytorch"]] == [["changed", "ok"]]


def test_every_event_was_handed_on(ran: tuple[FleetResult, list[dict[str, Any]]]) -> None:
    kinds = [event["event"] for event in ran[1]]
    assert kinds[0] == "playbook_on_start"
    assert kinds[-1] == "playbook_on_stats"


def test_nothing_is_left_and_no_environment_was_stored(
    play: Path, local: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("SITE_TOKEN", "do-not-store-me")
    seen: list[Path] = []

    def look(event: Mapping[str, Any]) -> None:
        for path in tmp_path.glob("condafleet-*/**/*"):
            if path.is_file() and path not in seen:
                # One that is renamed meanwhile is looked at again under its own name.
                with contextlib.suppress(FileNotFoundError):
                    assert "do-not-store-me" not in path.read_text(errors="replace"), path
                    seen.append(path)

    result = run_call(build_call(str(play), {"all": {"hosts": {"a": {**local, "mode": "ok"}}}}, {}), look)
    assert result.ok
    assert any(path.name == "hosts.json" for path in seen)
    assert list(tmp_path.glob("condafleet-*")) == []


def test_ctrl_c_stops_ansible_and_says_what_may_go_on(sleepy: str, local: dict[str, Any]) -> None:
    def stop(event: Mapping[str, Any]) -> None:
        if event["event"] == "runner_on_start":
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()

    former = signal.getsignal(signal.SIGINT)
    with pytest.raises(
        RunInterruptedError, match=r"^Interrupted\. Work that had begun on the nodes may still be running"
    ):
        run_call(build_call(sleepy, {"all": {"hosts": {"a": local}}}, {}), stop)
    assert signal.getsignal(signal.SIGINT) is former
    assert running(sleepy) == running("61.7") == []


def test_a_run_past_its_limit_is_stopped(sleepy: str, local: dict[str, Any]) -> None:
    with pytest.raises(RunError, match=r"^timeout: the run took longer than 2 s and was stopped\. Work that had begun"):
        run_call(build_call(sleepy, {"all": {"hosts": {"a": local}}}, {"timeout": 2}))
    assert running(sleepy) == running("61.7") == []


def test_an_error_in_the_callers_callback_ends_the_run(sleepy: str, local: dict[str, Any]) -> None:
    def fail(event: Mapping[str, Any]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_call(build_call(sleepy, {"all": {"hosts": {"a": local}}}, {}), fail)
    assert running(sleepy) == []


def test_a_playbook_that_is_not_there() -> None:
    with pytest.raises(RunError, match="could not be found"):
        run_call(build_call("/no/such/play.yml", ["a"], {}))


def test_a_limit_that_leaves_nobody(play: Path) -> None:
    with pytest.raises(InputError, match=r"^limit: b leaves no host of the inventory\. Accepted: "):
        run_call(build_call(str(play), ["a"], {"limit": "b"}))


def test_a_file_of_variables_that_is_none(play: Path, tmp_path: Path) -> None:
    (tmp_path / "vars.yml").write_text("- 1\n")
    with pytest.raises(InputError, match=r"^Ansible refused what it was given: .*vars\.yml"):
        run_call(build_call(str(play), ["a"], {"extra_vars_files": [tmp_path / "vars.yml"]}))


def test_an_inventory_without_hosts(play: Path, tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text("all:\n  hosts: {unclosed\n")
    with pytest.raises(InputError, match=r"inventory: no host was found .*hosts\.yml"):
        run_call(build_call(str(play), path, {}))
    with pytest.raises(InputError, match=r"inventory: no host was found .*Unable to parse .*hosts\.yml"):
        condafleet.plan(inventory=path)


def test_locks_beside_the_inventory_are_not_read_as_one(play: Path, tmp_path: Path, local: dict[str, Any]) -> None:
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": {"a": {**local, "mode": "ok"}}}}))
    (tmp_path / "locks/e").mkdir(parents=True)
    (tmp_path / "locks/e/t.conda-lock.yml").write_text("metadata: {hosts: {ghost: {}}}\n")
    assert list(run_call(build_call(str(play), tmp_path, {})).hosts) == ["a"]


def test_a_refused_declaration_is_an_input_error(tmp_path: Path, local: dict[str, Any]) -> None:
    play = tmp_path / "check.yml"
    play.write_text(
        """\
- name: Check
  hosts: all
  gather_facts: false
  tasks:
    - name: Check what was declared
      ansible.builtin.validate_argument_spec:
        argument_spec: {prefix: {type: path, required: true}}
"""
    )
    with pytest.raises(InputError, match=r"^missing required arguments: prefix$"):
        run_call(build_call(str(play), {"all": {"hosts": {"a": local, "b": local}}}, {}))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"forks": 0}, "forks: 0 is not accepted. Accepted: a number of at least 1."),
        ({"timeout": True}, "timeout: True is not accepted"),
        ({"extra_vars": {"a-b": 1}}, "extra_vars: 'a-b' is not accepted. Accepted: names of Ansible variables."),
        ({"extra_vars_files": ["/no/such"]}, "extra_vars_files: /no/such is not accepted"),
    ],
)
def test_options_that_are_not_accepted(options: RunOptions, said: str) -> None:
    with pytest.raises(InputError) as caught:
        build_call("x", ["a"], options)
    assert said in caught.value.message


def test_an_unknown_option_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError, match="unknown option 'fork'"):
        condafleet.provision(inventory=["a"], fork=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["provision", "plan", "install_miniconda", "init_shell", "create_environments"])
def test_functions_take_keywords_only(name: str) -> None:
    kinds = {parameter.kind for parameter in inspect.signature(getattr(condafleet, name)).parameters.values()}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}


def test_lock_is_the_function_even_after_its_package_was_loaded() -> None:
    from condafleet.lock import api as solver

    assert callable(solver.lock_all)
    assert condafleet.lock.__module__ == "condafleet.api"


@pytest.mark.parametrize("name", ["environments", "targets", "upgrade", "update"])
def test_one_name_instead_of_a_list_is_no_list_of_letters(name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: 'torch' is not accepted. Accepted: a list of names"):
        condafleet.lock(inventory=["a"], **{name: "torch"})  # type: ignore[arg-type]
