"""A rehearsal asks for the depot's manifest, and for nothing that would be installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testinfra.host import Host


def test_nothing_was_fetched_and_nothing_written(host: Host, seen: Callable[[str], list[dict[str, Any]]]) -> None:
    assert seen("mirror") == []
    # The proxy is for http too: there it is asked by whole URLs.
    asked = {(one["method"], one["target"].rsplit("/", 1)[-1]) for one in seen("proxy")}
    assert asked == {("GET", "manifest.json")}
    assert not host.file("/opt/miniconda3").exists
    assert not host.file("/opt/miniconda3.d").exists
