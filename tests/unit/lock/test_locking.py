"""Runs that make locks in one folder: one after the other, with a limit, whoever's they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.plugin_utils.locking import NAME, one_at_a_time

HOLD = """
import sys
from ansible_collections.condafleet.core.plugins.plugin_utils.locking import one_at_a_time
with one_at_a_time(sys.argv[1], sys.argv[2], writes=True, limit=9, say=print) as done:
    done["a"] = 1
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def other(tmp_path: Path) -> Any:
    """Another user's run, as far as its cache tells, that holds the folder until it is told to go on."""
    started = []

    def start(run: str, cache: str = "other") -> subprocess.Popen[str]:
        environ = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / cache), "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", HOLD, str(tmp_path / "locks"), run]
        process = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.communicate("\n", timeout=20)


def test_another_run_is_waited_for_with_a_limit_and_named(tmp_path: Path, other: Any) -> None:
    process, said = other("theirs"), []
    with (
        pytest.raises(
            FleetError, match=rf"environments_timeout: .*process {process.pid}, since 20.*Nothing was written"
        ),
        one_at_a_time(str(tmp_path / "locks"), "mine", writes=True, limit=1, say=said.append),
    ):
        raise AssertionError
    (line,) = said
    assert f"process {process.pid}, since" in line and "for 1 s at most" in line


def test_who_waits_comes_next_and_no_trace_is_left(tmp_path: Path, other: Any) -> None:
    process = other("theirs")
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    with one_at_a_time(str(tmp_path / "locks"), "mine", writes=True, limit=20, say=print) as done:
        assert done == {}
        assert (tmp_path / "locks" / NAME).exists()
    # The folder was made for this alone.
    assert not (tmp_path / "locks").exists()


def test_a_killed_run_keeps_nobody_out(tmp_path: Path, other: Any) -> None:
    process = other("theirs")
    process.kill()
    process.wait()
    assert (tmp_path / "locks" / NAME).exists()
    with one_at_a_time(str(tmp_path / "locks"), "mine", writes=True, limit=1, say=print):
        pass
    assert not (tmp_path / "locks" / NAME).exists()


def test_the_forks_of_a_run_share_what_is_solved_and_a_preview_leaves_the_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for run, expected in (("one", {}), ("one", {"a": 1}), ("two", {})):
        with one_at_a_time(str(tmp_path / "locks"), run, writes=False, limit=1, say=print) as done:
            assert done == expected
            assert not (tmp_path / "locks").exists()
            done["a"] = 1
