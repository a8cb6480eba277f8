"""What a stored result says as findings."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.check_limits import asked, check_declared
from ansible_collections.condafleet.core.plugins.module_utils.findings import sentence
from ansible_collections.condafleet.core.plugins.module_utils.training_findings import findings_of

RESULT = {
    "environment": "pytorch", "framework": "torch", "kind": "train", "verdict": "PASS", "reason": None,
    "next_step": None, "generation": "pytorch-0123456789ab-1", "device": {"kind": "cpu", "name": "A CPU"},
    "versions": {"framework": "2.13.0", "cuda": None}, "test_accuracy": 0.9761, "least_accuracy": 0.97,
    "recomputed_accuracy": 0.976, "ended": "2026-01-31T12:00:00Z",
    "epochs": [{"epoch": 1, "loss": 0.29, "accuracy": 0.91, "images_per_second": 9000.0}], "images_per_second": 9500.0,
    "images_per_second_of": "training, epochs 2 to 5", "threads": 1, "cpu_quota": 0.5, "seconds": 21.0,
}  # fmt: skip


def found(checks: Any = None, level: str = "full", **changes: Any) -> dict[str, dict[str, Any]]:
    result = {**RESULT, **changes}
    return {one["check"]: one for one in findings_of(result, asked(level, check_declared(checks or {})))}


def test_a_training_gives_its_verdict_and_its_speed() -> None:
    findings = found()
    assert list(findings) == ["train.mnist", "env.smoke", "train.speed"]
    learnt, smoked, speed = findings.values()
    # A level contains the lower one.
    assert (smoked["verdict"], smoked["subject"]) == ("PASS", "pytorch/torch")
    assert "test accuracy 0.9761, by numpy from its weights 0.976" in smoked["evidence"][0]
    assert (learnt["verdict"], learnt["value"], learnt["subject"]) == ("PASS", 0.9761, "pytorch/torch")
    assert learnt["limit"] == {"least": 0.97, "source": "validation_least_accuracy"}
    assert "pytorch-0123456789ab-1 on A CPU, at 2026-01-31T12:00:00Z: framework 2.13.0" in learnt["evidence"][0]
    assert "epoch 1: loss 0.29" in learnt["evidence"][1]
    assert (speed["verdict"], speed["value"], speed["limit"]) == ("PASS", 9500.0, None)
    assert "1 thread(s), the cgroup allows 0.5 CPUs" in speed["evidence"][0]


@pytest.mark.parametrize("verdict", ["FAIL", "ERROR", "SKIP"])
def test_a_verdict_that_is_no_pass_keeps_reason_and_next_step(verdict: str) -> None:
    changes = {"verdict": verdict, "reason": "it is so", "next_step": "do that", "images_per_second": None}
    findings = found(**changes)
    one = findings["train.mnist"]
    assert (one["verdict"], one["reason"], one["next_step"]) == (verdict, "it is so", "do that")
    assert findings["train.speed"]["verdict"] == findings["env.smoke"]["verdict"] == "SKIP"
    assert f"which came to {verdict}" in findings["env.smoke"]["reason"]
    assert f"came to no end ({verdict})" in findings["train.speed"]["reason"]


def test_a_verdict_that_nobody_knows_is_error() -> None:
    one = found(verdict=None)["train.mnist"]
    assert one["verdict"] == "ERROR" and one["reason"] and one["next_step"]


def test_a_sites_limit_stands_above_the_jobs() -> None:
    one = found({"train.mnist": {"least": 0.98}})["train.mnist"]
    assert one["verdict"] == "FAIL"
    assert "it is 0.9761 of the test images, less than 0.98 (validation_checks)" in sentence(one)


def test_a_sites_limit_of_speed() -> None:
    one = found({"train.speed": {"least": 10000}})["train.speed"]
    assert one["verdict"] == "FAIL" and "less than 10000" in one["reason"]


@pytest.mark.parametrize(
    ("kind", "check"), [("smoke", "env.smoke"), ("transformer", "train.transformer"), ("serve", "serve.export")]
)
def test_other_kinds_give_their_own_check_with_the_figures(kind: str, check: str) -> None:
    findings = found(kind=kind, figures={"fine_tuned_loss": 0.123456789, "steps": 60})
    assert list(findings) == [check]
    assert findings[check]["verdict"] == "PASS" and findings[check]["value"] is None
    assert findings[check]["evidence"][1:] == ["fine_tuned_loss: 0.1235", "steps: 60"]


def test_what_is_not_asked_gives_nothing() -> None:
    assert list(found({"train.speed": False})) == ["train.mnist", "env.smoke"]
    assert list(found({"train.*": False, "env.smoke": True})) == []
    assert list(found(level="smoke")) == []
    assert found(level="standard", kind="serve") == {}
    assert findings_of(None, asked("full", {})) == []
    assert found(kind="a word of the future") == {}
