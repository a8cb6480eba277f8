"""A folder where our link was, and a generation without its Python: named, and nothing of a user's is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ENVS = "/opt/miniconda3/envs"
On = Callable[[str, str], str]


@pytest.fixture(scope="module")
def found(condafleet: Any, on: On) -> Any:
    on("dr-a", "/opt/miniconda3/bin/conda create --yes --quiet --offline --name lost")
    on("dr-a", f"test -d {ENVS}/lost; test ! -L {ENVS}/lost; echo mine > {ENVS}/lost/mine")
    on("dr-b", f"rm {ENVS}/bypip/bin/python")
    return condafleet("status")


def test_a_folder_is_named_with_the_next_step(found: Any) -> None:
    assert found.code == 3
    lost = found.environment("dr-a", "lost")
    assert lost["state"] == "replaced"
    assert f"{ENVS}/lost is a directory that was not made by condafleet" in lost["why"]
    assert "Next: name it in environments_adopt" in lost["why"]


def test_a_generation_without_its_python_is_broken(found: Any) -> None:
    bypip = found.environment("dr-b", "bypip")
    assert bypip["state"] == "broken"
    assert bypip["why"].endswith("can't be used: its bin/python is gone")
    (line,) = [line for line in found.fleet["differences"] if line.startswith("bypip: ")]
    assert line.startswith("bypip: 1 of 2 differs (broken): dr-b: its generation bypip-")


def test_what_is_a_users_stays_where_it_is(found: Any, condafleet: Any, on: On) -> None:
    refused = condafleet("provision", "--limit", "dr-a")
    assert refused.code == 1
    assert f"{ENVS}/lost is a directory that was not made by condafleet" in " ".join(refused.text.split())
    assert on("dr-a", f"cat {ENVS}/lost/mine") == "mine"


def test_the_broken_one_is_repaired(found: Any, condafleet: Any, on: On) -> None:
    done = condafleet("provision", "--limit", "dr-b")
    assert done.code == 0, done.text
    assert on("dr-b", f"{ENVS}/bypip/bin/python -c 'import six; print(six.__version__)'") == "1.17.0"
