# SPDX-License-Identifier: Apache-2.0
"""Whether a generation is still what its receipt says: by its metadata, and if asked for by every file of it."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import files, generation_files
from ansible_collections.condafleet.core.plugins.module_utils.clock import now
from ansible_collections.condafleet.core.plugins.module_utils.drift import compare, describe, is_different
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.fingerprint import (
    fingerprint_of,
    package_lines,
    text_of,
)

# The fingerprint's own lines: its sha256 is the fingerprint, so the receipt vouches for it.
PACKAGES = ".condafleet-packages.txt"
# What was found once to differ: only files tell it, so a quick look would take it for whole again.
DAMAGED = ".condafleet-damaged.json"
QUICK, FULL, UNKNOWN = "quick", "full", "unknown"


def note(path: str, fingerprint: str, limit: float) -> Dict[str, str]:
    """Write down what a generation is, right before its receipt; what the receipt gets of it: {files_sha256}.

    FleetError where its packages are no longer those of `fingerprint`: its test changed them.
    """
    lines = package_lines(path)
    if fingerprint_of(lines) != fingerprint:
        raise FleetError(
            "the packages of %s were changed while it was tested. Next: let its checks change nothing in it." % path
        )
    files.write_atomic(os.path.join(path, PACKAGES), text_of(lines))
    return {"files_sha256": generation_files.write_list(path, limit)}


def note_damage(path: str) -> None:
    """Write down that a finished generation was found damaged: nothing is ever made of it again."""
    if damage_of(path) is None:
        with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
            files.write_json(os.path.join(path, DAMAGED), {"since": now()})


def damage_of(path: str) -> Optional[str]:
    """That and when it was found damaged, in words; None where it never was."""
    note = os.path.join(path, DAMAGED)
    noted = files.read_json(note)
    # A note that can't be read is still one.
    if noted is None and not os.path.lexists(note):
        return None
    return "found damaged at %s" % (noted.get("since") if isinstance(noted, dict) else "an unknown time")


def known(damage: str) -> Dict[str, Any]:
    """As `look`, of a generation that was found damaged before, and is not looked at now."""
    drift = {"verified": QUICK, "packages": None, "files": None, "notes": [damage]}
    return {"fingerprint": None, "drifted": True, "broken": None, "drift": drift}


def look(path: str, receipt: Mapping[str, Any], full_within: Optional[float] = None) -> Dict[str, Any]:
    """{fingerprint, drifted, broken, drift}; every file is compared where `full_within` says in how many seconds.

    `broken` says why it can't be used at all, or is None. `drift` is {verified: quick|full|unknown, packages, files,
    notes}: `packages` is None where it can't be told which differ, `files` where no file was compared; `unknown` says
    that its files were to be compared, and that it was made before there was a list of them.
    """
    lines = package_lines(path)
    found = fingerprint_of(lines)
    notes: List[str] = []
    packages = _packages(path, lines, found, str(receipt.get("fingerprint")), notes)
    verified, differing = QUICK, None
    if full_within is not None:
        verified, differing = _files(path, receipt.get("files_sha256"), full_within, notes)
    damage = damage_of(path)
    if damage:
        notes.append(damage)
    drifted = found != receipt.get("fingerprint") or bool(notes) or generation_files.is_damaged(differing)
    return {
        "fingerprint": found,
        "drifted": drifted,
        "broken": _broken(path, lines),
        "drift": {"verified": verified, "packages": packages, "files": differing, "notes": notes},
    }


def in_words(record: Mapping[str, Any]) -> str:
    """What differs, in one line; empty where nothing is known to."""
    return describe(record.get("drift"))


def _packages(
    path: str, lines: List[str], found: str, wanted: str, notes: List[str]
) -> Optional[Dict[str, List[Dict[str, Any]]]]:
    if found == wanted:
        return compare([], [])
    content = files.read_bytes(os.path.join(path, PACKAGES))
    if content is None:
        return None
    if files.sha256_bytes(content) != wanted:
        notes.append("its receipt or %s was edited" % PACKAGES)
        return None
    difference = compare(content.decode("utf-8", "surrogateescape").splitlines(), lines)
    return difference if is_different(difference) else None


def _files(path: str, sha256: Optional[str], limit: float, notes: List[str]) -> Any:
    if not sha256:
        return UNKNOWN, None
    listed = generation_files.read_list(path, sha256)
    if listed is None:
        there = os.path.lexists(os.path.join(path, generation_files.FILES))
        notes.append("%s %s" % (generation_files.FILES, "was edited" if there else "is missing"))
        return FULL, None
    return FULL, generation_files.verify(path, listed, limit)


def _broken(path: str, lines: List[str]) -> Optional[str]:
    has_python = any(line.startswith("conda python-") for line in lines)
    if has_python and not os.access(os.path.join(path, "bin", "python"), os.X_OK):
        return "its bin/python is gone"
    return None
