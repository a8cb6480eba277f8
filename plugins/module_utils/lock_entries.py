# Copyright condafleet maintainers
# SPDX-License-Identifier: Apache-2.0
"""One entry of a lock file as a package: what it has to say for that, and what of it is refused. Pure."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from typing import Any, Dict, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.projects import normal_name

_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_MD5 = re.compile(r"^[0-9a-f]{32}$")
_CONDA_ENDINGS = (".conda", ".tar.bz2")


class LockFileError(FleetError):
    """A lock file says something that can't be installed safely; the message names the entry."""


@dataclass(frozen=True)
class Package:
    """One package of a lock. `manager` is conda or pip; `build` and `subdir` are empty for wheels."""

    manager: str
    name: str
    version: str
    build: str
    url: str
    sha256: str
    md5: Optional[str]
    size: Optional[int]
    filename: str
    subdir: str

    def to_dict(self) -> Dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Package:
        return cls(**{field: data[field] for field in (f.name for f in fields(cls))})


def conda_lock_entry(entry: Any, index: int, sizes: Mapping[str, int]) -> Package:
    where = "conda-lock file: package[{0}]".format(index)
    entry = mapping(entry, where)
    name, version, url = (_text(entry, key, where) for key in ("name", "version", "url"))
    where = "{0} ({1})".format(where, name)
    _refuse_optional(entry, where)
    hashes = mapping(entry.get("hash") or {}, where + ".hash")
    manager = entry.get("manager")
    filename = _filename(url)
    if manager == "pip":
        return _wheel(name, version, url, hashes, None, where)
    if manager != "conda":
        raise LockFileError("{0}: manager {1!r} is not known. Accepted: conda, pip.".format(where, manager))
    if not filename.endswith(_CONDA_ENDINGS):
        raise LockFileError("{0}: {1!r} is no conda package. Accepted: *.conda, *.tar.bz2.".format(where, filename))
    stem = filename[: -len(".conda")] if filename.endswith(".conda") else filename[: -len(".tar.bz2")]
    parts = stem.rsplit("-", 2)
    if len(parts) != 3 or parts[0] != name or parts[1] != version:
        raise LockFileError(
            "{0}: its URL ends in {1!r}, which is not {2} {3}. Next: lock again.".format(where, filename, name, version)
        )
    return Package(
        manager="conda",
        name=name,
        version=version,
        build=parts[2],
        url=url,
        sha256=_hash(hashes, "sha256", _SHA256, where),
        md5=_hash(hashes, "md5", _MD5, where),
        size=sizes.get(filename),
        filename=filename,
        subdir=_subdir(url, where),
    )


def pylock_entry(entry: Any, index: int) -> Package:
    where = "pylock file: packages[{0}]".format(index)
    entry = mapping(entry, where)
    name = _text(entry, "name", where)
    where = "{0} ({1})".format(where, name)
    _refuse_marker(entry, where)
    for kind in ("vcs", "directory", "archive"):
        if entry.get(kind):
            raise LockFileError("{0}: {1!r} is no wheel. Accepted: wheels only.".format(where, kind))
    wheels = entry.get("wheels") or []
    if len(wheels) != 1:
        raise LockFileError(
            "{0}: {1} wheels. Accepted: exactly one, the target's. Next: lock again.".format(where, len(wheels))
        )
    wheel = mapping(wheels[0], where + ".wheels[0]")
    return _wheel(
        name,
        _text(entry, "version", where),
        _text(wheel, "url", where + ".wheels[0]"),
        mapping(wheel.get("hashes") or {}, where + ".hashes"),
        wheel.get("size"),
        where,
    )


def _wheel(name: str, version: str, url: str, hashes: Mapping[str, Any], size: Optional[int], where: str) -> Package:
    filename = _filename(url)
    if not filename.endswith(".whl"):
        raise LockFileError("{0}: {1!r} is no wheel. Accepted: *.whl.".format(where, filename))
    return Package(
        manager="pip",
        name=normal_name(name),
        version=version,
        build="",
        url=url,
        sha256=_hash(hashes, "sha256", _SHA256, where),
        md5=None,
        size=size,
        filename=filename,
        subdir="",
    )


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise LockFileError("{0}: {1} is no mapping. Next: lock again.".format(where, type(value).__name__))
    return value


def _refuse_optional(entry: Mapping[str, Any], where: str) -> None:
    """Tools differ in what they install of other categories by default: it is neither installed nor left out unsaid."""
    category = entry.get("category") or "main"
    if category == "main" and not entry.get("optional"):
        return
    raise LockFileError(
        "{0}: its category is {1!r}{2}. Accepted: category main and nothing optional, since a pair of locks is "
        "installed whole. Next: lock again without it (conda-lock lock: --no-dev-dependencies leaves out category dev, "
        "--filter-categories others), or make it a main dependency.".format(
            where, category, ", and it is optional" if entry.get("optional") else ""
        )
    )


def _refuse_marker(entry: Mapping[str, Any], where: str) -> None:
    """By PEP 751 the target decides; here, where nodes read it too, nothing can be evaluated."""
    if entry.get("marker"):
        raise LockFileError(
            "{0}: it is for some targets only, by its marker {1!r}. Accepted: a pair of locks for one target, without "
            "markers. Next: name the pylock.toml itself as spec, whose markers are evaluated for each target, or lock "
            "again for the target alone.".format(where, entry["marker"])
        )


def _text(entry: Mapping[str, Any], key: str, where: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise LockFileError("{0}: {1} is missing or no text ({2!r}). Next: lock again.".format(where, key, value))
    return value


def _hash(hashes: Mapping[str, Any], kind: str, form: Any, where: str) -> str:
    value = hashes.get(kind)
    if not isinstance(value, str) or not form.match(value):
        raise LockFileError(
            "{0}: {1} is missing or malformed ({2!r}). Accepted: packages with hashes. Next: lock again.".format(
                where, kind, value
            )
        )
    return value


def _filename(url: str) -> str:
    name = url.split("#", 1)[0].split("?", 1)[0].rsplit("/", 1)[-1]
    # Only what an index escapes in practice: "+" in local versions, "!" in epochs.
    return name.replace("%2B", "+").replace("%2b", "+").replace("%21", "!")


def _subdir(url: str, where: str) -> str:
    parts = url.split("#", 1)[0].split("?", 1)[0].rsplit("/", 2)
    if len(parts) != 3 or not re.match(r"^(noarch|[a-z]+-[a-z0-9_]+)$", parts[1]):
        raise LockFileError("{0}: no platform folder in its URL {1!r}. Next: lock again.".format(where, url))
    return parts[1]
