"""Locks as every host has them, and their content, which is read where a node is to change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import digest
from ansible_collections.condafleet.core.plugins.module_utils.plan_environments import plan_environment
from ansible_collections.condafleet.core.plugins.plugin_utils.lock_files import LockEntry, read_pair, with_contents

WriteLock = Callable[[str], str]
TARGETS = {"linux-64-cpu": {"platform": "linux-64", "glibc": "2.28", "cuda": None}}


def written(path: str) -> dict[str, Any]:
    """What the action `lock` would say of a lock's files."""
    said: dict[str, Any] = {"conda_lock": path, "pylock": None, "variables": {"A": "b"}, "state": "reused"}
    return {**said, "digest": digest(read_pair(said, said["variables"]))}


def node(generation: str | None, digest_of_it: str) -> dict[str, Any]:
    name = f"e-{digest_of_it[:12]}-1"
    record = {
        "name": name, "environment": "e", "digest12": digest_of_it[:12], "serial": 1, "finished": True,
        "receipt": {"digest": digest_of_it, "packages": []}, "drifted": False, "broken": None,
    }  # fmt: skip
    return {
        "node": {"platform": "linux-64", "libc": "glibc", "glibc": "2.36", "cuda": None},
        "environments": {"e": {"kind": "link", "generation": name}} if generation else {},
        "generations": [record] if generation else [],
    }


def test_content_is_read_when_it_is_asked_for(write_lock: WriteLock) -> None:
    entry = LockEntry(written(write_lock("1.3.1")))
    assert entry["packages"] == [{"manager": "conda", "name": "zlib", "version": "1.3.1", "build": "h0_0"}]
    assert entry["needs"]["archives"] == "conda - zlib-1.3.1-h0_0.conda"
    assert set(entry) == {"conda_lock", "pylock", "variables", "state", "digest", "packages", "needs"}
    assert len(entry) == 7


def test_what_is_unlocked_has_none(tmp_path: Path) -> None:
    entry = LockEntry({"conda_lock": str(tmp_path / "none"), "digest": None})
    assert (entry["packages"], entry["needs"], entry.get("other")) == (None, None, None)


def test_what_was_handed_over_whole_is_taken_as_it_is() -> None:
    assert LockEntry({"digest": "d", "packages": [], "needs": {"a": 1}})["needs"] == {"a": 1}


def test_a_node_that_is_converged_has_no_lock_read(write_lock: WriteLock) -> None:
    said = written(write_lock("1.3.1"))
    locks = with_contents({"e": {"linux-64-cpu": said}})["e"]
    Path(said["conda_lock"]).unlink()
    entry = {"name": "e", "targets": ["linux-64-cpu"]}
    assert plan_environment(node("e", said["digest"]), entry, TARGETS, locks)["action"] == "none"
    with pytest.raises(FleetError, match="can't be read: No such file"):
        plan_environment(node(None, said["digest"]), entry, TARGETS, locks)


def test_a_lock_that_was_written_meanwhile_is_refused(write_lock: WriteLock) -> None:
    said = written(write_lock("1.3.1"))
    write_lock("1.3.2")
    with pytest.raises(FleetError, match="is not what this run planned with"):
        LockEntry(said)["packages"]
