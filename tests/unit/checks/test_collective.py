"""Who is tried with whom, and who is blamed: the planner and the judge against fleets with faults put into them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import collective_findings, collective_plan
from ansible_collections.condafleet.core.plugins.module_utils import collective_results as results
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import asked, check_declared
from ansible_collections.condafleet.core.plugins.module_utils.collective_plan import Node

NO_GPUS = {"state": "none", "uuids": [], "why": None}
GOOD, SLOW = 1.0, 0.02
LOST_PEER = "RuntimeError: [/src/gloo/pair.cc:553] Connection closed by peer [10.0.0.1]:4. This is typically caused by"


def node(host: str, checks: dict[str, Any] | None = None, **more: Any) -> Node:
    wanted = asked("full", check_declared(checks or {}))
    told = {"address": f"10.0.0.{host[1:]}", "interface": "eth0", "generation": "t-1", "problem": None, "gpus": NO_GPUS}
    given = {"group": "fleet", "port": 29400, "pair_rounds": 3, "environment": "torch", "brought": told, **more}
    named = {name: one for name, one in wanted.items() if name in ("group.allreduce", "group.pair")}
    return Node(asked=named, **given)


def fleet(count: int, checks: dict[str, Any] | None = None, **more: Any) -> dict[str, Node]:
    return {f"n{number}": node(f"n{number}", checks, **more) for number in range(1, count + 1)}


class World:
    """What becomes of attempts where some nodes are slow, cut off from the others, killed, or gone."""

    def __init__(
        self, slow: Iterable[str] = (), cut: Iterable[str] = (), killed: Iterable[str] = (), gone: Iterable[str] = (),
        strangers: tuple[str, ...] = (), switch: float = GOOD, taken: Iterable[str] = (),
    ) -> None:  # fmt: skip
        self.taken = set(taken)
        self.slow, self.cut, self.killed, self.gone = set(slow), set(cut), set(killed), set(gone)
        # These two can't do with each other, and the switch between all gives no more than this.
        self.strangers, self.switch = set(strangers), switch

    def play(self, nodes: dict[str, Node]) -> list[dict[str, Any]]:
        played: list[dict[str, Any]] = []
        for _ in range(30):
            attempts = [
                one for group in collective_plan.groups(nodes).values()
                for one in collective_plan.next_attempts(group, nodes, played, 4, 10)
            ]  # fmt: skip
            if not attempts:
                return played
            busy = [host for one in attempts for host in one["members"]]
            assert len(busy) == len(set(busy)), "a host in two attempts at once"
            for one in attempts:
                members = one["members"]
                assert [one["jobs"][host]["rank"] for host in members] == list(range(len(members)))
                played.append({**one, "results": {host: self.result(host, one) for host in members}})
        raise AssertionError("the planner knows no end")

    def value(self, members: Iterable[str]) -> float:
        return min([SLOW if host in self.slow else GOOD for host in members])

    def result(self, host: str, attempt: dict[str, Any]) -> dict[str, Any] | None:
        members, log = attempt["members"], "exitcode  : -9 (pid: 7)"
        if host in self.gone:
            return None
        if host in self.taken:
            return {"state": "busy", "reason": "1 of 8 GPU(s) are in use (GPU-a, 4711, python)"}
        if host in self.killed:
            return {"state": "failed", "why": "ended", "status": 1, "seconds": 9, "outcome": None, "step": "together",
                    "log": log, "left": []}  # fmt: skip
        broken = set(members) & (self.cut | self.killed | self.gone | self.taken) or (
            self.strangers and self.strangers <= set(members)
        )
        if broken:
            outcome = {"error": LOST_PEER, "step": "joining", "together": None, "pairs": []}
            return {"state": "failed", "why": "ended", "status": 1, "seconds": 9, "outcome": outcome, "step": "joining",
                    "log": "", "left": []}  # fmt: skip
        own = attempt["jobs"][host]["rank"]
        pairs = []
        for one_round in attempt["pairs"]:
            for pair in one_round:
                if own in pair:
                    other = pair[0] if pair[1] == own else pair[1]
                    pairs.append({"with": other, **sweep(self.value((host, members[other])))})
        whole = self.value(members) if len(members) == 2 else min(self.value(members), self.switch)
        outcome = {"error": None, "step": "done", "together": sweep(whole), "pairs": pairs}
        return {
            "state": "done",
            "why": "ended",
            "status": 0,
            "seconds": 9,
            "outcome": outcome,
            "step": "done",
            "left": [],
        }


def sweep(value: float) -> dict[str, Any]:
    return {"bus_gbps": value, "sizes": [{"bytes": 1024, "seconds": 0.001 / value, "bus_gbps": value / 10}]}


def judged(nodes: dict[str, Node], world: World) -> dict[str, dict[str, dict[str, Any]]]:
    found = collective_findings.findings_of(nodes, world.play(nodes), 4, 10)
    return {host: {one["check"]: one for one in own} for host, own in found.items()}


def verdicts(found: dict[str, dict[str, dict[str, Any]]]) -> dict[str, str]:
    """FAIL or ERROR of each host that has one."""
    return {
        host: f"{one['verdict']} {name}" for host, own in found.items() for name, one in own.items()
        if one["verdict"] in ("FAIL", "ERROR")
    }  # fmt: skip


@pytest.mark.parametrize("count", [2, 3, 4, 5, 16, 33])
def test_a_sound_fleet_passes_in_one_round(count: int) -> None:
    nodes = fleet(count)
    played = World().play(nodes)
    assert [one["kind"] for one in played] == ["together"]
    found = judged(nodes, World())
    assert verdicts(found) == {}
    assert {own["group.allreduce"]["value"] for own in found.values()} == {GOOD}
    assert {own["group.pair"]["verdict"] for own in found.values()} == {"PASS"}


def test_each_group_is_held_to_what_is_declared_for_it() -> None:
    """Not to what the host has that a play asks first."""
    strict = {host: one._replace(group="a") for host, one in fleet(5).items()}
    wide = {f"w{host}": one._replace(group="b", gap_percent=99.0) for host, one in fleet(5).items()}
    for nodes in ({**strict, **wide}, {**wide, **strict}):
        played = World(slow=["n3", "wn3"]).play(nodes)
        found = collective_findings.findings_of(nodes, played)
        bad = {host for host, own in found.items() for one in own if one["verdict"] == "FAIL"}
        assert bad == {"n3"}


@pytest.mark.parametrize("count", [3, 4, 5, 16])
def test_a_slow_node_is_named_by_its_pairs_and_no_other(count: int) -> None:
    found = judged(fleet(count), World(slow=["n2"]))
    assert verdicts(found) == {"n2": "FAIL group.pair"}
    said = found["n2"]["group.pair"]
    assert said["value"] == SLOW
    reached = "reaches 0.02 GB/s (the smallest all-reduce takes 50 ms); of the others' best the median is 1 GB/s"
    assert re.fullmatch(r"its best of [23] pairs " + re.escape(reached), said["reason"])
    lines = [line for own in found.values() for line in own["group.pair"]["evidence"]]
    assert any("(n2 stands apart itself)" in line for line in lines)


def test_two_slow_nodes_of_eight_are_named() -> None:
    assert verdicts(judged(fleet(8), World(slow=["n3", "n6"]))) == {"n3": "FAIL group.pair", "n6": "FAIL group.pair"}


def test_below_the_limit_the_others_are_tried_without_the_culprit() -> None:
    nodes = fleet(4, {"group.*": {"least": 0.5}})
    played = World(slow=["n4"]).play(nodes)
    assert [one["members"] for one in played] == [["n1", "n2", "n3", "n4"], ["n1", "n2", "n3"]]
    found = judged(nodes, World(slow=["n4"]))
    assert {host: own["group.allreduce"]["verdict"] for host, own in found.items()} == {
        "n1": "PASS", "n2": "PASS", "n3": "PASS", "n4": "FAIL",
    }  # fmt: skip
    assert found["n1"]["group.allreduce"]["value"] == GOOD
    assert "n1, n2 and n3 were good with others" in found["n4"]["group.pair"]["reason"]
    assert any("(without n4)" in line for line in found["n1"]["group.allreduce"]["evidence"])


def test_the_group_s_limit_alone_fails_only_whom_pairs_show_to_be_slow() -> None:
    nodes = fleet(4, {"group.allreduce": {"least": 0.5}})
    assert [one["members"] for one in World(slow=["n2"]).play(nodes)][1:] == [["n1", "n3", "n4"]]
    found = judged(nodes, World(slow=["n2"]))
    assert {host: own["group.allreduce"]["verdict"] for host, own in found.items()} == {
        "n1": "PASS", "n2": "FAIL", "n3": "PASS", "n4": "PASS",
    }  # fmt: skip
    said = found["n2"]["group.allreduce"]["reason"]
    assert said.endswith("its best pair is slower than the others'")
    assert found["n2"]["group.pair"]["verdict"] == "FAIL"


def test_a_slow_switch_is_nobodys_own_fault_and_fails_all() -> None:
    found = judged(fleet(4, {"group.*": {"least": 0.5}}), World(switch=0.1))
    assert set(verdicts(found).values()) == {"FAIL group.allreduce"}
    assert "by pairs this node is like the others" in found["n1"]["group.allreduce"]["reason"]


def test_a_node_that_is_cut_off_is_found_by_pairs() -> None:
    nodes = fleet(4)
    played = World(cut=["n1"]).play(nodes)
    assert [one["kind"] for one in played] == ["together", *["pair"] * 6, "together"]
    assert len({one["jobs"]["n1"]["port"] for one in played if "n1" in one["members"]}) == 4
    found = judged(nodes, World(cut=["n1"]))
    assert set(verdicts(found)) == {"n1"}
    assert found["n1"]["group.allreduce"]["verdict"] == "FAIL"
    assert found["n1"]["group.allreduce"]["reason"].startswith("with it the group's all-reduce fails: all its 3 pairs")
    assert found["n2"]["group.allreduce"]["value"] == GOOD


@pytest.mark.parametrize(("kind", "words"), [("killed", "signal 9"), ("gone", "could not be reached")])
def test_who_drops_out_has_an_error_and_the_others_their_verdict(kind: str, words: str) -> None:
    nodes = fleet(4)
    world = World(**{kind: ["n3"]})
    assert [one["kind"] for one in world.play(nodes)] == ["together", "together"], "no pairs are needed"
    found = judged(nodes, world)
    assert verdicts(found) == {"n3": "ERROR group.allreduce"}
    assert words in found["n3"]["group.allreduce"]["reason"]
    assert {own["group.allreduce"]["verdict"] for host, own in found.items() if host != "n3"} == {"PASS"}


def test_of_two_nodes_nobody_can_tell_which() -> None:
    found = judged(fleet(2), World(cut=["n1"]))
    assert found["n1"]["group.allreduce"]["verdict"] == found["n2"]["group.allreduce"]["verdict"] == "ERROR"
    assert "Connection closed by peer" in found["n1"]["group.allreduce"]["reason"]


def test_two_that_can_not_do_with_each_other_are_told_and_nothing_passes() -> None:
    found = judged(fleet(4), World(strangers=("n1", "n4")))
    assert {own["group.allreduce"]["verdict"] for own in found.values()} == {"ERROR"}
    assert found["n1"]["group.pair"]["verdict"] == found["n4"]["group.pair"]["verdict"] == "ERROR"
    assert found["n1"]["group.pair"]["reason"].startswith("with n4: ")
    assert found["n2"]["group.pair"]["verdict"] == "PASS"


def test_nodes_with_another_pytorch_are_told() -> None:
    other = {"address": "10.0.0.4", "interface": "eth0", "generation": "u-1", "problem": None, "gpus": NO_GPUS}
    found = judged({**fleet(3), "n4": node("n4", brought=other)}, World(strangers=("n1", "n4")))
    said = "the nodes do not all have the same environment: t on n[1-3]; u on n4"
    assert all(said in own["group.allreduce"]["evidence"] for own in found.values())
    again = {**other, "generation": "t-2"}
    assert "same environment" not in str(judged({**fleet(3), "n4": node("n4", brought=again)}, World(cut=["n1"])))


def test_all_gone_ends_without_a_pass() -> None:
    found = judged(fleet(4), World(gone=["n1", "n2", "n3", "n4"]))
    assert {own["group.allreduce"]["verdict"] for own in found.values()} == {"ERROR"}


@pytest.mark.parametrize(
    ("more", "verdict", "words"),
    [
        ({"environment": None}, "SKIP", "no environment with PyTorch"),
        ({"brought": None, "gone": "Permission denied"}, "ERROR", "Permission denied"),
        ({"brought": {"problem": "no python", "gpus": NO_GPUS}}, "ERROR", "no python"),
        ({"brought": {"problem": None, "gpus": {"state": "busy", "uuids": ["a"], "why": "1 of 8"}}}, "SKIP", "1 of 8"),
        ({"brought": {"problem": None, "gpus": {"state": "unknown", "uuids": [], "why": "hung"}}}, "ERROR", "hung"),
    ],
)
def test_who_takes_no_part_says_why(more: dict[str, Any], verdict: str, words: str) -> None:
    nodes = {**fleet(3), "n9": node("n9", **more)}
    found = judged(nodes, World())
    assert (found["n9"]["group.allreduce"]["verdict"], verdicts(judged(fleet(3), World()))) == (verdict, {})
    assert words in found["n9"]["group.allreduce"]["reason"]
    assert found["n1"]["group.allreduce"]["verdict"] == "PASS"


def test_a_lone_node_is_skipped_and_what_is_switched_off_says_nothing() -> None:
    assert judged(fleet(1), World())["n1"]["group.allreduce"]["verdict"] == "SKIP"
    assert judged(fleet(3, {"group.*": False}), World()) == {"n1": {}, "n2": {}, "n3": {}}
    only = judged(fleet(3, {"group.pair": False}), World())
    assert [list(own) for own in only.values()] == [["group.allreduce"]] * 3
    assert World(cut=["n1"]).play(fleet(3, {"group.pair": False}))[-1]["kind"] == "together", "no pairs were asked for"


def test_gpus_and_cpus_of_a_group_are_tried_apart_and_groups_side_by_side() -> None:
    free = {"address": "10.0.0.9", "interface": "ib0", "generation": "t-1", "problem": None}
    gpus = {**free, "gpus": {"state": "free", "uuids": ["GPU-a", "GPU-b"], "why": None}}
    nodes = {**fleet(2), **{f"g{number}": node(f"g{number}", brought=gpus) for number in (1, 2)}}
    nodes.update({f"m{number}": node(f"m{number}", group="other") for number in (1, 2)})
    played = World().play(nodes)
    assert [(one["group"], one["jobs"][one["members"][0]]["backend"]) for one in played] == [
        ("fleet (CPUs)", "gloo"), ("fleet (GPUs)", "nccl"), ("other", "gloo"),
    ]  # fmt: skip
    assert played[1]["jobs"]["g1"]["processes"] == 2
    assert played[1]["jobs"]["g1"]["gpus"] == ["GPU-a", "GPU-b"]


RESULT: dict[str, Any] = {"state": "failed", "why": "ended", "status": 1, "seconds": 9.0, "outcome": None, "log": "x"}


@pytest.mark.parametrize("backend", ["gloo", "nccl"])
@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({**RESULT, "step": None, "seconds": 3.0, "log": "No module named torch"}, "No module named torch"),
        ({**RESULT, "step": None, "seconds": 64.0}, None),
        ({**RESULT, "step": "together", "log": "exitcode : -11 (pid: 3)"}, "signal 11"),
        ({**RESULT, "step": "pairs 1/3", "why": "deadline"}, "it hung at the step pairs 1/3"),
        ({**RESULT, "why": None, "step": "together"}, "killed together with its guard"),
        ({**RESULT, "step": "x", "outcome": {"step": "importing", "error": "ImportError: libcuda"}}, "ImportError"),
        ({**RESULT, "step": "x", "outcome": {"step": "joining", "error": "RuntimeError: timed out"}}, None),
        ({**RESULT, "step": "x", "outcome": {"step": "together", "error": "OutOfMemoryError: CUDA"}}, "OutOfMemory"),
        ({**RESULT, "step": "importing", "why": "asked"}, None),
        ({"state": "lost"}, "nothing is left"),
        ({"state": "busy", "reason": "1 of 8 GPU(s) are in use"}, "1 of 8"),
        ({"state": "refused", "reason": "another validation"}, "another validation"),
        ({"state": "done"}, None),
    ],
)
def test_whose_own_fault_it_was(result: dict[str, Any], words: str | None, backend: str) -> None:
    other = {**RESULT, "step": "together", "outcome": {"step": "together", "error": LOST_PEER}}
    attempt = {
        "members": ["n1", "n2"],
        "jobs": {"n1": {"join": 62, "backend": backend}, "n2": {"join": 62, "backend": backend}},
        "results": {"n1": result, "n2": other},
    }
    found = results.own_faults(attempt)
    assert set(found) == ({"n1"} if words else set())
    assert words is None or words in found["n1"]


def tried(backend: str, **given: dict[str, Any]) -> dict[str, Any]:
    jobs = {host: {"join": 62, "backend": backend} for host in given}
    return {"members": list(given), "jobs": jobs, "results": given}


def test_who_waits_where_the_first_node_ends_has_no_fault_of_its_own() -> None:
    """All others meet there: their torchrun ends with it, however early that is."""
    left = {**RESULT, "step": None, "seconds": 4.0, "log": "DistNetworkError: Connection reset by peer"}
    refused = {"state": "refused", "reason": "validation_port: nobody can be met at port 29400"}
    killed = {**RESULT, "step": "importing", "log": "exitcode : -9"}
    assert set(results.own_faults(tried("gloo", n1=refused, n2=left, n3=left))) == {"n1"}
    assert set(results.own_faults(tried("gloo", n1=refused, n2=left, n3=killed))) == {"n1", "n3"}
    assert set(results.own_faults(tried("gloo", n1=left, n2=killed, n3=left))) == {"n1", "n2"}


def test_who_was_ended_by_nccls_watchdog_has_no_fault_of_its_own() -> None:
    """Synthetic: it ends the processes that wait for one that hangs. That one is ended at the time limit."""
    waited = {**RESULT, "step": "together", "log": "exitcode : -6 (pid: 7)"}
    hung = {**RESULT, "step": "together", "why": "deadline"}
    said = {**RESULT, "step": "together", "outcome": {"step": "together", "error": "DistBackendError: timeout"}}
    assert set(results.own_faults(tried("nccl", n1=waited, n2=hung, n3=said))) == {"n2"}
    assert set(results.own_faults(tried("gloo", n1=waited, n2=said))) == {"n1"}


def test_gpus_that_were_taken_meanwhile_are_skipped_and_the_others_go_on() -> None:
    nodes = fleet(3)
    world = World(taken=["n2"])
    assert [one["members"] for one in world.play(nodes)] == [["n1", "n2", "n3"], ["n1", "n3"]]
    found = judged(nodes, world)
    assert {host: own["group.allreduce"]["verdict"] for host, own in found.items()} == {
        "n1": "PASS", "n2": "SKIP", "n3": "PASS",
    }  # fmt: skip
    assert "GPU(s) are in use" in found["n2"]["group.allreduce"]["reason"]
    assert found["n2"]["group.pair"]["verdict"] == "SKIP"


def test_all_at_their_deadline_are_nobodys_own_fault() -> None:
    hung = {**RESULT, "step": "together", "why": "deadline"}
    attempt = {
        "members": ["n1", "n2"],
        "jobs": {"n1": {"join": 6, "backend": "gloo"}, "n2": {"join": 6, "backend": "gloo"}},
        "results": {"n1": hung, "n2": hung},
    }
    assert results.own_faults(attempt) == {}


def test_an_error_is_told_without_the_places_in_torchs_source() -> None:
    found = judged(fleet(2), World(cut=["n1"]))["n1"]["group.allreduce"]["reason"]
    assert found.startswith("n1: RuntimeError: Connection closed by peer [10.0.0.1]:4 (joining)")
