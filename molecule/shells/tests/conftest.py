"""What the tests of this scenario share; the fleet's code and shell_nodes.py are found by what stands here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[2] / "tests" / "containers")]

from shell_nodes import Nodes  # noqa: E402


@pytest.fixture(scope="session")
def nodes() -> Nodes:
    return Nodes()


@pytest.fixture(scope="session")
def at_once() -> Callable[..., list[Any]]:
    """Call a function with each of some arguments, a few at a time: most of the time goes into waiting."""

    def call(function: Callable[..., Any], many: list[tuple[Any, ...]]) -> list[Any]:
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda one: function(*one), many))

    return call
