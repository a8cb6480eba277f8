"""Runs that make locks in one folder: one after the other, with a limit, whoever's they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.lock_folder import NAME
from ansible_collections.condafleet.core.plugins.plugin_utils.locking import one_at_a_time
from condafleet.errors import LockError
from condafleet.lock import lock_all

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

    def say(line: str) -> None:
        # Only who has seen the other one's note knows that the folder was made for its sake.
        assert "waiting for" in line
        process.stdin.write("\n")
        process.stdin.flush()

    with one_at_a_time(str(tmp_path / "locks"), "mine", writes=True, limit=20, say=say) as done:
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


def test_a_python_program_waits_for_an_ansible_run_with_the_same_limit_and_words(
    tmp_path: Path, other: Any, made: Any, declared: Any, targets: Any
) -> None:
    process, said = other("theirs"), []
    with pytest.raises(
        LockError, match=rf"environments_timeout: .* within 1 s: .*process {process.pid}, .*Nothing was written"
    ):
        lock_all([declared], targets, tmp_path / "locks", depot=made.write(), timeout=1, progress=said.append)
    (line,) = said
    assert f"waiting for the run of {holder(tmp_path)['user']}" in line and "for 1 s at most" in line
    assert [path.name for path in (tmp_path / "locks").iterdir()] == [NAME]
    # What asks and writes nothing need not wait.
    (state,) = lock_all([declared], targets, tmp_path / "locks", depot=made.write(), timeout=1, check=True)
    assert state.state == "missing"


def test_what_another_run_has_made_meanwhile_is_not_solved_once_more(
    tmp_path: Path, other: Any, made: Any, declared: Any, targets: Any
) -> None:
    depot = made.write()
    lock_all([declared], targets, tmp_path / "theirs", depot=depot)
    process, said = other("theirs"), []

    def progress(line: str) -> None:
        said.append(line)
        shutil.copytree(tmp_path / "theirs" / "pytorch", tmp_path / "locks" / "pytorch")
        process.stdin.write("\n")
        process.stdin.flush()

    (state,) = lock_all([declared], targets, tmp_path / "locks", depot=depot, timeout=20, progress=progress)
    assert (state.state, len(said)) == ("reused", 1)


def test_a_python_program_keeps_others_out_as_long_as_it_solves(
    tmp_path: Path, made: Any, declared: Any, targets: Any
) -> None:
    seen = []

    def progress(line: str) -> None:
        with (
            pytest.raises(FleetError, match=f"it is being locked by .*process {os.getpid()}, "),
            one_at_a_time(str(tmp_path / "locks"), "theirs", writes=True, limit=0, say=print),
        ):
            raise AssertionError
        seen.append(line)

    lock_all([declared], targets, tmp_path / "locks", depot=made.write(), progress=progress)
    assert any("3 conda packages" in line for line in seen)
    assert [path.name for path in (tmp_path / "locks").iterdir()] == ["pytorch"]


def holder(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "locks" / NAME).read_text())
    return found
