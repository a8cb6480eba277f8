"""What the report says of nodes' checks, and of the odd ones."""

from __future__ import annotations

from typing import Any

from ansible_collections.condafleet.core.plugins.module_utils import findings, report_hosts
from ansible_collections.condafleet.core.plugins.module_utils import results as maker
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME
from ansible_collections.condafleet.core.plugins.module_utils.validation_record import record_of
from condafleet.events import Fold

TIME = "2026-01-08T03:00:00Z"
SOUND = findings.passed(BY_NAME["speed.disk"], "node", 1000.0)


def slow(value: float) -> dict[str, Any]:
    return findings.failed(BY_NAME["speed.disk"], "node", value, f"it is {value:g} MB/s", "look at the disk")


def record(*found: dict[str, Any]) -> dict[str, Any]:
    return record_of(TIME, "standard", "0" * 64, found, {"node": "n"}, None, None)


def report(**hosts: list[dict[str, Any]]) -> dict[str, Any]:
    made = {
        name: {"status": "ok", "message": None, "data": {"checks": record(*found)} if found else {}}
        for name, found in hosts.items()
    }
    return dict(maker.build_report(made, TIME, TIME, "0.1.0", None, [{"check": "speed.disk", "median": 1000.0}]))


def test_a_hosts_checks_with_their_counts() -> None:
    checks = report(a=[SOUND, slow(5)])["hosts"]["a"]["checks"]
    assert list(checks) == ["level", "run", "verdict", "identity", "findings", "counts"]
    assert (checks["verdict"], checks["run"]) == ("FAIL", TIME)
    assert checks["counts"] == {"PASS": 1, "SKIP": 0, "ERROR": 0, "FAIL": 1}
    assert checks["identity"] == {"node": "n"}


def test_what_was_found_of_an_earlier_validation_is_told_beside() -> None:
    last = {"level": "full", "run": TIME, "ended": TIME, "digest": "0" * 64, "verdict": "FAIL"}
    host = maker.host_report("ok", None, {"observed": {"checked": last}})
    assert (host["checked"], host["checks"]) == (last, None)


def test_a_host_that_was_not_validated_has_none_and_counts_for_nothing() -> None:
    found = report(a=[SOUND], b=[])
    assert found["hosts"]["b"]["checks"] is None
    assert found["fleet"]["checks"]["summary"] == {"PASS": 1, "SKIP": 0, "ERROR": 0, "FAIL": 0}
    assert report(b=[])["fleet"]["checks"] is None


def test_the_odd_ones_are_named_fail_first_and_together() -> None:
    error = findings.unknown(BY_NAME["gpu.xid"], "node", "no log.", "run as root.")
    gpu = findings.failed(BY_NAME["gpu.ecc"], "GPU-1", 2, "2 errors", "drain it")
    hosts = {f"n{number}": [SOUND] for number in range(1, 6)}
    hosts.update(n6=[slow(5)], n7=[slow(6)], n8=[error, gpu])
    fleet = report(**hosts)["fleet"]["checks"]
    assert fleet["odd"] == [
        "FAIL speed.disk: 2 of 8: n[6-7], on n6: it is 5 MB/s. Next: look at the disk.",
        "FAIL gpu.ecc: 1 of 8: n8 (GPU-1): 2 errors. Next: drain it.",
        "ERROR gpu.xid: 1 of 8: n8: no log. Next: run as root.",
    ]
    assert fleet["summary"] == {"PASS": 5, "SKIP": 0, "ERROR": 0, "FAIL": 3}
    assert fleet["figures"] == [{"check": "speed.disk", "median": 1000.0}]


def test_the_actions_report_and_the_wrappers_are_the_same() -> None:
    """From the hosts' variables in Ansible, and from its events."""
    variables = {
        "__validation_judged": {"run": TIME, "figures": [{"check": "speed.disk"}]},
        "__validation_recorded": {"record": record(SOUND, slow(5)), "complaint": "FAIL speed.disk: it is 5 MB/s."},
    }
    status, message = report_hosts.host_status(variables, alive=False)
    assert (status, message) == ("failed", "FAIL speed.disk: it is 5 MB/s.")
    data = report_hosts.host_data(variables, done=False)
    figures = report_hosts.fleet_figures([{}, variables])
    here = maker.build_report(
        {"a": {"status": status, "message": message, "data": data}}, TIME, TIME, "0.1.0", None, figures
    )

    fold = Fold()
    for action, result in (
        ("validation_verdicts", variables["__validation_judged"]),
        ("validation_record", variables["__validation_recorded"]),
    ):
        event = {"host": "a", "task": "t", "resolved_action": f"condafleet.core.{action}", "res": result}
        fold.event({"event": "runner_on_ok", "event_data": event})
    there = fold.result({"processed": {"a": 1}, "ok": {"a": 2}}).report()
    assert there["hosts"]["a"]["checks"] == here["hosts"]["a"]["checks"]
    assert there["fleet"]["checks"] == here["fleet"]["checks"]


def test_a_node_that_dropped_out_is_in_both_reports() -> None:
    lost = {"n2": {**record(SOUND), "verdict": "ERROR", "lost": True}}
    judged = {"run": TIME, "figures": [], "lost": lost}
    assert report_hosts.lost_records([{}, {"__validation_judged": judged}, {"__validation_judged": judged}]) == lost
    fold = Fold()
    event = {"host": "a", "task": "t", "resolved_action": "condafleet.core.validation_verdicts", "res": judged}
    fold.event({"event": "runner_on_ok", "event_data": event})
    there = fold.result({"processed": {"a": 1, "n2": 1}, "ok": {"a": 2}, "failures": {"n2": 1}}).report()
    assert there["hosts"]["n2"]["checks"]["verdict"] == "ERROR"
    assert "lost" not in there["hosts"]["n2"]["checks"]


def test_the_last_batch_of_a_play_knows_the_most() -> None:
    first = {"__validation_judged": {"run": "2026-01-08T03:00:00Z", "figures": [1]}}
    last = {"__validation_judged": {"run": "2026-01-08T03:09:00Z", "figures": [1, 2]}}
    assert report_hosts.fleet_figures([last, first, {}]) == [1, 2]
    assert report_hosts.fleet_figures([{}]) == []
