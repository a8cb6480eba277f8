"""A dead file system below ROOT costs a node its verdict, and nobody an endless wait: tried on one."""

from __future__ import annotations

import functools
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.condafleet.core.plugins.module_utils import collective_node
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.expect_answer import expect_answer
from ansible_collections.condafleet.core.plugins.modules import (
    collective,
    node_checks,
    validation,
    validation_history,
    validation_record,
)
from ansible_collections.condafleet.core.plugins.plugin_utils.bounded_shell import bounded

DATA = [{"name": "x", "url": "file:///x", "sha256": "0" * 64}]
# The least that each takes.
MODULES: dict[Any, dict[str, Any]] = {
    node_checks: {"prefix": "/nowhere", "level": "smoke"},
    validation: {"prefix": "/nowhere", "environment": "e", "framework": "torch", "data": DATA},
    validation_history: {},
    validation_record: {"record": {"run": "2026-01-08T03:00:00Z"}},
    collective: {"state": "finished", "token": "together-0123456789ab"},
}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_module_whose_root_never_answers_says_so(
    module: Any, dead: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "expect_answer", functools.partial(expect_answer, seconds=0.5))
    start = time.monotonic()
    with patch_module_args({"root": str(dead / "root"), **MODULES[module]}), pytest.raises(SystemExit):
        module.main()
    answer = json.loads(capsys.readouterr().out)
    assert time.monotonic() - start < 20
    assert answer["failed"]
    assert answer["msg"].startswith(
        f"validation_root: the file system of {dead}/root did not answer within 0.5 seconds; its process "
    )
    assert "Next: see to its file server or disk" in answer["msg"]


def test_a_prefix_that_never_answers_is_a_problem_of_the_node(dead: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collective_node, "expect_answer", functools.partial(expect_answer, seconds=0.5))
    told = collective_node.brought(str(dead), "e", "127.0.0.1", None)
    assert told["generation"] is None
    assert str(told["problem"]).startswith(f"validation_prefix: the file system of {dead} did not answer")


@pytest.mark.parametrize("place", ["", "not/there/yet"])
def test_a_folder_that_answers_is_left_as_it_is(tmp_path: Path, place: str) -> None:
    expect_answer({"validation_root": str(tmp_path / place)})
    assert list(tmp_path.iterdir()) == []


def test_the_variable_of_the_one_that_is_dead_is_named(tmp_path: Path, dead: Path) -> None:
    with pytest.raises(FleetError, match=r"^validation_prefix: "):
        expect_answer({"validation_root": str(tmp_path), "validation_prefix": str(dead)}, 0.5)


def test_a_command_that_never_ends_is_left_behind(dead: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", bounded(f"ls {dead}/", 1)], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (124, "", "no answer within 1 seconds\n")


def test_a_bounded_command_ends_as_it_would_have(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", bounded(f"mkdir {tmp_path}/a && echo said && exit 7", 30)],
        capture_output=True, text=True, timeout=30, check=False, env={"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (7, "said\n")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
