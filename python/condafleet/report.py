"""Read a saved report back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from condafleet.errors import InputError

SCHEMA_VERSION = 1
HOST_KEYS = ("status", "message", "installation", "environments", "validation")


def load_report(path: str | Path) -> dict[str, Any]:
    """Return the report in a file. Raises InputError if there is none."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise _refuse(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise _refuse(path, f"it is no JSON: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("hosts"), dict) or not isinstance(data.get("fleet"), dict):
        raise _refuse(path, "it has no fleet and hosts")
    if data.get("schema_version") != SCHEMA_VERSION:
        raise _refuse(path, f"its schema_version is {data.get('schema_version')!r}")
    for name, host in data["hosts"].items():
        missing = [key for key in HOST_KEYS if not isinstance(host, dict) or key not in host]
        if missing:
            raise _refuse(path, f"host {name} has no {missing[0]}")
    return data


def _refuse(path: str | Path, why: str) -> InputError:
    return InputError(
        f"report: {path} is not accepted ({why}). Accepted: a report of schema_version {SCHEMA_VERSION}. "
        "Next: write one with condafleet provision -i INVENTORY --json FILE."
    )
