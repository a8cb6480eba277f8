"""The action `report`, really run by Ansible."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from condafleet.api import build_call, run_call

PLAY = """\
- name: Plan as the site does
  hosts: all
  gather_facts: false
  tasks:
    - name: Leave a plan
      ansible.builtin.set_fact:
        condafleet_plan: "{{ left }}"
    - name: Lose one
      ansible.builtin.fail:
        msg: lost
      when: inventory_hostname == 'b'

- name: Report
  hosts: all
  gather_facts: false
  tasks:
    - name: Write the report
      condafleet.core.report:
        path: "{{ report_path }}"
      run_once: true
"""
PLAN: dict[str, Any] = {
    "plan": {"installation": [], "shells": [], "validation": {}, "environments": {}, "state": "converged"},
    "observed": {"installation": {"prefix": "/opt/m", "state": "present"}, "environments": {}, "generations": []},
}


def test_the_report_is_written_once_for_all(tmp_path: Path) -> None:
    play, path = tmp_path / "play.yml", tmp_path / "new/report.json"
    play.write_text(PLAY)
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "left": PLAN}
    inventory = {"all": {"hosts": {"a": host, "b": host}}}
    options: Any = {"extra_vars": {"report_path": str(path)}}
    run_call(build_call(str(play), inventory, {**options, "check": True}))
    assert not path.exists()
    result = run_call(build_call(str(play), inventory, options))
    assert result.changed == ()
    report = json.loads(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    counts = {"hosts": 2, "ok": 1, "changed": 0, "failed": 1, "unreachable": 0}
    assert report["fleet"] == {**counts, "groups": {}, "differences": [], "checks": None}
    assert report["hosts"]["a"]["installation"] == {"prefix": "/opt/m", "state": "present"}
    assert report["condafleet_version"] == result.report()["condafleet_version"]
    assert set(report) == set(result.report())
    assert set(report["hosts"]["a"]) == set(result.report()["hosts"]["a"])


@pytest.mark.parametrize(
    ("known", "started"),
    [
        ({"__environments_run": "2026-01-01T03:00:00Z", "__validation_node": {"began": "2026-01-01T04:00:00Z"}}, "03"),
        ({"__validation_node": {"began": "2026-01-01T04:00:00Z"}}, "04"),
    ],
)
def test_the_report_says_when_the_run_began(tmp_path: Path, known: dict[str, Any], started: str) -> None:
    """Not when it was written, which is hours later where a fleet is built."""
    play, path = tmp_path / "play.yml", tmp_path / "report.json"
    play.write_text(PLAY)
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "left": PLAN, **known}
    run_call(build_call(str(play), {"all": {"hosts": {"a": host}}}, {"extra_vars": {"report_path": str(path)}}))
    report = json.loads(path.read_text())
    assert report["started"] == f"2026-01-01T{started}:00:00Z" < report["ended"]


def test_a_folder_is_no_report(tmp_path: Path) -> None:
    play = tmp_path / "play.yml"
    play.write_text(PLAY)
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "left": PLAN}
    result = run_call(
        build_call(str(play), {"all": {"hosts": {"a": host}}}, {"extra_vars": {"report_path": str(tmp_path)}})
    )
    assert result.failed == ("a",)
    assert "it is a folder. Accepted: a file. Next: set condafleet_report_path" in str(result.hosts["a"].message)


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    """As a device does: as root a file would take the place of /dev/null."""
    play, pipe = tmp_path / "play.yml", tmp_path / "pipe"
    play.write_text(PLAY)
    os.mkfifo(pipe)
    heard = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "left": PLAN}
        inventory = {"all": {"hosts": {"a": host}}}
        result = run_call(build_call(str(play), inventory, {"extra_vars": {"report_path": str(pipe)}}))
        assert result.failed == ()
        assert stat.S_ISFIFO(pipe.stat().st_mode)
        assert json.loads(os.read(heard, 65536))["fleet"]["hosts"] == 1
    finally:
        os.close(heard)


BAD_ALONE = """\
- name: Plan as the site does
  hosts: all
  gather_facts: false
  tasks:
    - name: Leave a plan
      ansible.builtin.set_fact:
        condafleet_plan: "{{ left }}"
      when: inventory_hostname != 'not-asked'

- name: Validate
  hosts: bad
  gather_facts: false
  tasks:
    - name: As the site does
      block:
        - name: Keep the record
          ansible.builtin.set_fact:
            __validation_recorded: {complaint: it is slow}
        - name: Refuse it
          ansible.builtin.fail:
            msg: it is slow
      always:
        - name: Write the report
          condafleet.core.report:
            path: "{{ report_path }}"
            hosts: "{{ groups['all'] }}"
          run_once: true
"""


def test_bad_nodes_alone_in_a_play_are_reported_with_the_converged_ones(tmp_path: Path) -> None:
    play, path = tmp_path / "play.yml", tmp_path / "report.json"
    play.write_text(BAD_ALONE)
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "left": PLAN}
    inventory = {"all": {"hosts": dict.fromkeys(("bad", "good", "not-asked"), host)}}
    run_call(build_call(str(play), inventory, {"extra_vars": {"report_path": str(path)}}))
    hosts = json.loads(path.read_text())["hosts"]
    assert {name: (one["status"], one["message"]) for name, one in hosts.items()} == {
        "bad": ("failed", "it is slow"), "good": ("ok", None),
    }  # fmt: skip
