"""Processes that the kernel lets nobody else look into: what is open to all, their command lines, has to do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.process_uses import uses


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A process 4711 of somebody else, seen by a user who is not root; its command line is to be written."""
    process = tmp_path / "proc" / "4711"
    process.mkdir(parents=True)
    readlink = os.readlink

    def refused(path: Any, **options: Any) -> Any:
        if str(path).startswith(str(process)):
            raise PermissionError(13, "Permission denied")
        return readlink(path, **options)

    monkeypatch.setattr(os, "readlink", refused)
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o011:
            folder.chmod(0o755)
    return process


def test_any_name_of_the_folder_counts(closed: Path, tmp_path: Path) -> None:
    program = tmp_path / "zzz" / "x-1" / "bin" / "train"
    program.parent.mkdir(parents=True)
    program.touch()
    (tmp_path / "aaa").symlink_to(tmp_path / "zzz")
    for path in (tmp_path / "aaa", tmp_path / "zzz"):
        (closed / "cmdline").write_bytes(os.fsencode(path / "x-1/bin/train") + b"\0--epochs\0003\0")
        assert "may run from it" in str(uses({str(tmp_path / "aaa" / "x-1"): ()}, str(closed.parent)))


def test_a_python_without_a_path_counts_where_others_can_reach_the_folder(closed: Path, tmp_path: Path) -> None:
    generation = tmp_path / "root" / "x-1"
    generation.mkdir(parents=True)
    (closed / "cmdline").write_bytes(b"python\0train.py\0")
    assert list(uses({str(generation): ()}, str(closed.parent))) == [str(generation)]
    generation.parent.chmod(0o700)
    assert uses({str(generation): ()}, str(closed.parent)) == {}
    generation.parent.chmod(0o755)
    (closed / "cmdline").write_bytes(b"sleep\00060\0")
    assert uses({str(generation): ()}, str(closed.parent)) == {}
