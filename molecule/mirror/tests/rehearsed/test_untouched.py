"""A rehearsal asks nobody for anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testinfra.host import Host


def test_nothing_was_fetched_and_nothing_written(host: Host, seen: Callable[[str], list[dict[str, Any]]]) -> None:
    assert seen("mirror") == seen("proxy") == []
    assert not host.file("/opt/miniconda3").exists
    assert not host.file("/opt/miniconda3.d").exists
