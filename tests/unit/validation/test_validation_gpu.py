"""Whether a GPU may be used; the answers are synthetic, in nvidia-smi's CSV form. No GPU is touched."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import speed_judged, validation_gpu
from ansible_collections.condafleet.core.plugins.module_utils.validation_gpu import NoAnswerError, ask_smi, observe


def answers(gpus: str, users: str) -> validation_gpu.Ask:
    return lambda arguments: users if "compute-apps" in arguments[0] else gpus


def test_no_driver_no_question() -> None:
    def never(arguments: list[str]) -> str:
        raise AssertionError("nvidia-smi was asked")

    assert observe(never, present=False)["state"] == "none"


def test_the_first_gpu_that_no_process_uses() -> None:
    found = observe(answers("GPU-1\nGPU-2\n", "GPU-1, 4711, python\n"), present=True)
    assert (found["state"], found["uuid"]) == ("free", "GPU-2")


def test_busy_says_by_whom() -> None:
    found = observe(answers("GPU-1\n", "GPU-1, 4711, /opt/job/python\n"), present=True)
    assert found["state"] == "busy" and found["uuid"] is None
    assert "4711, /opt/job/python" in str(found["why"])


def test_a_job_on_a_part_of_a_gpu_keeps_it() -> None:
    found = observe(answers("GPU-1\nGPU-2\n", "MIG-feb88891, 4711, python\n"), present=True)
    assert (found["state"], found["uuid"]) == ("busy", None)
    assert "MIG-feb88891, 4711, python" in str(found["why"])


def test_memory_that_somebody_uses_says_that_a_gpu_is_taken_also_where_no_process_shows() -> None:
    """Those of other containers do not."""
    told = "GPU-1, 20480 MiB, 81559 MiB\nGPU-2, 607 MiB, 81559 MiB\n"
    assert observe(answers(told, ""), present=True)["uuid"] == "GPU-2"
    found = observe(answers(told.replace("607 MiB", "9000 MiB"), ""), present=True)
    assert (found["state"], found["uuid"]) == ("busy", None)
    assert "GPU-1: no process shows, but 20480 MiB of its memory are in use" in str(found["why"])
    # Where memory is shared with the CPU, none is told.
    assert observe(answers("GPU-1, [N/A], [N/A]\n", ""), present=True)["uuid"] == "GPU-1"


def test_both_who_ask_take_the_same_memory_for_the_drivers_own() -> None:
    assert (validation_gpu.OWN_MIB << 20, validation_gpu.OWN_SHARE) == (speed_judged.OWN_BYTES, speed_judged.OWN_SHARE)


def test_a_driver_without_gpus_is_unknown() -> None:
    assert observe(answers("No devices were found\n", ""), present=True)["state"] == "unknown"


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "nvidia-smi"


def write(program: Path, text: str) -> None:
    program.write_text("#!/bin/sh\n" + text)
    program.chmod(0o755)


def test_a_missing_tool_is_unknown(smi: Path) -> None:
    found = observe(present=True)
    assert found["state"] == "unknown" and "nvidia-smi was not found" in str(found["why"])


def test_a_failing_tool_is_unknown(smi: Path) -> None:
    write(smi, "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18\n")
    found = observe(present=True)
    assert found["state"] == "unknown" and "18: Failed to initialize NVML" in str(found["why"])


def test_a_hanging_tool_is_abandoned(smi: Path) -> None:
    write(smi, "trap '' TERM; exec sleep 30\n")
    began = time.monotonic()
    with pytest.raises(NoAnswerError, match=r"did not answer within 0\.5 seconds"):
        ask_smi(["--query-gpu=uuid"], limit=0.5)
    assert time.monotonic() - began < 5


def test_the_answer_of_a_real_program(smi: Path) -> None:
    write(smi, 'case "$1" in *compute-apps*) ;; *memory*) echo GPU-7, 1 MiB, 81559 MiB ;; *) echo GPU-7 ;; esac\n')
    assert observe(present=True) == {"state": "free", "why": None, "uuid": "GPU-7"}
