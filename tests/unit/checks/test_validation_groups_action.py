"""The action validation_groups, over the variables that the role's tasks leave behind."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.action import validation_groups
from ansible_collections.condafleet.core.plugins.action.validation_groups import ActionModule

DECLARED = {
    "deviations": 4.0,
    "gap_percent": 10.0,
    "level": "full", "checks": {}, "group": "fleet", "port": 29400, "pair_rounds": 3, "speed_environment": "torch",
}  # fmt: skip
BROUGHT = {
    "interface": "eth0",
    "generation": "t-1",
    "problem": None,
    "gpus": {"state": "none", "uuids": [], "why": None},
}
SWEEP = {"bus_gbps": 1.0, "sizes": [{"bytes": 1024, "seconds": 0.001, "bus_gbps": 0.1}]}


class Fleet:
    """Hosts with variables, and the stages on them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        self.patch = monkeypatch
        self.hosts: dict[str, dict[str, Any]] = {
            name: {
                "__validation_checked": {"declared": dict(DECLARED)},
                "__validation_node": {"identity": {"gpus": []}},
                "__validation_brought": {"brought": {**BROUGHT, "address": f"10.0.0.{number}"}},
            }
            for number, name in enumerate(names, 1)
        }
        self.tried: dict[str, Any] = {}
        self.batch = list(names)

    def stage(self, stage: str, check_mode: bool = False) -> dict[str, Any]:
        action = ActionModule.__new__(ActionModule)
        action._task = SimpleNamespace(args={"stage": stage, "hosts": list(self.hosts)}, check_mode=check_mode)
        given = {"stage": stage, "hosts": list(self.hosts), "deviations": None, "gap_percent": None}
        self.patch.setattr(ActionModule.__mro__[1], "run", lambda *_args, **_more: {})
        self.patch.setattr(ActionModule, "validate_argument_spec", lambda *_args: (None, given), raising=False)
        self.patch.setattr(validation_groups, "of_host", lambda _variables, host: self.hosts[host])
        variables = {
            "__validation_tried": self.tried,
            "ansible_play_batch": self.batch,
            "ansible_play_hosts": self.batch,
        }
        found = action.run(task_vars=variables)
        if stage in ("plan", "next"):
            self.tried = found
        return found

    def done(self, host: str) -> None:
        attempt = self.tried["attempts"][self.tried["parts"][host]]
        own = attempt["jobs"][host]["rank"]
        pairs = [
            {"with": sum(pair) - own, **SWEEP} for one_round in attempt["pairs"] for pair in one_round if own in pair
        ]
        outcome = {"error": None, "step": "done", "together": SWEEP, "pairs": pairs}
        self.hosts[host]["__validation_started"] = {"token": attempt["token"], "refused": None}
        self.hosts[host]["__validation_finished"] = {
            "token": attempt["token"], "result": {"state": "done", "outcome": outcome},
        }  # fmt: skip


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return Fleet(monkeypatch, "n1", "n2", "n3")


def verdicts(found: dict[str, Any]) -> dict[str, list[str]]:
    return {host: [one["verdict"] for one in own] for host, own in found["findings"].items()}


def test_a_sound_group_from_plan_to_judgement(fleet: Fleet) -> None:
    assert fleet.stage("plan")["parts"] == {"n1": 0, "n2": 0, "n3": 0}
    for host in fleet.hosts:
        fleet.done(host)
    assert fleet.stage("next")["parts"] == {}
    found = fleet.stage("judge")
    assert verdicts(found) == {"n1": ["PASS", "PASS"], "n2": ["PASS", "PASS"], "n3": ["PASS", "PASS"]}
    assert found["gone"] == []


def test_a_host_that_is_gone_is_left_out_and_told_of(fleet: Fleet) -> None:
    fleet.stage("plan")
    for host in ("n1", "n3"):
        fleet.done(host)
    fleet.hosts["n2"]["__validation_finished"] = {"unreachable": True, "msg": "No route to host"}
    fleet.batch = ["n1", "n3"]
    assert fleet.stage("next")["parts"] == {"n1": 0, "n3": 0}
    for host in ("n1", "n3"):
        fleet.done(host)
    assert fleet.stage("next")["parts"] == {}
    found = fleet.stage("judge")
    # The others have seen its pairs through before.
    assert verdicts(found) == {"n1": ["PASS", "PASS"], "n2": ["ERROR", "PASS"], "n3": ["PASS", "PASS"]}
    assert "No route to host" in found["findings"]["n2"][0]["reason"]
    assert found["gone"] == ["n2"]


def test_what_is_tried_is_said_in_a_line_for_each_group(fleet: Fleet) -> None:
    together = {"group": "a", "kind": "together", "members": ["n1", "n2", "n3"], "seconds": 600, "pairs": [[], [], []]}
    pairs = [
        {"group": "b", "kind": "pair", "members": [f"m{number}", f"m{number + 1}"], "seconds": 300, "pairs": []}
        for number in (1, 3, 5)
    ]
    assert validation_groups.said([together, *pairs]) == [
        "a: all-reduce over n[1-3], then in 3 rounds of pairs (at most 600 s)",
        "b: all-reduce over m[1-6] in 3 pairs, each by itself (at most 300 s)",
    ]


def test_a_result_of_another_attempt_does_not_count(fleet: Fleet) -> None:
    fleet.stage("plan")
    for host in fleet.hosts:
        fleet.done(host)
    fleet.hosts["n3"]["__validation_finished"]["token"] = "together-former"
    fleet.stage("next")
    found = fleet.stage("judge")["findings"]["n3"][0]
    assert (found["verdict"], found["reason"]) == ("ERROR", "its end could not be told")


@pytest.mark.parametrize(
    ("started", "verdict", "words"),
    [
        ({"failed": False, "exception": "…", "msg": "MODULE FAILURE: no python"}, "ERROR", "no python"),
        ({"refused": "another validation's all-reduce is under way", "busy": False}, "ERROR", "another validation"),
        ({"refused": "2 of 8 GPU(s) are in use", "busy": True}, "SKIP", "2 of 8"),
    ],
)
def test_what_could_not_be_started_says_why(fleet: Fleet, started: dict[str, Any], verdict: str, words: str) -> None:
    fleet.stage("plan")
    for host in fleet.hosts:
        fleet.done(host)
    token = fleet.tried["attempts"][0]["token"]
    named = {"token": token} if "refused" in started else {}
    fleet.hosts["n2"]["__validation_started"] = {**started, **named}
    # As the module says where nothing was started.
    fleet.hosts["n2"]["__validation_finished"] = {"token": token, "result": {"state": "lost"}}
    fleet.stage("next")
    found = fleet.stage("judge")["findings"]["n2"][0]
    assert found["verdict"] == verdict
    assert words in found["reason"]


@pytest.mark.parametrize(
    "started",
    [{"refused": "another validation's all-reduce is under way"}, {"unreachable": True}, {"msg": "no python"}, None],
)
def test_who_waits_for_one_that_was_not_started_is_not_waited_for(fleet: Fleet, started: dict[str, Any] | None) -> None:
    fleet.stage("plan")
    for host in fleet.hosts:
        fleet.done(host)
    assert fleet.stage("begun")["in_vain"] == []
    token = fleet.tried["attempts"][0]["token"]
    named = {"token": token} if started and "refused" in started else {}
    fleet.hosts["n2"]["__validation_started"] = started and {**started, **named}
    assert fleet.stage("begun")["in_vain"] == ["n1", "n3"]
    # What they were at when they were ended is no fault of theirs: the group is tried without that one.
    for host in ("n1", "n3"):
        ended = {"state": "failed", "why": "asked", "status": -15, "outcome": None, "step": "joining", "log": ""}
        fleet.hosts[host]["__validation_finished"] = {"token": token, "result": ended}
    fleet.hosts["n2"].pop("__validation_finished")
    assert fleet.stage("next")["parts"] == {"n1": 0, "n3": 0}


def test_an_earlier_batch_takes_no_part_again(fleet: Fleet) -> None:
    fleet.batch = ["n1", "n2"]
    assert fleet.stage("plan")["hosts"] == ["n1", "n2"]


def test_check_mode_tries_nothing_and_says_so(fleet: Fleet) -> None:
    assert fleet.stage("plan", check_mode=True)["parts"] == {}
    assert verdicts(fleet.stage("judge", check_mode=True)) == {host: ["SKIP", "SKIP"] for host in fleet.hosts}
