# SPDX-License-Identifier: Apache-2.0
"""What a fleet has shown, as each of its nodes keeps it: ROOT/validation/fleet.json. Pure, but for reading that file.

Whoever looks at one node, or again at the bad ones of a run, has no fleet to hold them against: few slow nodes would be
like each other, and pass. So a node keeps the rows that it was judged by, and is held against them for as long as fewer
than half of those that they were learnt from are looked at together.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.files import read_json
from ansible_collections.condafleet.core.plugins.module_utils.validation_place import validation_folder

Row = Dict[str, Any]
SCHEMA_VERSION = 1
FILE = "fleet.json"
# All that has to be the same for a row to be about a finding.
NAMED = ("check", "kind", "subject", "alike", "epoch")
KEPT = (*NAMED, "unit", "count", "median", "low", "high", "common", "source")
# Sites change these on purpose, on some nodes after others: what such a node has now is held against the fleet's memory
# only where it is what it was found odd by.
ON_PURPOSE = ("gpu.driver", "gpu.cuda", "gpu.mig", "gpu.power")


def path_of(root: str) -> str:
    return os.path.join(validation_folder(root), FILE)


def read(root: str) -> List[Row]:
    """The rows that a node keeps; none where the file is missing or damaged, which the next run over a fleet mends."""
    stored = read_json(path_of(root))
    return rows_of(stored.get("learnt") if isinstance(stored, Mapping) else None)


def rows_of(rows: Any) -> List[Row]:
    """Those that are rows indeed, of what a node has told."""
    known = [dict(row) for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    return [row for row in known if all(key in row for key in (*KEPT, "run")) and isinstance(row["count"], int)]


def digest_of(alike: str) -> str:
    """What has to be alike, short: it holds versions and a job's digest."""
    return hashlib.sha256(alike.encode("utf-8")).hexdigest()[:12]


Index = Dict[Tuple[Any, ...], List[Mapping[str, Any]]]


def index(learnt: Iterable[Mapping[str, Any]]) -> Index:
    """A node's rows by what they are about (of a curve, one for each epoch)."""
    rows: Index = {}
    for row in learnt:
        rows.setdefault(tuple(row[name] for name in NAMED[:4]), []).append(row)
    return rows


def about(check: str, kind: str, subject: str, alike: str) -> Tuple[Any, ...]:
    """What rows are found by in an index."""
    return (check, kind, subject or None, digest_of(alike))


def outweighing(rows: Sequence[Mapping[str, Any]], fresh: int) -> Sequence[Mapping[str, Any]]:
    """The rows, where they say more than `fresh` values of now."""
    return rows if all(2 * fresh < row["count"] for row in rows) else ()


def holds(row: Mapping[str, Any], finding: Mapping[str, Any]) -> bool:
    """Whether the row may judge this finding."""
    return row["check"] not in ON_PURPOSE or [finding["subject"], finding["value"]] in (row.get("odd_values") or [])


def to_keep(
    learnt: Sequence[Mapping[str, Any]],
    figures: Sequence[Mapping[str, Any]],
    places: Iterable[int],
    findings: Sequence[Mapping[str, Any]],
    run: str,
) -> List[Row]:
    """What a node keeps: the rows at `places` of this run's figures, and of its former ones those that none replaces.

    `findings` are the node's, as judged.
    """
    rows: Dict[Tuple[Any, ...], Row] = {_key(row): dict(row) for row in learnt}
    for place in places:
        row: Row = {key: figures[place].get(key) for key in KEPT}
        row["run"] = run
        if row["check"] in ON_PURPOSE:
            mine = [one for one in findings if one["check"] == row["check"] and one["verdict"] == "FAIL"]
            row["odd_values"] = [[one["subject"], one["value"]] for one in mine]
        rows[_key(row)] = row
    # Versions and jobs of the past would pile up.
    newest: Dict[Tuple[Any, ...], Optional[str]] = {}
    for row in rows.values():
        short = (row["check"], row["kind"], row["subject"])
        newest[short] = max(newest.get(short) or "", row["run"])
    return [row for row in rows.values() if row["run"] == newest[row["check"], row["kind"], row["subject"]]]


def as_file(rows: Sequence[Row]) -> Dict[str, Any]:
    return {"schema_version": SCHEMA_VERSION, "learnt": list(rows)}


def _key(row: Mapping[str, Any]) -> Tuple[Any, ...]:
    return tuple(row[name] for name in NAMED)
