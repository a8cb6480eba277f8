"""The pure maker of reports."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.condafleet.core.plugins.module_utils import (
    report_environments,
    report_hosts,
    report_validation,
)
from ansible_collections.condafleet.core.plugins.module_utils import results as maker
from ansible_collections.condafleet.core.plugins.module_utils.mappings import merge

G1, G2 = "pytorch-aaaaaaaaaaaa-1", "pytorch-bbbbbbbbbbbb-1"


def observed(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "installation": {"prefix": "/opt/m", "state": "present", "conda_version": "24.7.1", "condarc": "secret: text"},
        "environments": {"pytorch": {"kind": "link", "target": "/r/" + G1, "generation": G1}},
        "generations": [{"name": G1, "finished": True, "drifted": False, "digest": "aaa", "target": "linux-64-cpu"}],
        "validations": {},
    }
    return {**base, **changes}


def planned(action: str, generation: str = G1, **changes: Any) -> dict[str, Any]:
    entry = {"action": action, "generation": generation, "digest": "bbb", "target": "linux-64-cpu", "why": "as it is"}
    return {
        "installation": [],
        "shells": [],
        "environments": {"pytorch": {**entry, **changes}},
        "validation": {},
        "state": "converged" if action == "none" else "pending",
    }


def data(action: str = "none", **changes: Any) -> dict[str, Any]:
    return {"observed": observed(**changes), "plan": planned(action)}


def result(verdict: str, accuracy: float | None = None, generation: str = G1, **more: Any) -> dict[str, Any]:
    return {"verdict": verdict, "test_accuracy": accuracy, "generation": generation, **more}


def test_a_report_counts_its_hosts_and_sorts_them() -> None:
    hosts = {
        "b": {"status": "failed", "message": "no room", "data": {}},
        "a": {"status": "ok", "message": None, "data": data()},
    }
    report = maker.build_report(hosts, "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", "0.1.0")
    assert list(report["hosts"]) == ["a", "b"]
    counts = {"hosts": 2, "ok": 1, "changed": 0, "failed": 1, "unreachable": 0}
    groups = report["fleet"].pop("groups")
    assert report["fleet"] == {**counts, "differences": [], "checks": None}
    assert [(group["hosts"], group["of"], group["differs"]) for group in groups["pytorch"]] == [(["a"], 1, False)]
    assert report["hosts"]["b"] == {
        "status": "failed",
        "message": "no room",
        "installation": {},
        "environments": {},
        "validation": {},
        "checks": None,
        "checked": None,
        "dependants": None,
        "users_environments": None,
        "plan": None,
        "rollback": None,
    }
    assert maker.report_summary(report) == "2 hosts: 1 ok, 0 changed, 1 failed, 0 unreachable"
    assert report["hosts"]["a"]["environments"]["pytorch"] == {
        "generation": G1,
        "digest": "aaa",
        "target": "linux-64-cpu",
        "state": "ok",
        "why": "as it is",
        "fingerprint": None,
        "files": None,
        "drift": None,
    }


def test_an_unknown_status_is_no_report() -> None:
    with pytest.raises(ValueError, match=r"status: fine is not accepted\. Accepted: ok, changed, failed, unreachable"):
        maker.host_report("fine", None, {})


def test_texts_of_files_are_left_out() -> None:
    assert "condarc" not in maker.host_report("ok", None, data())["installation"]


@pytest.mark.parametrize(
    ("action", "changes", "state"),
    [
        ("none", {}, "ok"),
        ("build", {}, "behind"),
        ("switch", {}, "behind"),
        ("unknown", {}, "behind"),
        ("build", {"environments": {}}, "behind"),
        ("build", {"generations": [{"name": G1, "finished": True, "drifted": True}]}, "drifted"),
        ("build", {"generations": [{"name": G1, "finished": False, "drifted": None}]}, "unfinished"),
        ("build", {"environments": {"pytorch": {"kind": "broken", "target": "/x", "generation": G2}}}, "broken"),
        ("blocked", {"environments": {"pytorch": {"kind": "directory", "generation": None}}}, "replaced"),
        ("blocked", {"environments": {"pytorch": {"kind": "link", "target": "/x", "generation": None}}}, "replaced"),
    ],
)
def test_how_an_environment_stands(action: str, changes: dict[str, Any], state: str) -> None:
    assert report_environments.environments_report(data(action, **changes))["pytorch"]["state"] == state
    assert report_environments.host_state(data(action, **changes)) == state


def test_a_host_is_behind_for_its_installation_too() -> None:
    part = data()
    assert report_environments.host_state(part) == "ok"
    part["plan"]["installation"] = [{"what": "condarc", "before": "a", "after": "b"}]
    assert report_environments.host_state(part) == "behind"
    part["observed"]["installation"]["state"] = "unfinished"
    assert report_environments.host_state(part) == "unfinished"


def test_what_was_switched_counts_and_not_what_was_seen_before() -> None:
    part = {**data("build"), "environments": {"pytorch": {"generation": G2, "digest": "bbb", "target": "linux-64-cpu"}}}
    assert report_environments.environments_report(part)["pytorch"] == {
        "generation": G2,
        "digest": "bbb",
        "target": "linux-64-cpu",
        "state": "ok",
        "why": None,
        "fingerprint": None,
        "files": None,
        "drift": None,
    }


def test_an_environment_has_its_worst_verdict_and_its_lowest_figures() -> None:
    part = {
        **data(),
        "validation": {
            "pytorch": {
                "torch": result("PASS", 0.98, images_per_second=900.0),
                "keras": result("FAIL", 0.91, images_per_second=400.0, reason="0.91 is below 0.97"),
            }
        },
    }
    found = report_validation.validation_report(part)["pytorch"]
    assert (found["verdict"], found["test_accuracy"], found["images_per_second"]) == ("FAIL", 0.91, 400.0)
    assert found["reason"] == "0.91 is below 0.97"
    assert sorted(found["frameworks"]) == ["keras", "torch"]


def test_a_stored_verdict_counts_only_for_the_current_generation() -> None:
    stored = {"pytorch": {"torch": result("PASS", 0.98)}, "gone": {"torch": result("FAIL", 0.1)}}
    part = data(validations=stored)
    assert {name: one["verdict"] for name, one in report_validation.validation_report(part).items()} == {
        "pytorch": "PASS"
    }
    part["environments"] = {"pytorch": {"generation": G2}}
    assert report_validation.validation_report(part) == {}


def test_an_unknown_verdict_is_no_pass() -> None:
    part = {"validation": {"pytorch": {"torch": result("FINE", 0.99)}}}
    assert report_validation.validation_report(part)["pytorch"]["verdict"] == "ERROR"


@pytest.mark.parametrize(
    ("variables", "alive", "expected"),
    [
        ({"condafleet_plan": {"plan": planned("none")}}, True, ("ok", None)),
        ({"condafleet_plan": {"plan": planned("build")}}, True, ("changed", None)),
        ({"condafleet_plan": {"unreachable": True, "msg": "no route"}}, False, ("unreachable", "no route")),
        ({"condafleet_plan": {"failed": True, "msg": "glibc 2.17"}}, False, ("failed", "glibc 2.17")),
        ({}, False, ("failed", "it failed or was lost after the plan; the output of the run says where")),
        (
            {"condafleet_plan": {}, "__validation_recorded": {"complaint": "FAIL gpu.ecc: 2 errors."}},
            False,
            ("failed", "FAIL gpu.ecc: 2 errors."),
        ),
    ],
)
def test_the_status_by_a_hosts_variables(
    variables: dict[str, Any], alive: bool, expected: tuple[str, str | None]
) -> None:
    assert report_hosts.host_status(variables, alive) == expected


def test_data_by_a_hosts_variables() -> None:
    trained = {
        "results": [
            {"__validation_job": {"environment": "pytorch", "framework": "torch"}, "result": result("PASS", 0.98)},
            {"skipped": True},
        ]
    }
    plan = {"observed": observed(), "plan": planned("build", G2)}
    found = report_hosts.host_data({"condafleet_plan": plan, "__validation_trained": trained}, done=False)
    assert found["environments"]["pytorch"]["generation"] == G2
    assert found["validation"]["pytorch"]["torch"]["verdict"] == "PASS"
    assert "environments" not in report_hosts.host_data({"condafleet_plan": plan}, done=False)


nested = st.recursive(
    st.integers() | st.none(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner), max_leaves=8
)
mappings = st.dictionaries(st.sampled_from("abc"), nested)


@given(mappings, mappings)
def test_merging_never_loses_a_key(one: dict, two: dict) -> None:  # type: ignore[type-arg]
    assert set(merge(one, two)) == set(one) | set(two)
    assert merge(one, {}) == one
    assert merge({}, one) == one
    assert merge(one, one) == one
