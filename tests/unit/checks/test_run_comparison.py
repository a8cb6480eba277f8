"""What moved between two validations of a node, and what else changed."""

from __future__ import annotations

from typing import Any

from ansible_collections.condafleet.core.plugins.module_utils import findings
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Limit
from ansible_collections.condafleet.core.plugins.module_utils.run_comparison import compare

GPU = "GPU-1"
IDENTITY = {
    "driver": "570.86", "cuda": "12.8", "kernel": "6.1.0", "generations": {"pytorch": "pytorch-aaa-1"},
    "gpus": [{"uuid": GPU}],
}  # fmt: skip


def run(figure: float = 100.0, *, verdict: str = "PASS", version: int = 1, **identity: Any) -> dict[str, Any]:
    speed = findings.passed(BY_NAME["speed.memory"], GPU, figure)
    ecc = findings.failed(BY_NAME["gpu.ecc"], GPU, 2, "2 errors", "drain")
    if verdict == "PASS":
        ecc = findings.passed(BY_NAME["gpu.ecc"], GPU, 0)
    return {"identity": {**IDENTITY, **identity}, "findings": [{**speed, "version": version}, ecc]}


def test_two_alike_runs_moved_nothing() -> None:
    found = compare(run(), run(104.0))
    assert (found["verdicts"], found["figures"], found["software"]) == ([], [], {})
    assert found["conclusion"] == "Nothing moved."


def test_what_got_slower_with_the_same_software_points_at_the_hardware() -> None:
    found = compare(run(), run(80.0))
    assert found["figures"] == [
        {"check": "speed.memory", "subject": GPU, "unit": "GB/s", "before": 100.0, "after": 80.0, "percent": -20.0}
    ]
    assert found["conclusion"].startswith("Neither software nor GPUs changed in between, as far as a record tells")


def test_what_changed_in_between_is_told() -> None:
    found = compare(run(), run(80.0, driver="575.51", generations={"pytorch": "pytorch-bbb-1", "jax": "jax-c-1"}))
    assert found["software"] == {
        "driver": ["570.86", "575.51"],
        "jax": [None, "jax-c-1"],
        "pytorch": ["pytorch-aaa-1", "pytorch-bbb-1"],
    }
    assert "driver 570.86 → 575.51; jax none → jax-c-1; pytorch pytorch-aaa-1 → pytorch-bbb-1" in found["conclusion"]
    assert "--rerun-previous" in found["conclusion"]


def test_a_gpu_that_was_replaced_is_told() -> None:
    found = compare(run(), run(80.0, gpus=[{"uuid": "GPU-2"}]))
    assert found["gpus"] == {"gone": [GPU], "new": ["GPU-2"]}
    assert "1 GPU(s) gone, 1 new" in found["conclusion"]


def test_a_gpu_that_was_lost_is_gone_and_no_new_one() -> None:
    assert compare(run(), run(gpus=[{"uuid": None}]))["gpus"] == {"gone": [GPU], "new": []}


def test_a_verdict_that_turned_is_told_with_its_reason() -> None:
    (moved,) = compare(run(), run(verdict="FAIL"))["verdicts"]
    assert moved == {
        "check": "gpu.ecc", "subject": GPU, "before": "PASS", "after": "FAIL", "reason": "2 errors", "relimited": False,
    }  # fmt: skip


def test_a_verdict_by_another_limit_blames_no_hardware() -> None:
    limit = Limit(least=110, source="validation_checks")
    strict = findings.judged(BY_NAME["speed.memory"], GPU, 101.0, limit, "replace it")
    found = compare(run(), {**run(), "findings": [strict, run()["findings"][1]]})
    assert [one["relimited"] for one in found["verdicts"]] == [True]
    assert found["conclusion"] == (
        "Other limits turned the verdicts (a site's, or the fleet's): what was measured is as before."
    )
    slower = findings.judged(BY_NAME["speed.memory"], GPU, 80.0, limit, "replace it")
    found = compare(run(), {**run(), "findings": [slower]})
    assert [one["relimited"] for one in found["verdicts"]] == [False]
    assert "look at the hardware" in found["conclusion"]


def test_another_machine_by_the_same_name_is_told() -> None:
    found = compare(run(machine_id="a"), run(80.0, machine_id="b"))
    assert found["machine"] == {"machine_id": ["a", "b"]}
    assert found["conclusion"].startswith("This changed in between: machine_id a → b.")


def test_only_what_means_the_same_is_compared() -> None:
    found = compare(run(), run(50.0, version=2))
    assert found["figures"] == []
    assert found["not_compared"] == ["speed.memory (GPU-1) has version 1, then 2"]
    alone = compare({**run(), "findings": []}, run())
    assert alone["not_compared"] == [
        "gpu.ecc (GPU-1) is in the later run alone", "speed.memory (GPU-1) is in the later run alone",
    ]  # fmt: skip


def test_what_nobody_looked_at_in_one_run_blames_no_hardware() -> None:
    """A job had the GPU, or too few other nodes were looked at to say which is odd."""
    busy = findings.skipped(BY_NAME["speed.memory"], GPU, "a job uses it: 4711 python", "validate again later")
    skipped = {**run(), "findings": [busy, run()["findings"][1]]}
    for before, after, which in ((run(), skipped, "later"), (skipped, run(), "earlier")):
        found = compare(before, after)
        assert (found["moved"], found["conclusion"]) == (False, "Nothing moved.")
        assert found["not_compared"] == [
            f"speed.memory (GPU-1) passed in one run, and was skipped in the {which}: a job uses it: 4711 python"
        ]
    # A fault that is new, and one that is not looked at any more, are told.
    ill = {**run(), "findings": [busy, run(verdict="FAIL")["findings"][1]]}
    assert compare(skipped, ill)["moved"] and compare(ill, skipped)["moved"]


def test_a_node_that_could_not_be_looked_at_has_changed_nothing_that_is_known() -> None:
    found = compare({**run(), "identity": {}}, run(80.0))
    assert (found["software"], found["gpus"], found["moved"]) == ({}, {"gone": [], "new": []}, True)
    assert "software and GPUs are not known of both runs" in found["not_compared"]
    assert found["conclusion"].startswith("What else changed can't be told")


def test_a_driver_is_no_generation_that_could_be_run_again() -> None:
    found = compare(run(), run(80.0, driver="575.51"))
    assert found["conclusion"].endswith("Hold this node against one that still has what it had.")
    assert compare(run(), run(gpus=[]))["moved"]


def values(**found: Any) -> dict[str, Any]:
    told = [findings.passed(BY_NAME[name.replace("_", ".")], GPU, value) for name, value in found.items()]
    return {"identity": IDENTITY, "findings": told}


def test_values_of_the_moment_move_nothing() -> None:
    before = values(host_clock=0.01, gpu_temperature=55, gpu_throttle=1)
    after = values(host_clock=0.9, gpu_temperature=48, gpu_throttle=4)
    assert compare(before, after)["conclusion"] == "Nothing moved."


def test_a_state_that_turned_within_its_limits_is_told() -> None:
    before = values(gpu_pcie="x16 gen5", gpu_mig=False, gpu_driver="1", speed_memory=100.0)
    after = values(gpu_pcie="x16 gen4", gpu_mig=True, gpu_driver="2", speed_memory=50.0)
    found = compare(before, after)
    told = [(one["check"], one["before"], one["after"], one["percent"]) for one in found["figures"]]
    assert told == [
        ("gpu.mig", False, True, None),
        ("gpu.pcie", "x16 gen5", "x16 gen4", None),
        ("speed.memory", 100.0, 50.0, -50.0),
    ]
    assert found["moved"]
    # Of a verdict that turned the reason tells.
    bad = findings.failed(BY_NAME["gpu.pcie"], GPU, "x8 gen5", "half of its lanes", "reseat it")
    assert compare(values(gpu_pcie="x16 gen5"), {"identity": IDENTITY, "findings": [bad]})["figures"] == []
