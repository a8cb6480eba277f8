# SPDX-License-Identifier: Apache-2.0
"""How a generation differs from its receipt, package by package and file by file, as data and in words. Pure."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.fingerprint import ABSENT
from ansible_collections.condafleet.core.plugins.module_utils.projects import normal_name

# Names in a sentence; the rest is a number.
SHOWN = 5
FILE_KINDS = ("changed", "missing", "added")

Line = Tuple[str, str, str, str]  # version, build, and two digests


def compare(before: Iterable[str], after: Iterable[str]) -> Dict[str, List[Dict[str, Any]]]:
    """{added, removed, changed} between two lists of the fingerprint's lines, sorted by manager and name.

    `added` and `removed` have {manager, name, version, build}; `changed` {manager, name, before, after, what}, where
    `what` is version, build, archive, RECORD, METADATA or "RECORD and METADATA". A Python distribution that conda
    changed, and whose name is the package's, is told once.
    """
    old, new = _by_name(before), _by_name(after)
    found: Dict[str, List[Dict[str, Any]]] = {"added": [], "removed": [], "changed": []}
    names = sorted(set(old) | set(new))
    by_conda = {normal_name(key[1]) for key in names if key[0] == "conda" and old.get(key) != new.get(key)}
    for manager, name in names:
        if manager == "pip" and name in by_conda:
            continue
        was, now = old.get((manager, name)) or set(), new.get((manager, name)) or set()
        gone, come = sorted(was - now), sorted(now - was)
        for one, other in zip(gone, come):
            found["changed"].append(
                {
                    "manager": manager,
                    "name": name,
                    "before": _label(one),
                    "after": _label(other),
                    "what": _what(manager, one, other),
                }
            )
        paired = min(len(gone), len(come))
        found["removed"] += [_package(manager, name, one) for one in gone[paired:]]
        found["added"] += [_package(manager, name, one) for one in come[paired:]]
    return found


def is_different(packages: Optional[Mapping[str, Any]]) -> bool:
    return bool(packages and (packages["added"] or packages["removed"] or packages["changed"]))


def describe(drift: Optional[Mapping[str, Any]]) -> str:
    """One line: `numpy 2.1.0 instead of 2.2.0 (pip), 1 file changed (bin/tool)`; empty where nothing differs."""
    if not drift:
        return ""
    parts = list(drift.get("notes") or [])
    parts += _first(package_texts(drift.get("packages")), "package")
    files = drift.get("files") or {}
    for what in FILE_KINDS:
        number, names = (files.get("counts") or {}).get(what, 0), files.get(what) or []
        if number:
            shown = list(names[:SHOWN]) + (["…"] if number > min(SHOWN, len(names)) else [])
            parts.append("%s %s (%s)" % (_count(number, "file"), what, ", ".join(shown)))
    return ", ".join(parts)


def package_texts(packages: Optional[Mapping[str, Any]]) -> List[str]:
    """`numpy 2.1.0 instead of 2.2.0 (pip)`, `six 1.17.0 added (pip)`: one text a package, sorted."""
    if not packages:
        return []
    found = []
    for item in packages["changed"]:
        if item["before"] != item["after"]:
            text = "%s %s instead of %s" % (item["name"], item["after"], item["before"])
        elif item.get("what") == "archive":
            text = "%s %s from another archive" % (item["name"], item["after"])
        else:
            text = "%s %s with an edited %s" % (item["name"], item["after"], item.get("what") or "record")
        found.append("%s (%s)" % (text, item["manager"]))
    for what in ("added", "removed"):
        for item in packages[what]:
            label = ("%s %s" % (item["version"], item.get("build") or "")).strip()
            found.append("%s %s %s (%s)" % (item["name"], label, what, item["manager"]))
    return sorted(found)


def _first(texts: Sequence[str], what: str) -> List[str]:
    shown = list(texts[:SHOWN])
    if len(texts) > SHOWN:
        rest = len(texts) - SHOWN
        shown.append("%s more" % _count(rest, what))
    return shown


def _count(number: int, what: str) -> str:
    return "%d %s%s" % (number, what, "" if number == 1 else "s")


def _by_name(lines: Iterable[str]) -> Dict[Tuple[str, str], Set[Line]]:
    found: Dict[Tuple[str, str], Set[Line]] = {}
    for line in lines:
        manager, name, rest = _parsed(line)
        found.setdefault((manager, name), set()).add(rest)
    return found


def _parsed(line: str) -> Tuple[str, str, Line]:
    kind, what, *digests = line.split(" ")
    first, second = [*digests, ABSENT, ABSENT][:2]
    if kind == "conda":
        name, version, build = [*what.rsplit("-", 2), "", ""][:3]
        return "conda", name, (version, build, first, second)
    stem = what.rsplit(".", 1)[0]
    name, _dummy, version = stem.partition("-")
    if what.endswith(".egg-info"):
        version = version.split("-py")[0]
    return "pip", normal_name(name), (version, "", first, second)


def _label(line: Line) -> str:
    return ("%s %s" % line[:2]).strip()


def _package(manager: str, name: str, line: Line) -> Dict[str, Any]:
    return {"manager": manager, "name": name, "version": line[0], "build": line[1]}


def _what(manager: str, before: Line, after: Line) -> str:
    if before[0] != after[0]:
        return "version"
    if before[1] != after[1]:
        return "build"
    if manager == "conda":
        return "archive"
    edited = [name for name, place in (("RECORD", 2), ("METADATA", 3)) if before[place] != after[place]]
    return " and ".join(edited) or "version"
