"""What the checks of a validation came to, as tables that stay short however many nodes there are.

Pure: data in, something to print out.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rich.table import Table

from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME
from ansible_collections.condafleet.core.plugins.module_utils.findings import BAD, ORDER, SKIP, sentence
from ansible_collections.condafleet.core.plugins.module_utils.node_names import folded, without_name
from condafleet.cli import tables

LINES = 30
MIXED = "several models"


def nodes(report: Mapping[str, Any]) -> Table:
    """Return the table of nodes by what their checks came to: those that are alike in one row, the worst first."""
    rows: dict[tuple[Any, ...], list[str]] = {}
    for name, checks in _validated(report):
        counts = checks["counts"]
        key = (checks["verdict"], checks["level"], *(counts[verdict] for verdict in ORDER))
        rows.setdefault(key, []).append(name)
    table = tables.listing(("verdict", "nodes", "which", "level", *(verdict.lower() for verdict in ORDER)), ())
    for (verdict, level, *counts), names in sorted(rows.items(), key=lambda row: (-ORDER.index(row[0][0]), row[1])):
        table.add_row(
            tables.word(verdict), str(len(names)), folded(names), level, *(str(count or "-") for count in counts)
        )
    return table


def complaints(report: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each fault, and then for all that could not be told, with the nodes that it is true of.

    Where that were too many lines to read, it is one for each check, as the report has it for the fleet.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for name, finding in _findings(report):
        if finding["verdict"] in BAD:
            said = without_name(name, sentence(finding), "NODE")
            found.setdefault((finding["verdict"], said), []).append(name)
    ordered = sorted(found.items(), key=lambda item: (-ORDER.index(item[0][0]), sorted(item[1]), item[0][1]))
    lines = [f"{folded(names)}: {said}" for (_verdict, said), names in ordered]
    shorter = (report["fleet"].get("checks") or {}).get("odd") or lines
    return lines if len(lines) <= LINES else [*shorter, f"{len(lines)} in all; the report has each with its evidence."]


def skips(report: Mapping[str, Any]) -> Table:
    """Return the table of what was not looked at: for each reason the checks, and on how many nodes."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for name, finding in _findings(report):
        if finding["verdict"] == SKIP:
            checks, names = found.setdefault(without_name(name, str(finding["reason"]), "NODE"), (set(), set()))
            checks.add(finding["check"])
            names.add(name)
    rows = [(folded(names), reason, ", ".join(sorted(checks))) for reason, (checks, names) in sorted(found.items())]
    return tables.listing(("skipped on", "because", "checks"), rows)


def notes(report: Mapping[str, Any]) -> dict[str, str]:
    """Return, of each node that failed by its checks, which ones those are."""
    bad: dict[str, dict[str, None]] = {}
    for name, finding in sorted(_findings(report), key=lambda found: -ORDER.index(found[1]["verdict"])):
        if finding["verdict"] in BAD and report["hosts"][name]["status"] == "failed":
            bad.setdefault(name, {})[f"{finding['verdict']} {finding['check']}"] = None
    return {name: ", ".join(found) for name, found in bad.items()}


class _Speed(NamedTuple):
    value: float
    host: str
    subject: str
    limit: Mapping[str, Any] | None


def speeds(report: Mapping[str, Any]) -> Table:
    """Return the table of speeds: of each figure on each model the lowest, whose it is, the median and the highest."""
    table = tables.listing(("figure", "of", "how many", "lowest", "of whom", "median", "highest", "unit", "limit"), ())
    for (check, of), found in sorted(_speeds(report).items()):
        low = min(found, key=lambda one: one.value)
        least = [one.limit["least"] for one in found if one.limit and one.limit.get("least") is not None]
        table.add_row(
            check,
            of,
            str(len(found)),
            _short(low.value),
            low.host if low.subject == "node" or "/" in low.subject else f"{low.host} {low.subject}",
            _short(statistics.median(one.value for one in found)),
            _short(max(one.value for one in found)),
            BY_NAME[check].unit,
            # Limits differ where groups of a fleet have their own, and where one was learnt from the others.
            "/".join(sorted({_short(limit) for limit in least})) or "-",
        )
    return table


def _speeds(report: Mapping[str, Any]) -> dict[tuple[str, str], list[_Speed]]:
    found: dict[tuple[str, str], list[_Speed]] = {}
    for name, finding in _findings(report):
        check, value = BY_NAME.get(finding["check"]), finding["value"]
        if check is None or not check.unit.endswith("/s"):
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        one = _Speed(float(value), name, finding["subject"], finding["limit"])
        of = _model(report["hosts"][name]["checks"]["identity"], finding)
        found.setdefault((check.name, of), []).append(one)
    return found


def _model(identity: Mapping[str, Any], finding: Mapping[str, Any]) -> str:
    """Return what a figure was measured on: the GPU's name, the environment and framework, else the node's own kind."""
    gpus = {str(gpu["uuid"]): str(gpu.get("name") or "?") for gpu in identity.get("gpus") or []}
    if finding["subject"] in gpus:
        return gpus[finding["subject"]]
    names = sorted(set(gpus.values())) or [str(identity.get("cpu") or "?")]
    model = names[0] if len(names) == 1 else MIXED
    return f"{finding['subject']}, {model}" if finding["scope"] == "environment" else model


def _validated(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, host in sorted(report["hosts"].items()):
        if host.get("checks"):
            yield name, host["checks"]


def _findings(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, checks in _validated(report):
        for finding in checks["findings"]:
            yield name, finding


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
