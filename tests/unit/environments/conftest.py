"""What tests of environments share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

# The conda part of a lock of one package, as another tool may have written it.
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


@pytest.fixture
def write_lock(tmp_path: Path) -> Callable[[str], str]:
    """Write the conda part of a lock of zlib in a version, over what is there; the file's path."""

    def write(version: str) -> str:
        path = tmp_path / "linux-64-cpu.conda-lock.yml"
        path.write_text(LOCK.replace("VERSION", version).replace("SHA256", "a" * 64))
        return str(path)

    return write
