"""What tests of all kinds start from."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

DEAD_MOUNT = Path(__file__).parent / "gpus" / "dead_mount.py"


@pytest.fixture
def dead(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system that never answers: not even SIGKILL ends who looks at it, until the test is over."""
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.W_OK):
        pytest.skip("needs root and /dev/fuse")
    folder = tmp_path / "dead"
    with subprocess.Popen(
        [sys.executable, str(DEAD_MOUNT), "self", str(folder)], stdout=subprocess.PIPE, text=True
    ) as mount:
        assert mount.stdout is not None
        try:
            assert mount.stdout.readline() == "mounted\n"
            yield folder
        finally:
            mount.terminate()
            mount.wait(timeout=10)
