"""The role's verdicts, run by Ansible over several hosts: judged, kept, acted on, refused.

A play takes seconds: so each has hosts for several cases, and what it came to is looked at by several tests.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import findings, fleet_memory
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME
from ansible_collections.condafleet.core.plugins.module_utils.declare_validation import check_validation
from condafleet.api import build_call, run_call
from condafleet.cli.exit_codes import NODE_FAILED, NOT_VALID, UNREACHABLE, exit_code
from condafleet.results import FleetResult

pytestmark = pytest.mark.integration

PLAY = """\
- name: Leave what the steps before leave
  hosts: all
  gather_facts: false
  serial: "{{ portion | default('100%') }}"
  tasks:
    - name: Declare
      ansible.builtin.set_fact:
        __validation_checked: "{{ checked }}"
    - name: Look
      ansible.builtin.command: "true"
      changed_when: false
      when: lost | default('') != 'before'
    - name: Lose one before it is looked at
      ansible.builtin.fail:
        msg: its disk is full
      register: __validation_node
      when: lost | default('') == 'before'
    - name: Find
      ansible.builtin.set_fact:
        __validation_node: "{{ looked }}"
    - name: Lose one after
      ansible.builtin.fail:
        msg: its job was killed
      register: __validation_trained
      when: lost | default('') == 'after'
    - name: Say what it came to
      ansible.builtin.import_role:
        name: condafleet.core.validation
        tasks_from: verdicts
"""


def looked(*found: dict[str, Any]) -> dict[str, Any]:
    identity = {"node": "n", "cpu": "AMD EPYC 9654", "gpus": [], "driver": None}
    time = "2026-01-08T03:00:00Z"
    return {"findings": list(found), "identity": identity, "started": time, "ended": time, "changed": False}


def disk(value: float) -> dict[str, Any]:
    return findings.passed(BY_NAME["speed.disk"], "node", value)


ECC = findings.failed(BY_NAME["gpu.ecc"], "node", 2, "2 errors", "drain it")
NO_LOG = findings.unknown(BY_NAME["gpu.xid"], "node", "no log", "run as root")


class Fleet:
    """Hosts of this machine, each with a ROOT of its own."""

    def __init__(self, folder: Path, **variables: Any) -> None:
        self.folder = folder
        self.play = folder / "play.yml"
        self.play.write_text(PLAY)
        self.variables = variables
        self.hosts: dict[str, dict[str, Any]] = {}
        self.said = ""

    def add(self, name: str, *found: dict[str, Any], **variables: Any) -> None:
        root = self.folder / name
        declared = check_validation({"environments": [], **self.variables})
        self.hosts[name] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "validation_root": str(root),
            "checked": {"declared": declared},
            "looked": looked(*found),
            **variables,
        }

    def run(self, **options: Any) -> FleetResult:
        extra = options.pop("extra_vars", {})
        inventory = {"all": {"hosts": self.hosts}}
        self.said = ""

        def hear(event: Any) -> None:
            self.said += str(event.get("stdout") or "") + "\n"

        result = run_call(build_call(str(self.play), inventory, {"extra_vars": extra, **options}), hear)
        self.said = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", self.said).split())
        return result

    def record(self, name: str) -> Any:
        path = self.folder / name / "validation" / "node.json"
        return json.loads(path.read_text()) if path.exists() else None


HOOK = """#!/bin/sh
line=$(printf '%s|' "$@")
echo "$line" >> {folder}/seen
"""


def hook(folder: Path, text: str = HOOK) -> str:
    path = folder / "hook.sh"
    path.write_text(text.format(folder=folder))
    path.chmod(0o755)
    return str(path)


class Run(NamedTuple):
    """A play that has ended: its hosts, what came of them, what it said, and how the hook was called."""

    fleet: Fleet
    result: FleetResult
    report: dict[str, Any]
    said: str
    seen: list[str]


def ended(fleet: Fleet, **options: Any) -> Run:
    seen = fleet.folder / "seen"
    result = fleet.run(**options)
    lines = seen.read_text().splitlines() if seen.exists() else []
    return Run(fleet, result, result.report(), fleet.said, lines)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Four sound nodes, three bad ones, and one that tells nothing."""
    folder = tmp_path_factory.mktemp("first")
    command = [hook(folder), "{host}", "{verdict}", "{reason}", "{checks}"]
    fleet = Fleet(folder, hook=command, hook_run=True, hook_percent=100)
    for number in range(1, 5):
        fleet.add(f"n{number}", disk(1000.0 + number))
    fleet.add("slow", disk(300.0))
    fleet.add("sick", disk(1000.0), ECC, NO_LOG)
    fleet.add("unclear", NO_LOG)
    fleet.add("idle")
    return ended(fleet)


def test_the_odd_ones_are_refused_after_all_is_kept_and_no_others(first: Run) -> None:
    result = first.result
    assert result.failed == ("sick", "slow", "unclear")
    assert str(result.hosts["slow"].message).startswith("FAIL speed.disk: it is 300 MB/s, less than ")
    assert result.hosts["sick"].message == (
        "FAIL gpu.ecc: 2 errors. Next: drain it. ERROR gpu.xid: no log. Next: run as root."
    )
    assert exit_code(result, "validate") == NOT_VALID
    assert first.fleet.record("n1")["verdict"] == "PASS"
    # On the node, in the report, from the wrapper and its fleet's part: the same.
    slow = first.fleet.record("slow")
    assert slow["verdict"] == "FAIL"
    assert slow["findings"][0]["evidence"][-1].startswith("fleet: median 1002, ")
    assert first.report["hosts"]["slow"]["checks"]["findings"] == slow["findings"]
    told = first.report["fleet"]["checks"]
    assert told["summary"] == {"PASS": 4, "SKIP": 1, "ERROR": 1, "FAIL": 2}
    assert [text.split(":")[0] for text in told["odd"]] == ["FAIL gpu.ecc", "FAIL speed.disk", "ERROR gpu.xid"]
    assert told["figures"][0]["count"] == 6
    assert result.hosts["n1"].status == "changed"


def test_a_node_without_findings_proves_nothing_and_fails_nothing(first: Run) -> None:
    assert first.fleet.record("idle")["verdict"] == "SKIP"
    assert first.result.hosts["idle"].status == "changed"


def test_a_hook_acts_on_bad_nodes_alone(first: Run) -> None:
    slow, sick = sorted(first.seen, reverse=True)
    assert sick == (
        "sick|FAIL|condafleet: FAIL gpu.ecc: 2 errors. Next: drain it. ERROR gpu.xid: no log. Next: run as root.|"
        "gpu.ecc,gpu.xid|"
    )
    assert slow.startswith("slow|FAIL|condafleet: FAIL speed.disk: it is 300 MB/s, less than ")


FORMER = """\
- name: Choose
  hosts: n1
  gather_facts: false
  tasks:
    - name: Choose each environment's former generation
      condafleet.core.validation_former:
        conda: "{{ conda }}"
        jobs: "{{ jobs }}"
      register: former
    - name: Say it
      ansible.builtin.debug:
        msg: "{{ former.jobs | map(attribute='generation') | join(' ') }} / {{ former.missing | to_json }}"
"""


@pytest.fixture(scope="module")
def second(first: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two nodes of the first run looked at again, each with what it has kept. The hook is only to be shown."""
    folder = tmp_path_factory.mktemp("second")
    fleet = Fleet(folder, hook=[hook(folder), "{host}"])
    jobs = [
        {"environment": "a", "framework": "torch", "kind": "train"},
        {"environment": "a", "framework": "torch", "kind": "smoke"},
        {"environment": "b", "framework": "jax", "kind": "train"},
    ]
    conda = {
        "environments": {name: {"generation": f"{name}-000000000000-2"} for name in "ab"},
        "generations": [{"name": "a-000000000000-1", "finished": True, "broken": None}],
        "history": {"a": [{"generation": "a-000000000000-1"}, {"generation": "a-000000000000-2"}]},
    }
    fleet.play.write_text(FORMER + PLAY)
    for name, value in {"n1": 1001.0, "slow": 300.0}.items():
        root = str(first.fleet.folder / name)
        fleet.add(name, disk(value), validation_root=root, conda=conda, jobs=jobs)
        fleet.hosts[name]["looked"]["learnt"] = fleet_memory.read(root)
    return ended(fleet)


def test_a_second_look_at_a_sound_node_changes_nothing(second: Run) -> None:
    assert second.result.hosts["n1"].status == "ok"


def test_an_odd_node_is_odd_at_the_second_look_too(first: Run, second: Run) -> None:
    assert second.result.failed == ("slow",)
    evidence = first.fleet.record("slow")["findings"][0]["evidence"]
    assert evidence[-1].startswith("fleet: held against what 6 AMD EPYC 9654")


def test_a_hook_that_is_not_to_run_is_shown(second: Run) -> None:
    assert second.seen == []
    assert "slow: would run (validation_hook_run is false): " in second.said


def test_former_generations_are_chosen_for_trainings_alone(second: Run) -> None:
    assert "a-000000000000-1 / {" in second.said
    assert "b has no former generation: b-000000000000-2 is its first" in second.said


def test_check_mode_writes_and_refuses_nothing(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, hook=[hook(tmp_path), "{host}"], hook_run=True)
    fleet.add("sick", ECC)
    run = ended(fleet, check=True)
    assert run.result.failed == ()
    assert fleet.record("sick") is None
    assert run.seen == []
    assert run.report["hosts"]["sick"]["checks"]["verdict"] == "FAIL"


GONE = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}


def test_nodes_that_were_lost_hide_nobodys_verdict(tmp_path: Path) -> None:
    """The first of all hosts is lost, and another one before it was looked at, and one can't be reached."""
    fleet = Fleet(tmp_path)
    fleet.add("a-first", disk(1000.0), lost="after")
    fleet.add("b-second", lost="before")
    fleet.add("c-third", **GONE)
    for number in range(1, 5):
        fleet.add(f"n{number}", disk(1000.0 + number))
    fleet.add("slow", disk(300.0))
    run = ended(fleet)
    result = run.result
    assert result.failed == ("a-first", "b-second", "slow")
    assert result.unreachable == ("c-third",)
    assert result.hosts["a-first"].message == "its job was killed"
    assert "less than" in str(result.hosts["slow"].message)
    # What the lost one had found still counts in the comparison.
    assert run.report["fleet"]["checks"]["figures"][0]["count"] == 6
    assert exit_code(result, "validate") == NODE_FAILED
    # It is no PASS, and what it had come to is in the report.
    checks = run.report["hosts"]["a-first"]["checks"]
    assert (checks["verdict"], checks["counts"]["PASS"]) == ("ERROR", 1)
    assert run.report["hosts"]["b-second"]["checks"] is None
    assert run.report["fleet"]["checks"]["summary"]["ERROR"] == 1
    assert fleet.record("n1")["verdict"] == "PASS"


@pytest.fixture(scope="module")
def portions(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A play with `serial`: two hosts at a time; one of them is lost, and two are bad."""
    folder = tmp_path_factory.mktemp("portions")
    fleet = Fleet(
        folder, hook=[hook(folder), "{host}"], hook_run=True, hook_verdicts=["FAIL", "ERROR"], hook_percent=40
    )
    fleet.add("n1", disk(1001.0), ECC)
    fleet.add("n2", disk(1002.0))
    fleet.add("n3", disk(1003.0), lost="after")
    fleet.add("n4", disk(1004.0))
    fleet.add("slow", disk(300.0))
    # Ansible ends a play in which a whole portion has failed.
    fleet.add("idle")
    return ended(fleet, extra_vars={"portion": 2})


def test_portions_are_compared_with_those_before_them(portions: Run) -> None:
    assert portions.result.failed == ("n1", "n3", "slow")
    assert portions.fleet.record("slow")["findings"][0]["evidence"][-1].endswith("(4 others)")
    # The first portion was too small to judge, and that is said.
    assert "2 of AMD EPYC 9654, and 3 are needed" in portions.fleet.record("n2")["findings"][0]["evidence"][-1]


def test_a_portions_hook_acts_once_on_each_node_until_too_many_are_bad(portions: Run) -> None:
    """40 % of six are two, and the third portion makes it three: nobody is acted on from there on."""
    assert portions.seen == ["n1|", "n3|"]
    assert "3 of 6 hosts are bad, and validation_hook_percent (40) lets 2 be acted on: none was" in portions.said


def test_what_fails_at_the_end_is_told_and_changes_no_verdict(tmp_path: Path) -> None:
    """A record that can't be kept, and a hook that fails, of a fleet of one, that nobody else could tell of."""
    fleet = Fleet(tmp_path, hook=[hook(tmp_path, HOOK + "exit 7\n"), "{host}"], hook_run=True)
    fleet.add("full", ECC)
    (tmp_path / "full").write_text("where ROOT should be")
    run = ended(fleet)
    assert run.result.failed == ("full",)
    message = str(run.result.hosts["full"].message)
    assert message.startswith("FAIL gpu.ecc: 2 errors. Next: drain it. validation_root: ")
    assert run.seen == ["full|"]
    assert run.report["hosts"]["full"]["checks"]["verdict"] == "FAIL"
    assert exit_code(run.result, "validate") == NOT_VALID
    assert "1 of 1 commands failed; verdicts stay as they are. full: it ended with status 7" in run.said


def test_a_node_that_cannot_be_looked_at_to_the_end_is_an_error_and_reported_also_when_it_is_alone(
    tmp_path: Path,
) -> None:
    fleet = Fleet(tmp_path)
    fleet.play.write_text("- ansible.builtin.import_playbook: condafleet.core.validate\n")
    declared = {"validation_level": "smoke", "validation_prefix": str(tmp_path / "conda")}
    acted = {"validation_hook": [hook(tmp_path), "{host}", "{verdict}"], "validation_hook_verdicts": ["ERROR"]}
    fleet.add("n1", **declared, **acted, validation_hook_run=True)
    (tmp_path / "n1").write_text("where ROOT should be")
    path = tmp_path / "report.json"
    run = ended(fleet, extra_vars={"condafleet_report_path": str(path)})
    message = str(run.result.hosts["n1"].message)
    assert message.startswith("ERROR: it was not looked at to the end: ")
    assert run.seen == ["n1|ERROR|"]
    assert run.report["hosts"]["n1"]["checks"]["verdict"] == "ERROR"
    written = json.loads(path.read_text())
    assert (written["fleet"]["failed"], written["hosts"]["n1"]["message"]) == (1, message)
    assert written["fleet"]["checks"]["summary"]["ERROR"] == 1


def test_no_record_is_put_where_something_else_lies(tmp_path: Path) -> None:
    """A folder that can't be ROOT is refused with the words that nothing was changed."""
    fleet = Fleet(tmp_path)
    fleet.add("n1", ECC)
    (tmp_path / "n1").mkdir()
    (tmp_path / "n1" / "somebody's").write_text("data")
    run = ended(fleet)
    message = str(run.result.hosts["n1"].message)
    assert message.startswith("FAIL gpu.ecc: 2 errors. Next: drain it. validation_root: ")
    assert message.endswith("was left as it is, and holds no record of this validation.")
    assert [path.name for path in (tmp_path / "n1").iterdir()] == ["somebody's"]
    assert run.report["hosts"]["n1"]["checks"]["verdict"] == "FAIL"


def test_what_is_run_once_goes_by_no_single_host(tmp_path: Path) -> None:
    """The first host need not prove itself, and the next one has no hook: the others are judged and acted on."""
    fleet = Fleet(tmp_path)
    fleet.play.write_text("- ansible.builtin.import_playbook: condafleet.core.validate\n")
    quick = {"*": False, "host.cpus": True}
    declared = {"validation_level": "smoke", "validation_checks": quick, "validation_prefix": str(tmp_path / "conda")}
    fleet.add("a-login", **declared, validation_enabled=False)
    fleet.add("b-plain", **declared)
    acted = {"validation_hook": [hook(tmp_path), "{host}"], "validation_hook_verdicts": ["ERROR", "SKIP"]}
    fleet.add("c-gpu", **declared, **acted, validation_hook_run=True)
    (tmp_path / "c-gpu").write_text("where ROOT should be")
    path = tmp_path / "report.json"
    run = ended(fleet, extra_vars={"condafleet_report_path": str(path)})
    assert run.result.failed == ("c-gpu",)
    assert run.result.hosts["a-login"].status == "ok"
    assert not (tmp_path / "a-login").exists()
    assert fleet.record("b-plain")["verdict"] == "PASS"
    assert run.seen == ["c-gpu|"]
    summary = {"PASS": 1, "SKIP": 0, "ERROR": 1, "FAIL": 0}
    assert run.report["fleet"]["checks"]["summary"] == summary
    written = json.loads(path.read_text())
    assert written["fleet"]["checks"]["summary"] == summary
    assert written["hosts"]["a-login"]["checks"] is None


def test_only_unreachable_nodes_are_no_bad_verdict(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.add("gone", **GONE)
    result = fleet.run()
    assert result.unreachable == ("gone",)
    assert exit_code(result, "validate") == UNREACHABLE
