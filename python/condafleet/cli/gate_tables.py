"""The gate as a table: one row for each group of nodes that it found missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from ansible_collections.condafleet.core.plugins.module_utils.gate import CANNOT
from condafleet.cli.tables import listing


def gate(report: Mapping[str, Any]) -> Table:
    """Return the table of who was missing at the gate; no rows where nobody was."""
    rows = [
        (
            f"{decision['missing']} of {decision['hosts']} {CANNOT[after]}",
            "the others go on" if decision["passed"] else "nobody goes on",
            group["names"],
            group["text"],
        )
        for after, decision in (report.get("gate") or {}).items()
        for group in decision["groups"]
    ]
    return listing(("gate", "so", "nodes", "why"), rows)


def notes(report: Mapping[str, Any]) -> dict[str, str]:
    """Return {host: text} for hosts of a group of several, whose reason stands in the gate's table once for all."""
    return {
        node: f"as all of {group['names']}: see the gate"
        for decision in (report.get("gate") or {}).values()
        for group in decision["groups"]
        if len(group["nodes"]) > 1
        for node in group["nodes"]
    }
