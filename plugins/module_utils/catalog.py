# SPDX-License-Identifier: Apache-2.0
"""Which installers are known: versions, files and sha256, from roles/miniconda/files/installers.json. Pure.

A catalog is `{base_url: {DISTRIBUTION: URL}, installers: [{distribution, version, arch, file, sha256}]}`. An entry may
have a `url` of its own, where it is no file below its distribution's base URL, or a `path` on the controller.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from typing import Any, Dict, List, Mapping, Optional, Tuple
from urllib.parse import urlsplit

from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError
from ansible_collections.condafleet.core.plugins.module_utils.origins import join

FILE_NAME = re.compile(
    r"^(?P<name>[A-Za-z]+)3?-(?P<version>[\w.]+(?:-\d+)?)-Linux-(?P<arch>x86_64|aarch64|ppc64le|s390x)\.sh$"
)
# What the nodes call themselves (`uname -m`). conda runs on all of them, environments are locked for the first two.
ARCHITECTURES = ("x86_64", "aarch64", "ppc64le", "s390x")
FIELDS = {
    "distribution": r"[a-z0-9][a-z0-9_.-]*",
    "version": r"[A-Za-z0-9][A-Za-z0-9_.+-]*",
    "arch": "|".join(ARCHITECTURES),
    "file": r"[\w.+-]+\.sh",
    "sha256": r"[0-9a-f]{64}",
}
OWN_PLACES = {"url": r"https?://[^/\s@]+/\S*", "path": r"/\S.*"}


def distributions(catalog: Mapping[str, Any]) -> List[str]:
    return sorted({entry["distribution"] for entry in catalog["installers"]})


def versions(catalog: Mapping[str, Any], distribution: str) -> List[str]:
    """The known versions, newest first."""
    found = {entry["version"] for entry in catalog["installers"] if entry["distribution"] == distribution}
    return sorted(found, key=sort_key, reverse=True)


def entries(catalog: Mapping[str, Any], distribution: str, version: str) -> Dict[str, Mapping[str, Any]]:
    """{architecture: entry} of one version."""
    return {
        entry["arch"]: entry
        for entry in catalog["installers"]
        if entry["distribution"] == distribution and entry["version"] == version
    }


def below(base: str, entry: Mapping[str, Any]) -> str:
    """The URL of an entry's file below a base URL, in which `{version}` stands for the version."""
    return join(base.replace("{version}", entry["version"]), entry["file"])


def upstream(catalog: Mapping[str, Any], entry: Mapping[str, Any]) -> Optional[str]:
    """Where the publisher has the file; None where the catalog names no such place."""
    base = catalog["base_url"].get(entry["distribution"])
    return entry.get("url") or (below(base, entry) if base and not entry.get("path") else None)


def merge(known: Mapping[str, Any], own: Mapping[str, Any]) -> Dict[str, Any]:
    """A catalog over another one: its entries replace those of the same distribution, version and architecture."""
    ours = {_key(entry): entry for entry in own["installers"]}
    kept = [entry for entry in known["installers"] if _key(entry) not in ours]
    return {
        "base_url": {**known["base_url"], **own.get("base_url", {})},
        "installers": sorted([*kept, *ours.values()], key=_key),
    }


def check(variable: str, place: str, found: Any) -> Dict[str, Any]:
    """The content of a catalog file, or an InputError that names the first thing that is wrong in it."""
    form = "a catalog as `condafleet catalog add FILE …` writes it"
    if not isinstance(found, Mapping) or not isinstance(found.get("installers"), list):
        raise InputError(variable, f"{place} (without a list of installers)", form, "write it by that command")
    bases = found.get("base_url", {})
    if not isinstance(bases, Mapping) or not all(
        re.match(r"(https?://[^/\s@]+/|file:///)", str(b)) for b in bases.values()
    ):
        raise InputError(
            variable, f"{place} (base_url)", "{DISTRIBUTION: http(s)://… without credentials}", "correct it"
        )
    for number, entry in enumerate(found["installers"], 1):
        wrong = _wrong(entry)
        if wrong:
            raise InputError(variable, f"{place} (installer {number}: {wrong})", form, "correct that entry")
    return {"base_url": dict(bases), "installers": [dict(entry) for entry in found["installers"]]}


def _wrong(entry: Any) -> Optional[str]:
    if not isinstance(entry, Mapping):
        return "no dictionary"
    for name, pattern in FIELDS.items():
        if not re.fullmatch(pattern, str(entry.get(name, ""))):
            return f"{name} is {entry.get(name)!r}"
    for name, pattern in OWN_PLACES.items():
        if entry.get(name) is not None and not re.fullmatch(pattern, str(entry[name])):
            return f"{name} is {entry[name]!r}"
    return None


def _key(entry: Mapping[str, Any]) -> Tuple[str, Any, str]:
    return entry["distribution"], sort_key(entry["version"]), entry["arch"]


def nearest(wanted: str, known: List[str], count: int = 5) -> List[str]:
    """What may have been meant: similar versions first, filled up with the newest."""
    similar = difflib.get_close_matches(wanted, known, n=3, cutoff=0.7)
    return (similar + [version for version in known if version not in similar])[:count]


def sort_key(version: str) -> Tuple[Tuple[int, ...], Tuple[int, ...]]:
    """Orders `py312_24.7.1-0` by conda's version, then by Python's; `2025.12-2` and `26.3.2-3` by their numbers."""
    python, _dummy, rest = version.rpartition("_")
    # py39 is Python 3.9: the first digit is the major version.
    digits = re.sub(r"\D", "", python)
    python_key = (int(digits[0]), int(digits[1:] or 0)) if digits else ()
    return tuple(int(number) for number in re.findall(r"\d+", rest)), python_key


def distribution_of(name: str) -> str:
    """What condafleet calls an installer that calls itself `Miniforge3`; the embedded one has its maker's name."""
    plain = re.sub(r"[^a-z0-9_.-]", "-", re.sub(r"(?<=[A-Za-z])3$", "", name).lower())
    return "embedded" if plain == "condafleet" else plain


def from_url(url: str, sha256: str) -> Tuple[str, Dict[str, Any]]:
    """(architecture or `any`, {filename, sha256, version, distribution}) of what only its URL describes."""
    name = posixpath.basename(urlsplit(url).path)
    known = FILE_NAME.match(name)
    return (
        known.group("arch") if known else "any",
        {
            "sha256": sha256.lower(),
            # The installers refuse to run under a name that does not end in .sh.
            "filename": name if re.fullmatch(r"[\w.+-]+\.sh", name) else "installer.sh",
            "version": known.group("version") if known else None,
            "distribution": distribution_of(known.group("name")) if known else "custom",
        },
    )
