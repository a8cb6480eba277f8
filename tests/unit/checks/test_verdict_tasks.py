"""The role's verdicts, really run by Ansible over several hosts: judged, kept, acted on, refused."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import findings, fleet_memory
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME
from ansible_collections.condafleet.core.plugins.module_utils.declare_validation import check_validation
from condafleet.api import build_call, run_call
from condafleet.cli.exit_codes import NODE_FAILED, NOT_VALID, UNREACHABLE, exit_code
from condafleet.results import FleetResult

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


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = Fleet(tmp_path)
    for number in range(1, 5):
        made.add(f"n{number}", disk(1000.0 + number))
    return made


def test_the_odd_ones_are_refused_after_all_is_kept_and_no_others(fleet: Fleet) -> None:
    fleet.add("slow", disk(300.0))
    fleet.add("sick", disk(1000.0), ECC, NO_LOG)
    result = fleet.run()
    assert result.failed == ("sick", "slow")
    assert str(result.hosts["slow"].message).startswith("FAIL speed.disk: it is 300 MB/s, less than ")
    assert result.hosts["sick"].message == (
        "FAIL gpu.ecc: 2 errors. Next: drain it. ERROR gpu.xid: no log. Next: run as root."
    )
    assert exit_code(result, "validate") == NOT_VALID
    assert fleet.record("n1")["verdict"] == "PASS"
    # On the node, in the report, from the wrapper and its fleet's part: the same.
    slow = fleet.record("slow")
    assert slow["verdict"] == "FAIL"
    assert slow["findings"][0]["evidence"][-1].startswith("fleet: median 1002, ")
    report = result.report()
    assert report["hosts"]["slow"]["checks"]["findings"] == slow["findings"]
    assert report["fleet"]["checks"]["summary"] == {"PASS": 4, "SKIP": 0, "ERROR": 0, "FAIL": 2}
    assert [text.split(":")[0] for text in report["fleet"]["checks"]["odd"]] == [
        "FAIL gpu.ecc", "FAIL speed.disk", "ERROR gpu.xid",
    ]  # fmt: skip
    assert report["fleet"]["checks"]["figures"][0]["count"] == 6
    assert result.hosts["n1"].status == "changed"


def test_a_second_look_at_sound_nodes_changes_nothing(fleet: Fleet) -> None:
    assert set(fleet.run().changed) == {"n1", "n2", "n3", "n4"}
    again = fleet.run()
    assert again.status == "ok"
    assert again.changed == ()


def test_check_mode_writes_and_refuses_nothing(fleet: Fleet, tmp_path: Path) -> None:
    fleet.variables = {"hook": ["touch", str(tmp_path / "ran")], "hook_run": True}
    fleet.add("sick", ECC)
    result = fleet.run(check=True)
    assert result.failed == ()
    assert fleet.record("sick") is None
    assert not (tmp_path / "ran").exists()
    assert result.report()["hosts"]["sick"]["checks"]["verdict"] == "FAIL"


def test_nodes_that_were_lost_hide_nobodys_verdict(fleet: Fleet) -> None:
    """The first of all hosts is lost, and another one before it was looked at, and one can't be reached."""
    fleet.add("a-first", disk(1000.0), lost="after")
    fleet.add("b-second", lost="before")
    unreachable = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    fleet.add("c-third", **unreachable)
    fleet.add("slow", disk(300.0))
    fleet.hosts = dict(sorted(fleet.hosts.items()))
    result = fleet.run()
    assert result.failed == ("a-first", "b-second", "slow")
    assert result.unreachable == ("c-third",)
    assert result.hosts["a-first"].message == "its job was killed"
    assert "less than" in str(result.hosts["slow"].message)
    # What the lost one had found still counts in the comparison.
    assert result.report()["fleet"]["checks"]["figures"][0]["count"] == 6
    assert exit_code(result, "validate") == NODE_FAILED
    # It is no PASS, and what it had come to is in the report.
    checks = result.report()["hosts"]["a-first"]["checks"]
    assert (checks["verdict"], checks["counts"]["PASS"]) == ("ERROR", 1)
    assert result.report()["hosts"]["b-second"]["checks"] is None
    assert result.report()["fleet"]["checks"]["summary"]["ERROR"] == 1
    assert fleet.record("n1")["verdict"] == "PASS"


def test_a_node_without_findings_proves_nothing_and_fails_nothing(fleet: Fleet) -> None:
    fleet.add("idle")
    result = fleet.run()
    assert result.failed == ()
    assert fleet.record("idle")["verdict"] == "SKIP"


def test_portions_are_compared_with_those_before_them(fleet: Fleet) -> None:
    fleet.add("slow", disk(300.0))
    result = fleet.run(extra_vars={"portion": 2})
    assert result.failed == ("slow",)
    assert fleet.record("slow")["findings"][0]["evidence"][-1].endswith("(4 others)")
    # The first portion was too small to judge, and that is said.
    assert "2 of AMD EPYC 9654, and 3 are needed" in fleet.record("n1")["findings"][0]["evidence"][-1]


HOOK = """#!/bin/sh
line=$(printf '%s|' "$@")
echo "$line" >> {folder}/seen
"""


def hook(folder: Path, text: str = HOOK) -> str:
    path = folder / "hook.sh"
    path.write_text(text.format(folder=folder))
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("run", [False, True])
def test_a_hook_acts_on_bad_nodes_alone_and_only_where_it_is_to_run(tmp_path: Path, run: bool) -> None:
    command = [hook(tmp_path), "{host}", "{verdict}", "{reason}", "{checks}"]
    fleet = Fleet(tmp_path, hook=command, hook_run=run)
    fleet.add("n1", disk(1000.0))
    fleet.add("sick", ECC)
    fleet.add("unclear", NO_LOG)
    result = fleet.run()
    assert result.failed == ("sick", "unclear")
    seen = tmp_path / "seen"
    if run:
        reason = "condafleet: FAIL gpu.ecc: 2 errors. Next: drain it."
        assert seen.read_text() == f"sick|FAIL|{reason}|gpu.ecc|\n"
    else:
        assert not seen.exists()
        assert "sick: would run (validation_hook_run is false): " in fleet.said


def test_a_hook_that_fails_is_told_and_changes_no_verdict(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, hook=[hook(tmp_path, "#!/bin/sh\nexit 7\n"), "{host}"], hook_run=True)
    fleet.add("n1", disk(1000.0))
    fleet.add("sick", ECC)
    result = fleet.run()
    assert result.failed == ("sick",)
    assert result.hosts["sick"].message == "FAIL gpu.ecc: 2 errors. Next: drain it."
    assert exit_code(result, "validate") == NOT_VALID
    assert "1 of 1 commands failed; verdicts stay as they are. sick: it ended with status 7" in fleet.said


def test_a_portions_hook_acts_once_on_each_node(tmp_path: Path) -> None:
    more = {"hook_verdicts": ["FAIL", "ERROR"], "hook_percent": 100}
    fleet = Fleet(tmp_path, hook=[hook(tmp_path), "{host}"], hook_run=True, **more)
    fleet.add("n1", ECC)
    fleet.add("n2", disk(1000.0))
    fleet.add("n3", disk(1000.0), lost="after")
    fleet.add("n4", disk(1000.0))
    fleet.add("n5", ECC)
    fleet.run(extra_vars={"portion": 2})
    assert sorted((tmp_path / "seen").read_text().split()) == ["n1|", "n3|", "n5|"]


@pytest.mark.parametrize("portion", [6, 2])
def test_a_hook_does_not_take_the_fleet_out(tmp_path: Path, portion: int) -> None:
    """Where too many are bad nobody is acted on, in a play with portions from there on."""
    fleet = Fleet(tmp_path, hook=[hook(tmp_path), "{host}"], hook_run=True, hook_percent=40)
    for number in range(1, 7):
        fleet.add(f"n{number}", ECC if number % 2 else disk(1000.0))
    result = fleet.run(extra_vars={"portion": portion})
    assert result.failed == ("n1", "n3", "n5")
    seen = tmp_path / "seen"
    assert (sorted(seen.read_text().split()) if seen.exists() else []) == {6: [], 2: ["n1|", "n3|"]}[portion]
    assert "3 of 6 hosts are bad, and validation_hook_percent (40) lets 2 be acted on: none was" in fleet.said


def test_a_record_that_cannot_be_kept_is_reported_and_acted_on_all_the_same(tmp_path: Path) -> None:
    """Of a fleet of one, that nobody else could tell of."""
    fleet = Fleet(tmp_path, hook=[hook(tmp_path), "{host}"], hook_run=True)
    fleet.add("full", ECC)
    (tmp_path / "full").write_text("where ROOT should be")
    result = fleet.run()
    assert result.failed == ("full",)
    message = str(result.hosts["full"].message)
    assert message.startswith("FAIL gpu.ecc: 2 errors. Next: drain it. validation_root: ")
    assert (tmp_path / "seen").read_text() == "full|\n"
    assert result.report()["hosts"]["full"]["checks"]["verdict"] == "FAIL"
    assert exit_code(result, "validate") == NOT_VALID


WHOLE = """\
- name: Validate
  hosts: all
  gather_facts: false
  roles:
    - role: condafleet.core.validation
"""


def test_a_node_that_cannot_be_looked_at_to_the_end_is_an_error_also_when_it_is_alone(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.play.write_text(WHOLE)
    declared = {"validation_level": "smoke", "validation_prefix": str(tmp_path / "conda")}
    acted = {"validation_hook": [hook(tmp_path), "{host}", "{verdict}"], "validation_hook_verdicts": ["ERROR"]}
    fleet.add("n1", **declared, **acted, validation_hook_run=True)
    (tmp_path / "n1").write_text("where ROOT should be")
    result = fleet.run()
    assert str(result.hosts["n1"].message).startswith("ERROR: it was not looked at to the end: ")
    assert (tmp_path / "seen").read_text() == "n1|ERROR|\n"
    assert result.report()["hosts"]["n1"]["checks"]["verdict"] == "ERROR"


def test_a_report_is_written_also_where_every_node_is_refused(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.play.write_text("- ansible.builtin.import_playbook: condafleet.core.validate\n")
    fleet.add("n1", validation_level="smoke", validation_prefix=str(tmp_path / "conda"))
    (tmp_path / "n1").write_text("where ROOT should be")
    path = tmp_path / "report.json"
    result = fleet.run(extra_vars={"condafleet_report_path": str(path)})
    report = json.loads(path.read_text())
    assert (report["fleet"]["failed"], report["hosts"]["n1"]["message"]) == (1, result.hosts["n1"].message)
    assert report["fleet"]["checks"]["summary"]["ERROR"] == 1


def test_an_odd_node_is_odd_at_the_second_look_too(fleet: Fleet) -> None:
    fleet.add("slow", disk(300.0))
    fleet.run()
    for name in list(fleet.hosts):
        if name != "slow":
            del fleet.hosts[name]
    fleet.hosts["slow"]["looked"]["learnt"] = fleet_memory.read(str(fleet.folder / "slow"))
    result = fleet.run()
    assert result.failed == ("slow",)
    assert fleet.record("slow")["findings"][0]["evidence"][-1].startswith("fleet: held against what 5 AMD EPYC 9654")


def test_only_unreachable_nodes_are_no_bad_verdict(fleet: Fleet) -> None:
    fleet.add("gone", ansible_connection="ssh", ansible_host="127.0.0.1", ansible_port=1)
    result = fleet.run()
    assert result.unreachable == ("gone",)
    assert exit_code(result, "validate") == UNREACHABLE


FORMER = """\
- name: Choose
  hosts: all
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


def test_former_generations_are_chosen_for_trainings_alone(tmp_path: Path) -> None:
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
    fleet = Fleet(tmp_path)
    fleet.play.write_text(FORMER)
    fleet.add("n1", conda=conda, jobs=jobs)
    assert fleet.run().status == "ok"
    assert "a-000000000000-1 / {" in fleet.said
    assert "b has no former generation: b-000000000000-2 is its first" in fleet.said
