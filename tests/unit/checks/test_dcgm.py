"""DCGM's diagnosis, in both of its forms, of the stand-in tests/gpus/dcgmi; its answers are synthetic."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import check_limits, dcgm

ROOT = Path(__file__).parents[3]
Diagnose = Callable[..., dict[str, Any]]


@pytest.fixture
def diagnose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Diagnose:
    """The finding on a node whose stand-in answers as on a healthy node, but for the lines that are given."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/dcgmi").symlink_to(ROOT / "tests/gpus/dcgmi")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/local/bin:/usr/bin:/bin")
    monkeypatch.setenv("CONDAFLEET_GPUS", str(tmp_path / "gpus"))

    def run(*lines: str, timeout: float = 60) -> dict[str, Any]:
        (tmp_path / "gpus").write_text((ROOT / "tests/gpus/healthy").read_text() + "\n".join(lines) + "\n")
        declared = check_limits.check_declared({"gpu.dcgm": {"timeout": timeout}})
        (one,) = dcgm.dcgm_findings(check_limits.asked("standard", declared))
        return one

    return run


@pytest.mark.parametrize("form", ["3", "4"])
def test_a_sound_node_passes(diagnose: Diagnose, form: str) -> None:
    found = diagnose(f"dcgm_form={form}")
    assert (found["verdict"], found["check"]) == ("PASS", "gpu.dcgm")
    assert found["evidence"]


@pytest.mark.parametrize("form", ["3", "4"])
def test_one_test_that_failed_on_one_gpu_fails_the_node(diagnose: Diagnose, form: str) -> None:
    found = diagnose(f"dcgm_form={form}", "1.dcgm_fail=GPU 1 had uncorrectable memory errors and 8 rows failed")
    assert found["verdict"] == "FAIL"
    assert "(GPU 1): GPU 1 had uncorrectable memory errors" in found["reason"]
    assert "dcgmi diag -r 1" in found["next_step"]
    # What failed stands before what passed.
    assert "fail; GPU 1 had" in found["evidence"][0]


def test_where_all_is_skipped_nothing_passed(diagnose: Diagnose) -> None:
    found = diagnose("dcgm_skip=1")
    assert (found["verdict"], found["reason"]) == ("SKIP", "DCGM tested nothing on this node (skip)")


def test_without_its_service_nothing_is_known(diagnose: Diagnose) -> None:
    found = diagnose("dcgm_engine=0")
    assert found["verdict"] == "ERROR"
    assert "ended with 255: Error: unable to establish a connection" in found["reason"]
    assert "nvidia-dcgm" in found["next_step"]


def test_one_that_hangs_is_ended(diagnose: Diagnose) -> None:
    began = time.monotonic()
    found = diagnose("dcgm_hang=1", timeout=1)
    assert (found["verdict"], found["reason"]) == ("ERROR", "dcgmi diag -r 1 did not end within 1 seconds")
    assert time.monotonic() - began < 10


def test_where_it_is_not_installed_it_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (one,) = dcgm.dcgm_findings(check_limits.asked("standard", {}))
    assert (one["verdict"], one["reason"]) == ("SKIP", "DCGM is not installed here")


def test_switched_off_it_is_not_asked(diagnose: Diagnose) -> None:
    asked = check_limits.asked("standard", check_limits.check_declared({"gpu.dcgm": False}))
    assert dcgm.dcgm_findings(asked) == []


@pytest.mark.parametrize(("level", "busy", "depth"), [("standard", False, 1), ("full", False, 2), ("full", True, 1)])
def test_kernels_run_at_level_full_and_on_free_gpus_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str, busy: bool, depth: int
) -> None:
    program = tmp_path / "dcgmi"
    program.write_text('#!/bin/sh\necho "$@"\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (one,) = dcgm.dcgm_findings(check_limits.asked(level, {}), level, busy)
    assert one["reason"] == f"dcgmi ended with 3: diag -r {depth} -j"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("{", "gave no JSON"),
        (json.dumps({"DCGM Diagnostic": {}}), "named no test"),
        (json.dumps({"DCGM GPU Diagnostic": {"runtime_error": "No GPU is there"}}), "DCGM: No GPU is there"),
    ],
)
def test_what_is_no_diagnosis_is_an_error(said: str, words: str) -> None:
    with pytest.raises(dcgm.DiagnosisError, match=words):
        dcgm.parse(said)


@pytest.mark.parametrize("warnings", ["too hot", ["too hot"], [{"warning": "too hot"}], {"warning": "too hot"}])
def test_warnings_are_read_in_each_form(warnings: object) -> None:
    result = {"gpu_id": "3", "status": "Fail", "warnings": warnings}
    body = {"test_categories": [{"category": "Stress", "tests": [{"name": "Power", "results": [result]}]}]}
    assert dcgm.parse("WARNING: text\n" + json.dumps({"DCGM GPU Diagnostic": body})) == [
        dcgm.Test("Power", "fail", "GPU 3", ["too hot"])
    ]


@pytest.mark.parametrize(("status", "verdict"), [("Quantum", "ERROR"), ("Not Run", "SKIP"), ("Warn", "SKIP")])
def test_a_status_that_is_no_pass_makes_none(status: str, verdict: str) -> None:
    body = {"test_categories": [{"tests": [{"name": "new", "results": [{"entity_id": 0, "status": status}]}]}]}
    one = check_limits.asked("standard", {})["gpu.dcgm"]
    assert dcgm.judge(dcgm.parse(json.dumps({"DCGM Diagnostic": body})), one, 1, 0.0)["verdict"] == verdict


def test_a_diagnosis_that_takes_too_long_is_asked_to_stop_its_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed, it would leave them running in DCGM's service."""
    program = tmp_path / "dcgmi"
    program.write_text("#!/bin/sh\ntrap 'touch \"$0.stopped\"; exit 1' TERM\nsleep 60 & wait\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    declared = check_limits.check_declared({"gpu.dcgm": {"timeout": 0.5}})
    (one,) = dcgm.dcgm_findings(check_limits.asked("standard", declared))
    assert one["verdict"] == "ERROR" and "did not end within 0.5 seconds" in one["reason"]
    assert (tmp_path / "dcgmi.stopped").exists()
