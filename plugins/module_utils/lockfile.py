# Copyright condafleet maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a pair of lock files says: packages with URLs and hashes, a digest over what they are, and differences.

Pure: takes documents that are parsed already (YAML, TOML) and returns data.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.lock_entries import (
    LockFileError,
    Package,
    conda_lock_entry,
    mapping,
    pylock_entry,
)

FORMAT = 1
CONDA_LOCK_VERSION = 1
PYLOCK_VERSION = "1.0"


@dataclass(frozen=True)
class Lock:
    """One environment for one target."""

    environment: str
    target: str
    packages: Tuple[Package, ...]
    variables: Dict[str, str]


def parse(conda_lock: Mapping[str, Any], pylock: Mapping[str, Any]) -> Lock:
    """Both files of a pair as one lock. Refuses what has no hash, no wheel, a condition or an unknown format."""
    metadata = _metadata(conda_lock)
    ours = mapping(metadata.get("custom_metadata") or {}, "conda-lock file: metadata.custom_metadata")
    sizes = _sizes(ours.get("download_bytes"))
    packages = [conda_lock_entry(entry, index, sizes) for index, entry in enumerate(_entries(conda_lock, "package"))]
    if pylock:
        version = str(pylock.get("lock-version"))
        if version.partition(".")[0] != PYLOCK_VERSION.partition(".")[0]:
            raise LockFileError(
                "pylock file: lock-version {0!r} is not known. Accepted: {1}. Next: lock again.".format(
                    version, PYLOCK_VERSION
                )
            )
        packages += [pylock_entry(entry, index) for index, entry in enumerate(_entries(pylock, "packages"))]
    packages.sort(key=_key)
    for one, other in zip(packages, packages[1:]):
        if _key(one) == _key(other):
            raise LockFileError(
                "lock: {0} package {1!r} stands in it twice ({2} for {3}, {4} for {5}). Accepted: a lock for one "
                "platform, with each package once. Next: lock again.".format(
                    *_key(one), _label(one), one.subdir or "any", _label(other), other.subdir or "any"
                )
            )
    return Lock(
        environment=str(ours.get("environment") or ""),
        target=str(ours.get("target") or ""),
        packages=tuple(packages),
        variables=_variables(ours.get("variables")),
    )


def recorded(conda_lock: Mapping[str, Any]) -> Dict[str, str]:
    """What the lock file says about itself: created_by, inputs_digest, environment, target, digest, if it does."""
    ours = _metadata(conda_lock).get("custom_metadata") or {}
    return {str(key): str(value) for key, value in ours.items()}


def depends(conda_lock: Mapping[str, Any]) -> Dict[str, List[str]]:
    """What each conda package needs, as the file says it: {name: [`python >=3.11,<3.12.0a0`, …]}."""
    found = {}
    for entry in _entries(conda_lock, "package"):
        needs = entry.get("dependencies") if entry.get("manager") == "conda" else None
        found[str(entry.get("name"))] = [
            "{0} {1}".format(name, asked) for name, asked in (needs.items() if isinstance(needs, Mapping) else ())
        ]
    return found


def requires_python(pylock: Mapping[str, Any]) -> List[Tuple[str, str]]:
    """(what says so, the range of versions) for a pylock.toml and those of its packages that name one."""
    entries = [("the pylock file", pylock)] + [
        ("pip's %s" % one.get("name"), one) for one in pylock.get("packages", [])
    ]
    return [(who, str(one["requires-python"])) for who, one in entries if one.get("requires-python")]


def digest(lock: Lock) -> str:
    """64 hex digits over what is installed: never over where it lay, nor over the order of the files."""
    return _sha256_of(
        {
            "format": FORMAT,
            "packages": sorted([p.manager, p.name, p.version, p.build, p.sha256, p.md5 or ""] for p in lock.packages),
            "variables": dict(lock.variables),
        }
    )


def difference(before: Sequence[Package], after: Sequence[Package]) -> Dict[str, List[Dict[str, Any]]]:
    """What changes from one list of packages to another, package by package, sorted by manager and name."""
    old = {_key(package): package for package in before}
    new = {_key(package): package for package in after}
    return {
        "added": [_short(new[key]) for key in sorted(new) if key not in old],
        "removed": [_short(old[key]) for key in sorted(old) if key not in new],
        "changed": [
            {"manager": key[0], "name": key[1], "before": _label(old[key]), "after": _label(new[key])}
            for key in sorted(new)
            if key in old and _identity(old[key]) != _identity(new[key])
        ],
    }


def check_digest(lock: Lock, said: Mapping[str, str]) -> None:
    """Refuse a lock whose packages are no longer what its digest was taken over."""
    if said.get("digest") and said["digest"] != digest(lock):
        raise LockFileError(
            "lock of environment {0!r} for target {1!r}: its packages or variables were edited by hand (its digest "
            "says {2}, its content {3}). Accepted: a lock as it was made. Next: restore it from Git, or delete both "
            "files and lock again.".format(lock.environment, lock.target, said["digest"][:12], digest(lock)[:12])
        )


def _metadata(conda_lock: Mapping[str, Any]) -> Mapping[str, Any]:
    document = mapping(conda_lock, "conda-lock file")
    if document.get("version") != CONDA_LOCK_VERSION:
        raise LockFileError(
            "conda-lock file: version {0!r} is not known. Accepted: {1}. Next: lock again.".format(
                document.get("version"), CONDA_LOCK_VERSION
            )
        )
    return mapping(document.get("metadata") or {}, "conda-lock file: metadata")


def _entries(document: Mapping[str, Any], key: str) -> Sequence[Any]:
    entries = document.get(key)
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise LockFileError("lock: {0!r} is no list. Next: lock again.".format(key))
    return entries


def _sizes(text: Any) -> Dict[str, int]:
    """{file name: bytes} of conda packages, from lines of `BYTES NAME`: conda-lock's entries have no place for them."""
    pairs = [line.split() for line in str(text or "").splitlines()]
    return {pair[1]: int(pair[0]) for pair in pairs if len(pair) == 2 and pair[0].isdigit()}


def _variables(text: Any) -> Dict[str, str]:
    # custom_metadata holds text only, so the variables are JSON in it.
    try:
        variables = json.loads(text) if text else {}
    except ValueError:
        variables = None
    if not isinstance(variables, dict) or not all(isinstance(value, str) for value in variables.values()):
        raise LockFileError(
            "conda-lock file: custom_metadata.variables is no JSON mapping of texts: {0!r}".format(text)
        )
    return variables


def _key(package: Package) -> Tuple[str, str]:
    return package.manager, package.name


def _identity(package: Package) -> Tuple[str, str, str]:
    return package.version, package.build, package.sha256


def _label(package: Package) -> str:
    return "{0} {1}".format(package.version, package.build).strip()


def _short(package: Package) -> Dict[str, Any]:
    return {key: getattr(package, key) for key in ("manager", "name", "version", "build")}


def _sha256_of(data: Any) -> str:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
