"""Whether all GPUs of a node may be used together, by synthetic answers of nvidia-smi."""

from __future__ import annotations

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.collective_node import gpus
from ansible_collections.condafleet.core.plugins.module_utils.validation_gpu import Ask, NoAnswerError


def smi(users: str) -> Ask:
    def ask(arguments: list[str]) -> str:
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


def test_what_can_not_be_told_is_not_free() -> None:
    found = gpus(hung, present=True)
    assert (found["state"], found["uuids"]) == ("unknown", [])
    assert "did not answer" in found["why"]
