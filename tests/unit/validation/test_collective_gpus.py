"""Whether all GPUs of a node may be used together, by synthetic answers of nvidia-smi."""

from __future__ import annotations

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.collective_node import gpus
from ansible_collections.condafleet.core.plugins.module_utils.validation_gpu import MEMORY, Ask, NoAnswerError


def smi(users: str, used: int = 0) -> Ask:
    def ask(arguments: list[str]) -> str:
        if arguments == [MEMORY]:
            return f"GPU-a, 0 MiB, 81559 MiB\nGPU-b, {used} MiB, 81559 MiB\n"
        return "GPU-a\nGPU-b\n" if arguments == ["--query-gpu=uuid"] else users

    return ask


def hung(_arguments: list[str]) -> str:
    raise NoAnswerError("nvidia-smi did not answer within 20 seconds")


def test_all_of_them_or_none() -> None:
    assert gpus(smi(""), present=True) == {"state": "free", "uuids": ["GPU-a", "GPU-b"], "why": None}
    assert gpus(present=False) == {"state": "none", "uuids": [], "why": None}


@pytest.mark.parametrize("users", ["GPU-b, 4711, python\n", "GPU-a, 4711, python\nGPU-b, 4712, python\n"])
def test_one_that_is_in_use_keeps_the_node_out_with_its_process(users: str) -> None:
    found = gpus(smi(users), present=True)
    assert found["state"] == "busy"
    assert "4711, python" in found["why"]


def test_memory_that_somebody_uses_keeps_the_node_out_without_a_process() -> None:
    found = gpus(smi("", used=40_000), present=True)
    assert found["state"] == "busy"
    assert found["why"] == "1 of 2 GPU(s) are in use (GPU-b: no process shows, but 40000 MiB of its memory are in use)"
    twice = gpus(smi("GPU-b, 4711, python\n", used=40_000), present=True)
    assert twice["why"] == "1 of 2 GPU(s) are in use (GPU-b, 4711, python)"


def test_what_can_not_be_told_is_not_free() -> None:
    found = gpus(hung, present=True)
    assert (found["state"], found["uuids"]) == ("unknown", [])
    assert "did not answer" in found["why"]
