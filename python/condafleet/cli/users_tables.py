"""What users made on the nodes, as a table. Pure: data in, something to print out."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from condafleet.cli.audit_tables import named
from condafleet.cli.tables import listing

SHOWN = 6


def environments(report: Mapping[str, Any]) -> Table:
    """Return the table of environments that condafleet did not make: a row for what is the same on several hosts."""
    rows: dict[tuple[str, str], list[str]] = {}
    for name, host in sorted(report["hosts"].items()):
        found = host.get("users_environments") or {}
        owned: dict[str, list[str]] = {}
        for one in found.get("found") or []:
            owned.setdefault(str(one["owner"] or "?"), []).append(_label(one))
        for owner, labels in owned.items():
            more = [f"and {len(labels) - SHOWN} more"] if len(labels) > SHOWN else []
            rows.setdefault((owner, ", ".join([*labels[:SHOWN], *more])), []).append(name)
        if found.get("why"):
            rows.setdefault(("", str(found["why"])), []).append(name)
    return listing(
        ("hosts", "owner", "environments that condafleet did not make"),
        [(named(hosts), owner, text) for (owner, text), hosts in sorted(rows.items())],
    )


def _label(one: Mapping[str, Any]) -> str:
    folder, name = posixpath.split(str(one["path"]))
    shown = name if posixpath.basename(folder) == "envs" and one["kind"] != "adopted" else str(one["path"])
    about = [str(one["python"])] if one["python"] else []
    about += [] if one["kind"] == "directory" else [str(one["kind"])]
    return f"{shown} ({', '.join(about)})" if about else shown
