"""Which project of the Python index a conda package is."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from packaging.utils import canonicalize_name


@cache
def _table() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("names.json").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


def project_of(record: Mapping[str, Any]) -> str | None:
    """The project that a solved conda record installs, or None where it is no Python package."""
    name = str(record["name"])
    if name in _table()["not_projects"] or name.startswith("_"):
        return None
    if not _needs_python(record["depends"]):
        return None
    return str(canonicalize_name(_table()["names"].get(name, name)))


def _needs_python(depends: Sequence[str]) -> bool:
    return any(entry.split()[0] in ("python", "python_abi") for entry in depends if entry.split())
