"""What a step leaves when it is cut short, meets another one, or runs out of disk."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import (
    disk,
    environment_built,
    environment_tested,
    generations,
    programs,
)
from ansible_collections.condafleet.core.plugins.module_utils import package_cache as cache
from ansible_collections.condafleet.core.plugins.module_utils.build_environment import remove_tree
from ansible_collections.condafleet.core.plugins.module_utils.environment_request import Request
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.fingerprint import fingerprint
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress, held_locks, node_lock

COLLECTIONS = Path(__file__).parents[3] / "collections"


@pytest.fixture
def wanted(tmp_path: Path) -> Request:
    """Something to build with a conda that does nothing."""
    conda = tmp_path / "conda" / "bin" / "conda"
    conda.parent.mkdir(parents=True)
    conda.write_text("#!/bin/sh\n")
    conda.chmod(0o755)
    root = tmp_path / "root"
    cache.ensure_root(str(root))
    return Request(name="x", prefix=str(tmp_path / "conda"), root=str(root), digest="a" * 64, lock_timeout=20)


def draft(request: Request, serial: int = 1, digest: str = "a" * 64) -> Path:
    """A prefix as `built` leaves it."""
    path = Path(request.path(f"x-{digest[:12]}-{serial}"))
    path.mkdir(parents=True)
    record = {"digest": digest, "fingerprint": fingerprint(str(path)), "packages": []}
    (path / generations.DRAFT).write_text(json.dumps(record))
    return path


def holding(request: Request, body: str) -> subprocess.Popen[str]:
    """Another process that has the lock on ROOT, runs `body` and waits for a line."""
    program = (
        "import sys\n"
        "from ansible_collections.condafleet.core.plugins.module_utils.progress import held_locks, node_lock\n"
        f"with node_lock({request.root!r}, 'build y'):\n"
        f"    {body}\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_what_a_killed_step_has_left_running_still_holds_the_root(wanted: Request) -> None:
    body = "import subprocess; subprocess.Popen(['sleep', '30'], pass_fds=held_locks(), start_new_session=True)"
    holder = holding(wanted, body)
    sleeper = int(subprocess.check_output(["ps", "-o", "pid=", "--ppid", str(holder.pid)], text=True).split()[0])
    try:
        holder.kill()
        holder.wait()
        with pytest.raises(FleetError, match=rf"process {holder.pid} on .* since .* \(build y\)"), wanted_lock(wanted):
            pass
    finally:
        os.kill(sleeper, signal.SIGKILL)
    with node_lock(wanted.root, "after", timeout=10):
        assert len(held_locks()) == 1
    assert held_locks() == ()


def wanted_lock(request: Request) -> Any:
    return node_lock(request.root, "build x", timeout=1)


def test_a_program_holds_the_root_and_ends_with_its_step(wanted: Request, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    body = (
        "from ansible_collections.condafleet.core.plugins.module_utils.programs import run, clean_environment; "
        f"run(['sh', '-c', 'echo $$ > {note}; exec sleep 60'], clean_environment('/tmp'), 'it')"
    )
    program = (
        "from ansible_collections.condafleet.core.plugins.module_utils.progress import node_lock\n"
        f"with node_lock({wanted.root!r}, 'build y'):\n    {body}\n"
    )
    step = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(COLLECTIONS)})
    try:
        deadline = time.monotonic() + 20
        while not (note.exists() and note.read_text().strip()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        pid = int(note.read_text())
        held = [os.path.realpath(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        assert f"{wanted.root}/lock" in held
    finally:
        step.kill()
        step.wait()
    with node_lock(wanted.root, "after", timeout=10):
        pass
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        assert Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_who_waits_finds_what_the_other_has_built(wanted: Request) -> None:
    holder = holding(wanted, "pass")

    def told(*_: Any, **__: Any) -> None:
        # The other one finishes its build while this one waits.
        if not Path(wanted.path(f"x-{'a' * 12}-1")).exists():
            draft(wanted)
            holder.communicate("\n")

    wanted.progress = lambda: told  # type: ignore[method-assign,assignment,return-value]
    outcome = environment_built.built(wanted)
    assert (outcome.changed, outcome.generation) == (False, f"x-{'a' * 12}-1")


def test_who_waits_to_test_finds_it_tested_or_failed(wanted: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment_tested, "smoke_test", lambda *_, **__: pytest.fail("tested twice"))
    path = draft(wanted)
    holder = holding(wanted, "pass")

    def fails(*_: Any, **__: Any) -> None:
        if (path / generations.DRAFT).exists():
            (path / generations.DRAFT).rename(path / generations.FAILED)
            holder.communicate("\n")

    wanted.progress = lambda: fails  # type: ignore[method-assign,assignment,return-value]
    with pytest.raises(FleetError, match="nothing of lock aaaaaaaaaaaa is built"):
        environment_tested.tested(wanted)
    assert not (path / generations.RECEIPT).exists()


def test_what_another_run_is_about_to_test_is_spared(wanted: Request) -> None:
    young, old, drifted = draft(wanted, digest="b" * 64), draft(wanted, digest="c" * 64), draft(wanted)
    os.utime(old / generations.DRAFT, (0, 0))
    (drifted / "conda-meta").mkdir()
    (drifted / "conda-meta" / "new-1-0.json").write_text("{}")
    assert environment_built.remove_unfinished(wanted) == [drifted.name, old.name]
    assert young.is_dir()


def test_the_receipt_is_written_after_all_it_vouches_for_is_on_disk(
    wanted: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = draft(wanted)
    order: list[tuple[str, bool]] = []

    def note(what: str) -> None:
        order.append((what, (path / generations.RECEIPT).exists()))

    really = os.fsync
    monkeypatch.setattr(environment_tested, "make_durable", lambda _: note("content"))
    monkeypatch.setattr(environment_tested, "make_entry_durable", lambda _: note("name"))
    monkeypatch.setattr(os, "fsync", lambda handle: (note("receipt"), really(handle))[1])
    environment_tested.finish(str(path), {"digest": "a" * 64})
    assert order == [("content", False), ("receipt", False), ("name", True)]
    assert not (path / generations.DRAFT).exists()
    assert json.loads((path / generations.RECEIPT).read_text()) == {"digest": "a" * 64}


def test_what_is_written_can_be_had_on_disk(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    disk.make_durable(str(tmp_path))
    disk.make_entry_durable(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        disk.make_durable(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (programs.ProgramError("conda create ended with 1", "…\nOSError: [Errno 28] No space left on device"), True),
        (programs.ProgramError("uv pip install ended with 2", "failed to write (os error 28)"), True),
        (programs.ProgramError("conda create ended with 1", "InvalidArchiveError: …"), False),
        (OSError(errno.EIO, "Input/output error"), False),
    ],
)
def test_a_failed_build_leaves_nothing_and_names_a_full_disk(
    wanted: Request, monkeypatch: pytest.MonkeyPatch, error: Exception, full: bool
) -> None:
    def fails(path: str, **_: Any) -> None:
        (Path(path) / "conda-meta").mkdir(parents=True)
        raise error

    monkeypatch.setattr(environment_built, "build", fails)
    text = r"was full \(No space left on device\) at the step: build x-a+-1\. It has .* and .* are free now"
    with pytest.raises(FleetError if full else type(error), match=text if full else None):
        environment_built.built(wanted)
    assert list((Path(wanted.root) / "generations").iterdir()) == []


def test_conda_s_word_for_a_full_disk_counts_where_little_was_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = disk.Watched(str(tmp_path))
    said = "InvalidArchiveError('Error with archive python.conda. You probably need to delete and re-download it')"
    assert not watched.was_full(said)
    free = iter([disk.LITTLE - 1, *[1 << 40] * 3])
    monkeypatch.setattr(disk.files, "free_bytes", lambda _: next(free))
    watched.look()
    assert watched.was_full(said)
    assert watched.was_full("RuntimeError('EnforceUnusedAdapter called with url https://c.example/python.conda')")
    assert not watched.was_full("something else")


def test_progress_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    Progress(str(tmp_path / "gone" / "job.json"))("link")


def test_a_removal_that_was_cut_short_is_finished_first(tmp_path: Path) -> None:
    for name in ("x-1", "x-1.removing"):
        (tmp_path / name / "deep").mkdir(parents=True)
    remove_tree(str(tmp_path / "x-1"))
    assert list(tmp_path.iterdir()) == []
