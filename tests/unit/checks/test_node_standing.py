"""Whether a node's last validation still counts."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import node_standing
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import CHECKS
from ansible_collections.condafleet.core.plugins.module_utils.declare_checks import check_checks
from ansible_collections.condafleet.core.plugins.module_utils.node_standing import checks_digest, needs_checks
from ansible_collections.condafleet.core.plugins.module_utils.observation import observe_checked
from ansible_collections.condafleet.core.plugins.module_utils.plan import lines, plan

DECLARED = check_checks({})
DIGEST = checks_digest(DECLARED)
CHECKED = {"level": "standard", "run": "r1", "ended": "2026-01-31T12:00:00Z", "digest": DIGEST, "verdict": "PASS"}


@pytest.mark.parametrize(
    ("checked", "why"),
    [
        (CHECKED, None),
        ({**CHECKED, "verdict": "SKIP"}, None),
        ({**CHECKED, "level": "full"}, None),
        (None, "never checked"),
        ({**CHECKED, "level": "smoke"}, "checked at level smoke, declared is standard"),
        ({**CHECKED, "level": "nonsense"}, "checked at level nonsense, declared is standard"),
        ({**CHECKED, "digest": "0" * 64}, "the checks changed (limits or versions)"),
        ({**CHECKED, "verdict": "FAIL"}, "the last verdict was FAIL"),
        ({**CHECKED, "verdict": "ERROR"}, "the last verdict was ERROR"),
    ],
)
def test_what_of_a_node_still_counts(checked: dict[str, Any] | None, why: str | None) -> None:
    assert needs_checks(checked, "standard", DIGEST) == why


@pytest.mark.parametrize(
    ("node", "why"),
    [
        ({"driver": "570.86", "gpus": [{"uuid": "GPU-1"}, {"uuid": "GPU-2"}]}, None),
        ({"driver": "580.95", "gpus": []}, "checked with the driver 570.86, loaded is 580.95"),
        ({"driver": "570.86", "gpus": [{"uuid": "GPU-1"}, {"uuid": "GPU-3"}]}, "checked with other GPUs (GPU-2)"),
        (
            {"driver": "570.86", "gpus": [{"uuid": f"GPU-{number}"} for number in range(8)]},
            None,
        ),  # a host's, all of them
        ({"driver": "570.86", "gpus": [{"uuid": None}, {"uuid": "GPU-3"}]}, None),  # the driver does not tell yet
        ({"driver": None, "gpus": []}, None),
        ({}, None),
    ],
)
def test_a_node_with_other_parts_is_to_be_looked_at_again(node: dict[str, Any], why: str | None) -> None:
    checked = {**CHECKED, "driver": "570.86", "gpus": ["GPU-1", "GPU-2"]}
    assert needs_checks(checked, "standard", DIGEST, node) == why
    assert planned(checked, node=node)["checks"] == why
    # One of before there was such a thing.
    assert needs_checks(CHECKED, "standard", DIGEST, node) is None


def test_the_digest_is_of_what_decides() -> None:
    assert len(DIGEST) == 64
    for changed in (
        {"checks": {"gpu.count": {"equal": 8}}},
        {"mounts": [{"path": "/data"}]},
        {"xid_hours": 2},
        {"deviations": 5},
        {"gap_percent": 5},
    ):
        assert checks_digest(check_checks(changed)) != DIGEST, changed
    # A higher level holds for a lower one, and which environment is measured with is no limit.
    same = check_checks({"level": "full", "speed_environment": "e", "environments": [{"name": "e"}]})
    assert checks_digest(same) == DIGEST


def test_a_check_of_another_version_is_another_check(monkeypatch: pytest.MonkeyPatch) -> None:
    newer = (CHECKS[0]._replace(version=CHECKS[0].version + 1), *CHECKS[1:])
    monkeypatch.setattr(node_standing, "CHECKS", newer)
    assert checks_digest(DECLARED) != DIGEST


def planned(checked: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    observed = {"checked": checked, "environments": {}, "validations": {}, "node": more.pop("node", {})}
    return plan(observed, {"validation": {"enabled": True, "rerun": False, "jobs": [], **DECLARED, **more}})


def test_the_plan_says_why_a_node_is_to_be_looked_at() -> None:
    assert planned(CHECKED)["state"] == "converged"
    part = planned({**CHECKED, "verdict": "FAIL"})
    assert (part["state"], part["checks"]) == ("unvalidated", "the last verdict was FAIL")
    assert lines(part)[1] == ["validation of the node: the last verdict was FAIL"]
    assert planned(CHECKED, rerun=True)["checks"] == "asked for"
    assert planned(None, enabled=False)["state"] == "converged"


def test_what_a_node_keeps_is_read_without_its_findings(tmp_path: Any) -> None:
    assert observe_checked(str(tmp_path)) is None
    (tmp_path / "validation").mkdir()
    record = tmp_path / "validation" / "node.json"
    record.write_text('{"level": "full", "verdict": "PASS", "findings": [1, 2]}')
    assert observe_checked(str(tmp_path)) == {
        "level": "full", "run": None, "ended": None, "digest": None, "verdict": "PASS", "driver": None, "gpus": None,
    }  # fmt: skip
    record.write_text('{"identity": {"driver": "570", "gpus": [{"uuid": "GPU-1"}, 3]}}')
    told = observe_checked(str(tmp_path)) or {}
    assert (told["driver"], told["gpus"]) == ("570", ["GPU-1"])
    record.write_text('{"identity": {"gpus": 7}, "level": "full"}')
    assert (observe_checked(str(tmp_path)) or {})["gpus"] is None
    record.write_text('{"level": "fu')
    assert observe_checked(str(tmp_path)) is None
