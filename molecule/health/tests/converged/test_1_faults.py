"""Each row of faults.yml: what is wrong is found by its check, where it is, with its words, and all else is fine."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import plays
from plays import TABLE, Plays, Row


def name_of(row: Row) -> str:
    return re.sub(r"\W+", "-", f"{row['check']} {row['fault']}")[:80]


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Plays:
    return Plays(tmp_path_factory.mktemp("health"))


def test_healthy_gpus_pass_everything(told: Plays) -> None:
    found = told.healthy("he-gpu")
    assert set(found) == set(plays.GPU_NODES)
    for outcome in found.values():
        assert outcome.bad == set()
        passed = {check for (check, _subject), one in outcome.findings.items() if one["verdict"] == "PASS"}
        assert {check for check, _subject in outcome.findings} - passed == {"host.memlock"}
        # What is switched off stands in no record.
        assert {"gpu.remaps", "gpu.dcgm", "gpu.xid", "host.mounts", "host.driver", "host.shm"} <= passed


@pytest.mark.parametrize("kind", [plays.TORCH, *TABLE["cuda"]])
def test_a_healthy_environment_passes_everything(told: Plays, kind: str) -> None:
    found = told.healthy(kind)[plays.TORCH]
    assert found.bad == set()
    passed = {check for (check, _subject), one in found.findings.items() if one["verdict"] == "PASS"}
    assert passed >= set(TABLE["healthy"][kind]["validation_checks"])


@pytest.mark.parametrize("row", TABLE["faults"], ids=name_of)
def test_a_fault_is_found(told: Plays, row: Row) -> None:
    run, found = told.of(row)
    one = found.findings[row["check"], plays.subject_of(row)]
    assert one["verdict"] == row["verdict"], one
    if row["verdict"] == "PASS":
        assert row["words"] in " ".join(one["evidence"]), one
        assert found.bad == set()
        return
    assert row["words"] in one["reason"], one
    assert one["next_step"]
    # Whoever runs the role reads it, too; of many faults the first ones.
    told_of = f"{row['verdict']} {row['check']}" in found.said or "more: see the report" in found.said
    assert told_of or row.get("also") == "EACH", found.said
    own = {(each["check"], plays.subject_of(each), each["verdict"]) for each in run.rows}
    others = {check: verdict for check, subject, verdict in found.bad - own}
    if row.get("also") == "EACH":
        assert {check for check in others if not check.startswith("gpu.")} == set(row.get("besides", []))
        assert set(others.values()) == {"ERROR"}
    else:
        assert others == {check: verdict for each in run.rows for check, verdict in each.get("also", {}).items()}
