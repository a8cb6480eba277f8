"""Reports as they are made hold to the published JSON Schemas, and what is wrong does not."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from tests.unit.checks.records import fleet, log_unreadable, remap_pending, slow_for_the_fleet, sound

from condafleet.results import FleetResult, HostResult
from condafleet.schemas import schema

REPORT = Draft202012Validator(schema("report"))


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return fleet(
        node1=sound(), node2=[*sound(), remap_pending(), log_unreadable()], node3=[*sound(), slow_for_the_fleet()]
    ).report()


def test_a_report_of_a_validation_holds_to_it(whole: dict[str, Any]) -> None:
    REPORT.validate(whole)
    checks = whole["hosts"]["node2"]["checks"]
    Draft202012Validator(schema("checks")).validate(checks)
    for finding in checks["findings"]:
        Draft202012Validator(schema("finding")).validate(finding)


def test_a_report_without_a_validation_holds_to_it() -> None:
    lost = HostResult("node1", "unreachable", "no route to host", "Observe")
    REPORT.validate(FleetResult({"node1": lost}, "2026-01-08T03:00:00Z", "2026-01-08T03:00:01Z").report())


FIRST = ("hosts", "node1", "checks", "findings", 0)
# Where a value is put, and what: each is wrong in another way.
WRONG: dict[str, tuple[tuple[Any, ...], Any]] = {
    "a verdict that is none": ((*FIRST, "verdict"), "OK"),
    "a check that nobody knows": ((*FIRST, "check"), "gpu.mood"),
    "a limit without a source": ((*FIRST, "limit"), {"least": 1}),
    "a limit that limits nothing": ((*FIRST, "limit"), {"source": "the site"}),
    "a key that no finding has": ((*FIRST, "colour"), "red"),
    "a PASS with a reason": ((*FIRST, "reason"), "it looked odd"),
    "evidence that is one text": ((*FIRST, "evidence"), "64 GiB"),
    "negative seconds": ((*FIRST, "seconds"), -1),
    "a level that is none": (("hosts", "node1", "checks", "level"), "deep"),
    "a count that is none": (("hosts", "node1", "checks", "counts", "PASS"), "3"),
    "generations as a list": (("hosts", "node1", "checks", "identity", "generations"), []),
    "an accuracy in percent": (("hosts", "node1", "validation", "jax", "test_accuracy"), 97.8),
    "a status that is none": (("hosts", "node1", "status"), "fine"),
    "a local time": (("started",), "2026-01-08 03:00"),
    "another version": (("schema_version",), 2),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused(whole: dict[str, Any], name: str) -> None:
    path, value = WRONG[name]
    wrong = place = copy.deepcopy(whole)
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ValidationError):
        REPORT.validate(wrong)


@pytest.mark.parametrize(
    "path", [(*FIRST, "limit"), ("hosts", "node1", "checks"), ("hosts", "node2", "checks", "findings", -1, "next_step")]
)
def test_what_is_missing_is_refused(whole: dict[str, Any], path: tuple[Any, ...]) -> None:
    wrong = place = copy.deepcopy(whole)
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    with pytest.raises(ValidationError):
        REPORT.validate(wrong)


def test_a_fault_without_a_reason_is_refused(whole: dict[str, Any]) -> None:
    wrong = copy.deepcopy(whole)
    wrong["hosts"]["node2"]["checks"]["findings"][-1]["reason"] = None
    with pytest.raises(ValidationError):
        REPORT.validate(wrong)
