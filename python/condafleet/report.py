"""Read a saved report back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.condafleet.core.plugins.module_utils.results import SCHEMA_VERSION, STATUSES
from condafleet.errors import InputError

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
    for why in _problems(data):
        raise _refuse(path, why)
    return data


def _problems(report: dict[str, Any]) -> Iterator[str]:
    """Yield what a report lacks that every report has."""
    for count in ("hosts", *STATUSES):
        if not isinstance(report["fleet"].get(count), int):
            yield f"fleet has no number of {count}"
    for name, host in report["hosts"].items():
        missing = [key for key in HOST_KEYS if not isinstance(host, dict) or key not in host]
        if missing:
            yield f"host {name} has no {missing[0]}"
        elif host["status"] not in STATUSES:
            yield f"host {name} has the status {host['status']!r}"
        else:
            for part in ("environments", "validation"):
                if not _mappings(host[part]):
                    yield f"host {name} has malformed {part}"
            if not all(_mappings(one.get("frameworks")) for one in host["validation"].values()):
                yield f"host {name} has malformed validation"


def _mappings(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, dict) for one in value.values())


def _refuse(path: str | Path, why: str) -> InputError:
    return InputError(
        f"report: {path} is not accepted ({why}). Accepted: a report of schema_version {SCHEMA_VERSION}. "
        "Next: write one with condafleet provision -i INVENTORY --json FILE."
    )
