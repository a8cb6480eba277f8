"""A child that is asked, and abandoned when it does not answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.bounded_call import HungError, NoAnswerError, in_child
from ansible_collections.condafleet.core.plugins.module_utils.progress import held_locks, node_lock


def test_the_answer_comes_back() -> None:
    assert in_child(lambda: {"pid": os.getpid()}, 10, "it")["pid"] != os.getpid()


def test_a_long_answer_comes_back_whole() -> None:
    assert in_child(lambda: {"text": "x" * 1_000_000}, 10, "it") == {"text": "x" * 1_000_000}


def test_what_fails_says_why() -> None:
    def work() -> dict[str, object]:
        raise OSError(5, "Input/output error")

    with pytest.raises(NoAnswerError, match=r"OSError: .*Input/output error"):
        in_child(work, 10, "it")


def test_who_ends_without_an_answer_is_named() -> None:
    with pytest.raises(NoAnswerError, match="what asked the disk ended without an answer"):
        in_child(lambda: os.kill(os.getpid(), signal.SIGKILL), 10, "the disk")  # type: ignore[arg-type, return-value]


def test_who_hangs_is_ended() -> None:
    start = time.monotonic()
    with pytest.raises(HungError, match=r"the disk did not answer within 0\.3 seconds"):
        in_child(lambda: time.sleep(60), 0.3, "the disk")  # type: ignore[arg-type, return-value]
    assert time.monotonic() - start < 10


def test_a_child_that_may_be_left_behind_holds_no_lock(tmp_path: Path) -> None:
    with node_lock(str(tmp_path), "look"):
        held = {os.path.realpath(f"/proc/self/fd/{lock}") for lock in held_locks()}
        told = in_child(lambda: {"open": [os.path.realpath(one.path) for one in os.scandir("/proc/self/fd")]}, 10, "it")
    assert held and not held & set(told["open"])


def test_a_child_goes_with_who_asked() -> None:
    code = (
        "import os, sys, time\n"
        "from ansible_collections.condafleet.core.plugins.module_utils.bounded_call import in_child\n"
        "out = os.dup(1)\n"
        "def work():\n"
        "    os.write(out, b'%d\\n' % os.getpid()); time.sleep(60)\n"
        "in_child(work, 60, 'it')"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout
        child = int(asking.stdout.readline())
        asking.kill()
    deadline = time.monotonic() + 10
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(child), "it lives on without who asked"


def _runs(pid: int) -> bool:
    """A zombie, for its new parent to bury, does not."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
