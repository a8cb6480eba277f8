"""Every check of the catalog stands in the table of proofs, with a fault that it finds, or with what proves it."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import CHECKS

REPO = Path(__file__).parents[2]
TABLE: dict[str, Any] = yaml.safe_load((REPO / "molecule/health/tests/faults.yml").read_text(encoding="utf-8"))
BAD = ("FAIL", "ERROR")


def proven() -> set[str]:
    """Checks that a row of the scenario makes bad."""
    rows = [row for row in TABLE["faults"] if row["verdict"] in BAD]
    also = [row["also"] for row in rows if isinstance(row.get("also"), dict)]
    return {row["check"] for row in rows} | {name for others in also for name in others}


def test_each_check_is_proven_to_fail() -> None:
    names = {check.name for check in CHECKS}
    assert sorted(names - proven() - set(TABLE["elsewhere"])) == []
    # And none is told of that is no check any more, or that stands in both.
    assert sorted((proven() | set(TABLE["elsewhere"])) - names) == []
    assert sorted(proven() & set(TABLE["elsewhere"])) == []


@pytest.mark.parametrize(("check", "place"), TABLE["elsewhere"].items())
def test_what_is_proven_elsewhere_is_proven_there(check: str, place: str) -> None:
    path = REPO / place
    sources = [path] if path.is_file() else sorted(path.rglob("test_*.py"))
    texts = [source.read_text(encoding="utf-8") for source in sources]
    assert any(check in text or check.rpartition(".")[2] in text for text in texts), f"{place} does not name {check}"


@pytest.mark.parametrize("row", TABLE["faults"], ids=lambda row: f"{row['check']}: {row['fault']}")
def test_a_row_says_check_fault_and_verdict(row: dict[str, Any]) -> None:
    known = {
        "check",
        "fault",
        "verdict",
        "words",
        "node",
        "subject",
        "gpus",
        "log",
        "does",
        "undoes",
        "inside",
        "dead",
        "limits",
    }
    assert set(row) <= known | {"variables", "also", "besides", "library", "data", "share", "run"}
    assert {"check", "fault", "verdict", "words"} <= set(row)
    assert row["verdict"] in (*BAD, "PASS")


def test_rows_of_one_run_are_of_one_node() -> None:
    nodes: dict[str, set[str]] = {}
    for row in TABLE["faults"]:
        if "run" in row:
            nodes.setdefault(row["run"], set()).add(row.get("node", ""))
    assert nodes and all(len(found) == 1 for found in nodes.values()), nodes


def test_what_is_off_by_itself_is_passed_by_a_healthy_node() -> None:
    """Else its row could be bad for another reason than its fault."""
    off = [pattern for pattern, asked in TABLE["checks"].items() if asked is False]
    passed = {name for variables in TABLE["healthy"].values() for name in variables["validation_checks"]}
    checks = {row["check"] for row in TABLE["faults"] if row["verdict"] in BAD}
    alone = {check for check in checks if any(fnmatch.fnmatchcase(check, pattern) for pattern in off)}
    # What keeps the clock of the machine that the tests run on is its own affair.
    assert alone - passed == {"host.clock"}
