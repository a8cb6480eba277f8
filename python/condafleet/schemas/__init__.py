"""The published JSON Schemas (draft 2020-12) of what condafleet writes: report, checks of a host, finding."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

NAMES = ("report", "checks", "finding")
VERSION = 1
URN = "urn:condafleet:schema:"


def schema(name: str) -> dict[str, Any]:
    """Return a schema that stands alone: the ones that it refers to are among its `$defs`."""
    whole = _read(name)
    needed = {other: _read(other) for other in _referred(whole)}
    while more := {other for one in needed.values() for other in _referred(one)} - set(needed):
        needed.update((other, _read(other)) for other in more)
    defined = {f"{other}-{VERSION}": one for other, one in sorted(needed.items())}
    return {**whole, "$defs": {**whole.get("$defs", {}), **defined}} if defined else whole


def file_name(name: str) -> str:
    """Return the name of a schema's file, in this package."""
    return f"{name}-{VERSION}.schema.json"


def _read(name: str) -> dict[str, Any]:
    return dict(json.loads(files(__package__).joinpath(file_name(name)).read_text(encoding="utf-8")))


def _referred(one: dict[str, Any]) -> set[str]:
    text = json.dumps(one)
    return {name for name in NAMES if f'"$ref": "{URN}{name}-{VERSION}"' in text}
