"""All locks of a run are written, or none, and what stands is said."""

import errno
import os
from pathlib import Path

import pytest
import yaml

from condafleet.errors import LockError
from condafleet.lock import api, child, lock_all
from condafleet.lock.writing import write_all


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def two(tmp_path: Path) -> dict[Path, str]:
    """Two files that are there, the second of which is to be another, and one that is new."""
    for name in ("a/one", "b/two"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("former")
    (tmp_path / "a/one").chmod(0o640)
    return {tmp_path / name: f"new {name}" for name in ("a/one", "c/three", "b/two")}


def test_the_second_pair_of_a_run_in_the_way_leaves_the_first_as_it_was(made, declared, targets, tmp_path):
    other = {**declared, "name": "second"}
    locks = tmp_path / "locks"
    (locks / "second" / "linux-64-cpu.conda-lock.yml" / "in-the-way").mkdir(parents=True)
    with pytest.raises(
        LockError,
        match=r"environments_locks_dir: \S*second/linux-64-cpu\.conda-lock\.yml can't be written: Is a directory\. .*"
        r"Nothing was written: all locks are as they were\.$",
    ):
        lock_all([declared, other], targets, locks, depot=made.write())
    assert [str(path.relative_to(locks)) for path in sorted(locks.rglob("*"))] == [
        "second",
        "second/linux-64-cpu.conda-lock.yml",
        "second/linux-64-cpu.conda-lock.yml/in-the-way",
    ]
    (locks / "second" / "linux-64-cpu.conda-lock.yml" / "in-the-way").rmdir()
    (locks / "second" / "linux-64-cpu.conda-lock.yml").rmdir()
    states = lock_all([declared, other], targets, locks, depot=made.write())
    assert [state.state for state in states] == ["made", "made"]
    assert len(tree(locks)) == 4


@pytest.mark.parametrize("fails", ["a/one", "c/three", "b/two"])
def test_a_name_that_can_t_be_changed_changes_those_before_back(two, tmp_path, monkeypatch, fails):
    before, rename = tree(tmp_path), Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if target == tmp_path / fails and self.read_text().startswith("new"):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(LockError, match=rf"{fails} can't be written: Operation not permitted.*as they were\.$"):
        write_all(two)
    assert tree(tmp_path) == before
    assert (tmp_path / "a/one").stat().st_mode & 0o777 == 0o640
    assert not (tmp_path / "c").exists()


def test_a_full_disk_is_noticed_before_any_name_changes(two, tmp_path, monkeypatch):
    before, calls = tree(tmp_path), []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(Path, "replace", lambda *_: pytest.fail("a name was changed"))
    with pytest.raises(LockError, match=r"b/two can't be written: No space left on device.*Nothing was written"):
        write_all(two)
    assert tree(tmp_path) == before


def test_what_can_t_be_put_back_is_named(two, tmp_path, monkeypatch):
    rename = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if target.name == "two" or (target.name == "one" and self.read_text() == "former"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(LockError, match="b/two can't be written: Read-only") as caught:
        write_all(two)
    assert "Nothing was written" not in caught.value.message
    assert f"could not be put back: {tmp_path}/a/one (Read-only file system)." in caught.value.message
    assert tree(tmp_path) == {"a/one": "new a/one", "b/two": "former"}


def test_an_interrupt_puts_back_too(two, tmp_path, monkeypatch):
    before, rename = tree(tmp_path), Path.replace

    def interrupted(self: Path, target: Path) -> Path:
        if target.name == "two":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_all(two)
    assert tree(tmp_path) == before


def test_what_is_as_it_was_stays_untouched(tmp_path):
    write_all({tmp_path / "a/b/one": "text"})
    before = (tmp_path / "a/b/one").stat()
    write_all({tmp_path / "a/b/one": "text", tmp_path / "two": "more"})
    after = (tmp_path / "a/b/one").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert tree(tmp_path) == {"a/b/one": "text", "two": "more"}
    assert (tmp_path / "two").stat().st_mode & 0o777 == 0o644


def test_the_solver_s_process_writes_nothing_itself(made, declared, targets, tmp_path, monkeypatch):
    """It may be ended at the time limit, at any moment: what was said to be unwritten has to be."""
    written: dict[Path, str] = {}
    monkeypatch.setattr(child, "write_all", written.update)
    monkeypatch.setattr(api, "_state", lambda *_args, **_more: None)
    lock_all([declared], targets, tmp_path / "locks", depot=made.write())
    assert not (tmp_path / "locks").exists()
    assert [path.name for path in written] == ["linux-64-cpu.pylock.toml", "linux-64-cpu.conda-lock.yml"]
    assert yaml.safe_load(list(written.values())[1])["version"] == 1
