"""A node's part under its guard: deadlines, and that nothing is left, whoever is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import collective_guard, marked_processes
from ansible_collections.condafleet.core.plugins.module_utils.collective_guard import Work
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

# A program that starts another in a session of its own, as torchrun does, and maybe leaves it alone.
PROGRAM = """
import os, subprocess, sys, time
child = [sys.executable, "-c", "import time; time.sleep(600)", "grandchild"]
subprocess.Popen(child, start_new_session=True)
what, outcome = sys.argv[1:3]
if what == "says":
    open(outcome, "w").write("{}")
if what != "leaves":
    time.sleep(600)
"""
Start = Callable[..., Work]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    words = []

    def run(what: str, seconds: float = 30, program: str = PROGRAM) -> Work:
        word = f"mark-{os.urandom(6).hex()}"
        words.append(word)
        (tmp_path / "program.py").write_text(program)
        argv = [sys.executable, str(tmp_path / "program.py"), what, str(tmp_path / "outcome.json")]
        work = Work(
            argv=argv, environ={"PATH": "/usr/bin:/bin", "MARK": word}, folder=str(tmp_path),
            log=str(tmp_path / "log.txt"), guard=str(tmp_path / "guard.json"), ended=str(tmp_path / "ended.json"),
            outcome=str(tmp_path / "outcome.json"), seconds=seconds, prepare=lambda: None,
        )  # fmt: skip
        collective_guard.launch(work)
        return work

    yield run
    for word in words:
        marked_processes.end(lambda word=word: marked_processes.marked(word), 5)  # type: ignore[misc]


def word_of(work: Work) -> str:
    return str(work.environ["MARK"])


def until(true: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ended(work: Work, seconds: float = 20) -> dict[str, Any]:
    until(lambda: collective_guard.guard_of(work.guard) is None, seconds)
    told: dict[str, Any] = json.loads(Path(work.ended).read_text())
    return told


def both(work: Work) -> list[int]:
    """The program and its grandchild, once they are there."""
    until(lambda: len(marked_processes.marked(word_of(work))) == 2)
    return marked_processes.marked(word_of(work))


def test_a_program_is_ended_at_its_deadline_with_all_that_it_has_started(start: Start) -> None:
    work = start("hangs", seconds=2)
    first, second = both(work)
    assert os.getsid(first) != os.getsid(second)
    told = ended(work)
    assert told["why"] == "deadline" and told["seconds"] < 10
    assert marked_processes.marked(word_of(work)) == []


def test_who_has_said_what_it_found_is_not_waited_for(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collective_guard, "AFTERWARDS_SECONDS", 0.5)
    work = start("says")
    assert ended(work)["why"] == "said"
    assert marked_processes.marked(word_of(work)) == []


def test_what_a_program_leaves_behind_is_told_and_ended(start: Start) -> None:
    work = start("leaves")
    told = ended(work)
    assert (told["why"], told["status"], len(told["left"])) == ("ended", 0, 1)
    assert marked_processes.marked(word_of(work)) == []


def test_a_guard_that_is_asked_to_ends_all(start: Start) -> None:
    work = start("hangs")
    both(work)
    guard = collective_guard.guard_of(work.guard)
    assert guard is not None
    os.kill(guard, signal.SIGTERM)
    assert ended(work)["why"] == "asked"
    assert marked_processes.marked(word_of(work)) == []


def test_with_the_guard_the_kernel_ends_the_program_and_finishing_finds_the_rest(start: Start) -> None:
    work = start("hangs")
    both(work)
    guard = collective_guard.guard_of(work.guard)
    assert guard is not None
    os.kill(guard, signal.SIGKILL)
    until(lambda: len(marked_processes.marked(word_of(work))) == 1)
    assert not Path(work.ended).exists()
    marked_processes.end(lambda: marked_processes.marked(word_of(work)), 5)
    assert marked_processes.marked(word_of(work)) == []


def test_the_guard_outlives_whoever_started_it_and_holds_none_of_its_streams(tmp_path: Path) -> None:
    """As over ssh: the module's process ends, and with it everything that was connected to it."""
    (tmp_path / "program.py").write_text(PROGRAM)
    word = f"mark-{os.urandom(6).hex()}"
    code = textwrap.dedent(f"""
        from ansible_collections.condafleet.core.plugins.module_utils.collective_guard import Work, launch
        folder = {str(tmp_path)!r}
        argv = [{sys.executable!r}, folder + "/program.py", "hangs", folder + "/outcome.json"]
        launch(Work(argv, {{"MARK": {word!r}}}, folder, folder + "/log.txt", folder + "/guard.json",
                    folder + "/ended.json", folder + "/outcome.json", 3.0, lambda: None))
    """)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    # Would not return before the deadline if the guard, or its program, held standard output open.
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, timeout=20, check=True)
    assert time.monotonic() - begun < 2.5
    guard = collective_guard.guard_of(str(tmp_path / "guard.json"))
    assert guard is not None
    assert os.getsid(guard) != os.getsid(0)
    until(lambda: (tmp_path / "ended.json").exists())
    until(lambda: marked_processes.marked(word) == [])


def test_a_program_that_is_not_there_is_told(start: Start, tmp_path: Path) -> None:
    work = start("leaves")
    ended(work)
    with pytest.raises(FleetError, match="FileNotFoundError"):
        collective_guard.launch(work._replace(argv=[str(tmp_path / "nosuch")]))


def test_processes_are_found_by_a_word_of_theirs_and_by_their_ancestor(tmp_path: Path) -> None:
    word = f"mark-{os.urandom(6).hex()}"
    with subprocess.Popen(["sleep", "60"], env={"PATH": "/usr/bin:/bin", "MARK": word}) as by_environment:
        argued = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", word])
        until(lambda: len(marked_processes.marked(word)) == 2)
        assert set(marked_processes.marked(word)) == {by_environment.pid, argued.pid}
        assert {by_environment.pid, argued.pid} <= set(marked_processes.descendants(os.getpid()))
        assert marked_processes.started_at(argued.pid) is not None
        was = marked_processes.end(lambda: [pid for pid in marked_processes.marked(word) if not_zombie(pid)], 5, ask=2)
        assert sorted(was) == sorted([by_environment.pid, argued.pid])
        argued.wait(5)
    assert marked_processes.started_at(argued.pid) is None


def not_zombie(pid: int) -> bool:
    return marked_processes.started_at(pid) is not None
