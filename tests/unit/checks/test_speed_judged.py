"""Which speed is measured on what, and what each way of a measurement to end means."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import check_limits, speed_judged
from ansible_collections.condafleet.core.plugins.module_utils.speed_allreduce import sizes_for

GIB = 1 << 30
STANDARD, FULL = check_limits.asked("standard", {}), check_limits.asked("full", {})
ON_EACH = {f"speed.matmul.{name}" for name in ("fp32", "tf32", "bf16", "fp16", "fp8")}
ON_EACH |= {"speed.memory", "speed.h2d", "speed.d2h", "speed.slowdown"}


def gpu(number: int, **changes: Any) -> dict[str, Any]:
    free = {"index": number, "uuid": f"GPU-{number}", "processes": [], "mig": False, "errors": {}}
    return {**free, "memory_total": 80 * GIB, "memory_used": GIB // 2, **changes}


def said(findings: list[dict[str, Any]]) -> dict[tuple[str, str], tuple[str, str]]:
    return {(one["check"], one["subject"]): (one["verdict"], one["reason"]) for one in findings}


def test_without_gpus_the_cpus_are_measured_and_the_rest_is_said() -> None:
    turns, left = speed_judged.turns(FULL, [])
    assert [(turn.kind, turn.gpus, turn.subjects) for turn in turns] == [("cpu", (), ("node",))]
    assert set(turns[0].checks) == {
        "speed.matmul.fp32", "speed.matmul.bf16", "speed.matmul.fp16", "speed.memory", "speed.loading",
    }  # fmt: skip
    assert turns[0].checks[-1] == "speed.loading"
    assert {one["check"] for one in left} == set(speed_judged.GPUS_ONLY)
    assert {(one["verdict"], one["subject"]) for one in left} == {("SKIP", "node")}


def test_free_gpus_are_measured_one_after_the_other_and_then_together() -> None:
    turns, left = speed_judged.turns(FULL, [gpu(0), gpu(1)])
    assert left == []
    assert [turn.gpus for turn in turns] == [(), ("GPU-0",), ("GPU-1",), ("GPU-0", "GPU-1"), ("GPU-0", "GPU-1")]
    assert turns[0].checks == ("speed.loading",) and set(turns[1].checks) == ON_EACH
    assert (turns[3].checks, turns[3].subjects) == (("speed.p2p",), ("GPU-0", "GPU-1"))
    assert (turns[4].checks, turns[4].subjects) == (("speed.allreduce",), ("node",))
    assert len(speed_judged.turns(STANDARD, [gpu(0), gpu(1)])[0]) == 3


@pytest.mark.parametrize(
    ("changes", "verdict", "text"),
    [
        ({"processes": [4711, 4712]}, "SKIP", "in use by process 4711, process 4712"),
        ({"processes": None, "errors": {"processes": "Unknown Error"}}, "ERROR", "could not be told: Unknown Error"),
        ({"mig": True}, "SKIP", "MIG is on"),
        ({"mig": True, "processes": None, "errors": {"processes": "Insufficient Permissions"}}, "SKIP", "MIG is on"),
        ({"memory_used": 20 * GIB}, "SKIP", "no process shows, but 20.0 GiB of its memory are in use"),
        ({"uuid": None}, "ERROR", "its UUID could not be read"),
    ],
)
def test_a_gpu_that_is_not_known_to_be_free_is_left_alone(changes: dict[str, Any], verdict: str, text: str) -> None:
    turns, left = speed_judged.turns(FULL, [gpu(0), gpu(1, **changes)])
    assert [turn.gpus for turn in turns] == [(), ("GPU-0",)]
    told = said(left)
    subject = changes.get("uuid", "GPU-1") or "GPU 1"
    for check in (*ON_EACH, "speed.p2p"):
        assert told[check, subject][0] == verdict and text in told[check, subject][1], check
    # What takes all of them waits for all of them.
    assert told["speed.p2p", "GPU-0"][0] == told["speed.allreduce", "node"][0] == verdict
    assert {check for check, _subject in told} == ON_EACH | {"speed.p2p", "speed.allreduce"}


def test_one_gpu_alone_has_no_peer() -> None:
    turns, left = speed_judged.turns(FULL, [gpu(0)])
    assert [turn.gpus for turn in turns] == [(), ("GPU-0",)]
    assert set(said(left)) == {("speed.p2p", "GPU-0"), ("speed.allreduce", "node")}


SLOWED: list[tuple[dict[str, Any], dict[str, Any], bool, str, str]] = [
    ({"slowed": 12.5}, {"slowed": 12.5}, True, "PASS", ""),
    ({"slowed": 12.5}, {"slowed": 13.75}, True, "FAIL", "it is 1.25 s, more than 0"),
    ({"slowed": 12.5, "told": "NVML"}, {"slowed": 13.75, "told": "nvidia-smi"}, True, "ERROR", "nvidia-smi afterwards"),
    ({"slowed": 12.5}, {"slowed": 0.5}, True, "ERROR", "went back by 12 s"),
    ({"slowed": 12.5}, {"slowed": 13.75}, False, "SKIP", "nothing has put it under load"),
    ({"slowed": None, "errors": {"slowed": "Not Supported"}}, {}, True, "SKIP", "does not support it"),
    ({"slowed": 1.0}, {"slowed": None, "errors": {"handle": "GPU is lost"}}, True, "ERROR", "GPU is lost"),
    ({"slowed": 1.0}, {}, True, "ERROR", "did not say"),
]


@pytest.mark.parametrize(("before", "after", "loaded", "verdict", "text"), SLOWED)
def test_what_heat_did_while_a_gpu_was_measured(
    before: dict[str, Any], after: dict[str, Any], loaded: bool, verdict: str, text: str
) -> None:
    one = speed_judged.slowed(STANDARD[speed_judged.SLOWDOWN], "GPU-0", before, after, loaded)
    assert (one["verdict"], one["subject"]) == (verdict, "GPU-0") and text in str(one["reason"])


LIMITED = check_limits.asked("full", check_limits.check_declared({"speed.*": {"least": 10}}))
FIGURES: list[tuple[dict[str, Any], str, str]] = [
    ({"value": 11.0}, "PASS", ""),
    ({"value": 9.0}, "FAIL", "less than 10 (validation_checks)"),
    ({"value": float("nan")}, "FAIL", "less than 10"),
    ({"skip": "no fp8 here"}, "SKIP", "no fp8 here"),
    ({"wrong": "a product is off by 0.5"}, "FAIL", "off by 0.5"),
    ({"unfit": "/dev/shm is small", "step": "make it larger"}, "FAIL", "/dev/shm is small"),
    ({"error": "no end within its time limit of 3 seconds"}, "ERROR", "no end within"),
    ({"error": "RuntimeError: CUDA error: an illegal memory access was encountered"}, "FAIL", "illegal memory access"),
    ({"error": "RuntimeError: CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"}, "FAIL", "CUBLAS_STATUS"),
    ({"error": "OutOfMemoryError: CUDA out of memory."}, "ERROR", "out of memory"),
    # Where one process may have a GPU, and another was quicker.
    ({"error": "RuntimeError: CUDA error: CUDA-capable device(s) is/are busy or unavailable"}, "ERROR", "busy or"),
    ({"error": "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED"}, "ERROR", "ALLOC_FAILED"),
    ({}, "ERROR", "None"),
]


@pytest.mark.parametrize(("figure", "verdict", "text"), FIGURES)
def test_a_figure_is_judged(figure: dict[str, Any], verdict: str, text: str) -> None:
    found = speed_judged.judged(LIMITED["speed.memory"], "GPU-0", {**figure, "seconds": 1.5, "evidence": ["how"]})
    assert found["verdict"] == verdict and text in (found["reason"] or "")
    assert found["evidence"] == ["how"] and found["seconds"] == 1.5
    assert (found["next_step"] is None) == (verdict == "PASS")


def test_every_check_has_a_step_of_its_own() -> None:
    for name in speed_judged.wanted(LIMITED):
        assert speed_judged.judged(LIMITED[name], "node", {"value": 1.0})["next_step"], name


@pytest.mark.parametrize(
    ("kind", "verdict", "text"),
    [
        ("missing", "SKIP", "environment e: it holds none"),
        ("cpu_build", "SKIP", "and the node has GPUs"),
        ("unseen", "FAIL", "the GPU is free, and it is not seen: it holds none"),
    ],
)
def test_an_environment_that_cannot_measure(kind: str, verdict: str, text: str) -> None:
    found = speed_judged.refused(FULL["speed.h2d"], "GPU-0", "e", {"kind": kind, "why": "it holds none"})
    assert found["verdict"] == verdict and text in found["reason"] and found["next_step"]


def test_a_figure_of_eight_gpus_is_no_limit_for_four() -> None:
    h100 = check_limits.asked("full", {}, "NVIDIA H100 80GB HBM3")["speed.allreduce"]
    assert h100.limit is not None and h100.limit.least == 460
    assert speed_judged.of_so_many(h100, 8) == (h100, [])
    one, note = speed_judged.of_so_many(h100, 4)
    assert one.limit is None and "is for 8" in note[0]
    own = LIMITED["speed.allreduce"]
    assert speed_judged.of_so_many(own, 4) == (own, [])


def test_without_an_environment_nothing_is_hidden() -> None:
    found = speed_judged.without_environment(FULL, [gpu(0), gpu(1)], "none has it")
    assert {one["verdict"] for one in found} == {"SKIP"}
    subjects = {one["subject"] for one in found if one["check"] == "speed.h2d"}
    assert subjects == {"GPU-0", "GPU-1"}
    assert {one["check"] for one in found} == set(speed_judged.wanted(FULL))


@pytest.mark.parametrize(
    ("memory", "largest"), [(None, 1 << 30), (80 * GIB, 1 << 33), (16 * GIB, 1 << 30), (1 << 20, 1 << 20)]
)
def test_what_is_reduced_fits_into_memory(memory: int | None, largest: int) -> None:
    assert sizes_for(memory)[-1] == largest
