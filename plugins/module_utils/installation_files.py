# SPDX-License-Identifier: Apache-2.0
"""Whether an installation's files are what conda linked: each against the sha256 in conda's own records."""

from __future__ import annotations

import concurrent.futures
import os
from typing import Any, Dict, Iterator, List, Optional, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import files

# Names enough to see what happened; a disk that lost a folder would fill a screen.
SHOWN = 20


def damaged_files(prefix: str) -> Dict[str, Any]:
    """{checked, changed: [paths below the prefix], missing: […], more}: at most SHOWN names in all, `more` the rest.

    What conda itself rewrites (entry points, compiled Python, its own settings) has no sha256 in the records and does
    not count. hashlib lets go of Python's lock while it reads, so threads use all cores.
    """
    wanted = sorted(set(_recorded(prefix)))
    with concurrent.futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        verdicts = list(pool.map(lambda one: _verdict(prefix, one), wanted, chunksize=64))
    found: Dict[str, List[str]] = {"changed": [], "missing": []}
    for (path, _dummy, _dummy), verdict in zip(wanted, verdicts):
        if verdict:
            found[verdict].append(path)
    total = len(found["changed"]) + len(found["missing"])
    changed = found["changed"][:SHOWN]
    missing = found["missing"][: SHOWN - len(changed)]
    return {
        "checked": len(wanted),
        "changed": changed,
        "missing": missing,
        "more": total - len(changed) - len(missing),
    }


def is_damaged(damage: Optional[Dict[str, Any]]) -> bool:
    return bool(damage and (damage["changed"] or damage["missing"]))


def describe(damage: Dict[str, Any]) -> str:
    """`2 changed (lib/a.py, lib/b.py), 1 missing (bin/c)`."""
    parts = []
    for what in ("changed", "missing"):
        if damage[what]:
            parts.append("%d %s (%s)" % (len(damage[what]), what, ", ".join(damage[what][:3])))
    return ", ".join(parts) + (" and %d more" % damage["more"] if damage["more"] else "")


def _recorded(prefix: str) -> Iterator[Tuple[str, str, str]]:
    """(path, kind, sha256 or an empty text) of every file that conda linked and can be held to its record."""
    folder = os.path.join(prefix, "conda-meta")
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        record = files.read_json(os.path.join(folder, name)) if name.endswith(".json") else None
        if not isinstance(record, dict):
            continue
        for entry in (record.get("paths_data") or {}).get("paths") or []:
            path, kind = str(entry.get("_path") or ""), str(entry.get("path_type") or "")
            if kind == "softlink":
                yield path, kind, ""
            elif kind == "hardlink":
                # With the prefix written into it, a file has a sha256 of its own in this place.
                in_place = entry.get("sha256_in_prefix")
                rewritten = entry.get("prefix_placeholder")
                yield path, kind, str(in_place or ("" if rewritten else entry.get("sha256")) or "")


def _verdict(prefix: str, wanted: Tuple[str, str, str]) -> Optional[str]:
    path, kind, sha256 = wanted
    place = os.path.join(prefix, path)
    if kind == "softlink":
        return None if os.path.islink(place) or os.path.exists(place) else "missing"
    try:
        return "changed" if sha256 and files.sha256_file(place) != sha256 else None
    except OSError:
        return "missing"
