"""Events and stats become a result: as data, without Ansible."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from condafleet.errors import FleetError, InputError, LockError
from condafleet.events import Fold, message_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def event(kind: str, host: str, action: str = "x", task: str = "Do it", **res: Any) -> dict[str, Any]:
    ignored = res.pop("ignored", False)
    return {
        "event": kind,
        "event_data": {"host": host, "task": task, "task_action": action, "res": res, "ignore_errors": ignored},
    }


def folded(*events: dict[str, Any]) -> Fold:
    fold = Fold(NOW)
    for one in events:
        fold.event(one)
    return fold


def stats(**counts: dict[str, int]) -> dict[str, Any]:
    return {"processed": {name: 1 for count in counts.values() for name in count}, **counts}


def test_the_last_failure_explains_the_host() -> None:
    fold = folded(
        event("runner_on_failed", "a", task="First", msg="rescued"),
        event("runner_on_failed", "a", task="Probe", msg="ignored", ignored=True),
        event("runner_on_failed", "a", task="Second", msg="no room"),
    )
    host = fold.result(stats(failures={"a": 1}), NOW).hosts["a"]
    assert (host.status, host.task, host.message) == ("failed", "Second", "no room")


def test_a_rescued_failure_is_none() -> None:
    fold = folded(event("runner_on_failed", "a", msg="rescued"))
    assert fold.result(stats(ok={"a": 3}), NOW).hosts["a"].message is None


def test_a_question_to_localhost_is_no_node() -> None:
    result = folded().result(stats(skipped={"localhost": 1}, ok={"a": 1}), NOW)
    assert list(result.hosts) == ["a"]
    assert (result.started, result.ended) == ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z")


def test_data_of_loops_is_taken_item_by_item() -> None:
    items = [
        {"ansible_stats": {"data": {"condafleet": {"validation": {"e": {name: {"verdict": "PASS"}}}}}}}
        for name in ("torch", "keras")
    ]
    fold = folded(event("runner_on_ok", "a", results=items))
    assert sorted(fold.data["a"]["validation"]["e"]) == ["keras", "torch"]


def test_locks_come_without_their_variables() -> None:
    entry = {"digest": "d", "state": "made", "variables": {"A": "b"}}
    fold = folded(event("runner_on_ok", "a", "condafleet.core.lock", locks={"e": {"t": entry}}))
    assert fold.result(stats(ok={"a": 1}), NOW).locks == {"e": {"t": {"digest": "d", "state": "made"}}}


def test_a_lock_that_one_host_had_solved_stays_so_though_the_next_found_it_done() -> None:
    made = {"digest": "d", "state": "made", "why": ["there is none yet"], "changes": ["the first"], "variables": {}}
    found = {"digest": "d", "state": "reused", "why": [], "changes": None, "variables": {}}
    fold = folded(
        event("runner_on_ok", "a", "condafleet.core.lock", locks={"e": {"t": found}, "mine": {"t": found}}),
        event("runner_on_ok", "b", "condafleet.core.lock", locks={"e": {"t": made}}),
        event("runner_on_ok", "c", "condafleet.core.lock", locks={"e": {"t": found, "u": found}}),
    )
    locks = fold.result(stats(ok={"a": 1}), NOW).locks
    assert {name: {t: one["state"] for t, one in targets.items()} for name, targets in locks.items()} == {
        "e": {"t": "made", "u": "reused"},
        "mine": {"t": "reused"},
    }
    assert locks["e"]["t"] == {key: value for key, value in made.items() if key != "variables"}


def test_what_was_refused_before_anything_was_touched() -> None:
    same = {"action": "condafleet.core.declaration", "msg": "miniconda_prefix: x is not accepted."}
    refusal = folded(event("runner_on_failed", "a", **same), event("runner_on_failed", "b", **same)).refusal()
    assert isinstance(refusal, InputError)
    assert refusal.message == "miniconda_prefix: x is not accepted."
    locked = folded(event("runner_on_failed", "a", "condafleet.core.lock", msg="unsatisfiable")).refusal()
    assert isinstance(locked, LockError)
    assert (
        folded(event("runner_on_failed", "a", **same), event("runner_on_failed", "b", msg="no room")).refusal() is None
    )
    assert folded().refusal() is None


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"msg": "Task failed: no\n  room"}, "no room"),
        ({"msg": "non-zero return code", "rc": 2, "stderr": "a\nlast line"}, "non-zero return code: last line"),
        ({"msg": "", "rc": 3}, "exit status 3"),
        ({}, "it gave no reason"),
        ({"msg": "One or more items failed", "results": [{"failed": True, "msg": "x"}, {"msg": "y"}]}, "x"),
        ({"msg": "Validation of arguments failed", "argument_errors": ["a", "b"]}, "a; b"),
    ],
)
def test_messages(result: dict[str, Any], message: str) -> None:
    assert message_of(result) == message


def gate_event(host: str, passed: bool, **groups: list[str]) -> dict[str, Any]:
    decision = {
        "after": "plan",
        "hosts": 3,
        "missing": 1,
        "may_fail": 0.0,
        "passed": passed,
        "groups": [{"names": ",".join(nodes), "nodes": nodes, "text": text} for text, nodes in groups.items()],
        "text": "environments_may_fail: 1 of 3\nbad: too old",
    }
    return event("runner_on_ok", host, "condafleet.core.gate", task="Count", gate=decision)


def test_a_stop_by_the_gate_is_the_failure_of_those_that_it_is_about() -> None:
    stop = event(
        "runner_on_failed", "good", "fail", "Stop", msg="Action failed: environments_may_fail: 1 of 3\nbad: too old"
    )
    blocked = {"state": "blocked", "blocked": ["its driver is too old"]}
    planned = event("runner_on_ok", "bad", "condafleet.core.plan", plan=blocked)
    fold = folded(planned, gate_event("good", False, old=["bad"]), stop)
    result = fold.result(stats(ok={"good": 4, "bad": 4}, failures={"good": 1}), NOW)
    assert (result.hosts["good"].status, result.hosts["good"].message) == ("ok", None)
    assert (result.hosts["bad"].status, result.hosts["bad"].message) == ("failed", "its driver is too old")
    assert result.failed == ("bad",)
    assert result.report()["gate"]["plan"]["groups"] == [{"names": "bad", "nodes": ["bad"], "text": "old"}]
    with pytest.raises(FleetError, match="1 of 3\nbad: too old"):
        result.raise_for_status()


def test_the_host_that_says_the_stop_may_have_failed_by_itself_too() -> None:
    stop = event("runner_on_failed", "a", "fail", "Stop", msg="environments_may_fail: 1 of 3 bad: too old")
    own = event("runner_on_failed", "a", "y", "Mine", msg="no room")
    fold = folded(own, gate_event("a", False, old=["bad"]), stop)
    host = fold.result(stats(failures={"a": 2}, ok={"bad": 1}), NOW).hosts["a"]
    assert (host.status, host.message) == ("failed", "no room")


def test_a_gate_that_was_passed_fails_nobody() -> None:
    fold = folded(gate_event("good", True, old=["bad"]))
    result = fold.result(stats(ok={"good": 4, "bad": 4}), NOW)
    assert result.ok
    assert result.report()["gate"]["plan"]["passed"] is True
