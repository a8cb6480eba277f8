"""Read a saved report back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.condafleet.core.plugins.module_utils.findings import ORDER
from ansible_collections.condafleet.core.plugins.module_utils.results import SCHEMA_VERSION, STATUSES
from condafleet.errors import InputError

HOST_KEYS = ("status", "message", "installation", "environments", "validation")
CHECKS_KEYS = ("run", "level", "verdict", "counts", "identity", "findings")
# What readers rely on; the whole form is in schemas/.
FINDING_KEYS = (
    "check", "version", "subject", "verdict", "value", "unit", "limit", "evidence", "reason", "next_step", "seconds",
)  # fmt: skip


def load_report(path: str | Path) -> dict[str, Any]:
    """Return the report in a file. Raises InputError if there is none."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise _refuse(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise _refuse(path, f"it is no JSON: {error}") from error
    return check_report(data, path)


def check_report(data: Any, path: str | Path) -> dict[str, Any]:
    """Return a report that has what every report has. Raises InputError for any other data; `path` names it."""
    if not isinstance(data, Mapping) or not all(isinstance(data.get(key), Mapping) for key in ("hosts", "fleet")):
        raise _refuse(path, "it has no fleet and hosts")
    if data.get("schema_version") != SCHEMA_VERSION:
        raise _refuse(path, f"its schema_version is {data.get('schema_version')!r}")
    for why in _problems(dict(data)):
        raise _refuse(path, why)
    return dict(data)


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
            if not _is_checks(host.get("checks")):
                yield f"host {name} has malformed checks"


def _is_checks(checks: Any) -> bool:
    """Say whether these are a host's checks: nothing where it was not validated, or by an older condafleet."""
    if not checks:
        return True
    if not isinstance(checks, dict) or any(key not in checks for key in CHECKS_KEYS):
        return False
    findings = checks["findings"]
    return isinstance(checks["identity"], dict) and isinstance(findings, list) and all(map(_is_finding, findings))


def _is_finding(finding: Any) -> bool:
    return isinstance(finding, dict) and all(key in finding for key in FINDING_KEYS) and finding["verdict"] in ORDER


def _mappings(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, dict) for one in value.values())


def _refuse(path: str | Path, why: str) -> InputError:
    return InputError(
        f"report: {path} is not accepted ({why}). Accepted: a report of schema_version {SCHEMA_VERSION}. "
        "Next: write one with condafleet provision -i INVENTORY --json FILE."
    )
