"""What the tests of this scenario share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from testinfra.host import Host

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "containers"))


@pytest.fixture
def only(host: Host) -> Callable[[str], None]:
    """Leave a test that is about another node."""

    def leave(node: str) -> None:
        if host.backend.get_hostname() != node:
            pytest.skip("another node's state")

    return leave
