"""What the action conda_environment takes from a pair of lock files on the controller."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.condafleet.core.plugins.action.conda_environment import read_lock

LOCK = """\
version: 1
metadata:
  channels: [{url: conda-forge, used_env_vars: []}]
  platforms: [linux-64]
  sources: []
  content_hash: {linux-64: x}
package:
- name: zlib
  version: VERSION
  manager: conda
  platform: linux-64
  dependencies: {}
  url: https://example.invalid/linux-64/zlib-VERSION-h0_0.conda
  hash: {md5: 0123456789abcdef0123456789abcdef, sha256: SHA256}
  category: main
  optional: false
"""


def write(folder: Path, version: str) -> dict[str, str]:
    path = folder / "linux-64-cpu.conda-lock.yml"
    path.write_text(LOCK.replace("VERSION", version).replace("SHA256", "a" * 64))
    return {"conda_lock": str(path)}


def test_a_lock_that_changed_since_the_plan_is_refused(tmp_path: Path) -> None:
    planned = read_lock(write(tmp_path, "1.3.1"), {})
    assert read_lock(write(tmp_path, "1.3.1"), {}, planned["digest"]) == planned
    with pytest.raises(AnsibleActionFail, match=r"cpu\.conda-lock\.yml is not what this run planned with"):
        read_lock(write(tmp_path, "1.3.2"), {}, planned["digest"])


def test_declared_variables_are_part_of_what_is_built(tmp_path: Path) -> None:
    lock = write(tmp_path, "1.3.1")
    with_one = read_lock(lock, {"A": "b"})
    assert with_one["variables"] == {"A": "b"}
    assert with_one["digest"] != read_lock(lock, {})["digest"]
