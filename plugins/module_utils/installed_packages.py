# SPDX-License-Identifier: Apache-2.0
"""The packages that are in a prefix, whoever put them there, and what they say of themselves. Reads metadata only."""

from __future__ import annotations

import json
import os
import re
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple
from urllib.parse import urlsplit

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.fingerprint import site_packages
from ansible_collections.condafleet.core.plugins.module_utils.projects import normal_name

# A record's list of files names the metadata of the distribution that came with the package.
_DISTRIBUTION = re.compile(rb'"(lib/python3[^"/]*/site-packages/[^"/]+\.(?:dist-info|egg-info))[/"]')
_FOLDER = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+?)(?:-py[\d.]+)?\.(?:dist-info|egg-info)")
_ARCHIVE = re.compile(r"/[^/]+\.(?:conda|tar\.bz2)$")
# What stands where nobody has filled a licence in.
_SAID_NOTHING = frozenset(["", "unknown", "none", "n/a"])
LONGEST = 120
# A record lists every file of its package, with hashes; metadata may hold a long description. More is read of neither.
LARGEST_RECORD = 64 << 20
LARGEST_METADATA = 4 << 20


def installed_packages(prefix: str) -> List[Dict[str, str]]:
    """[{manager, name, version, build}] of all that is installed, by the names of records and folders; sorted.

    A Python distribution that came with a conda package counts as that package. What can't be read counts as not
    there: a broken environment has few packages, or none.
    """
    found = []
    for name in _record_names(prefix):
        parts = name.rsplit("-", 2)
        if len(parts) == 3:
            found.append({"manager": "conda", "name": parts[0], "version": parts[1], "build": parts[2]})
    claimed = _claimed(prefix)
    for path, name, version in _distributions(prefix):
        if path not in claimed:
            found.append({"manager": "pip", "name": name, "version": version, "build": ""})
    return _sorted(found)


def described_packages(prefix: str) -> List[Dict[str, Any]]:
    """As installed_packages, with `channel` (where a conda package came from) and `license`; null for unknown."""
    found: List[Dict[str, Any]] = []
    claimed = set()
    for record_name in _record_names(prefix):
        record = _record(prefix, record_name)
        if record is None:
            continue
        parts = [*record_name.rsplit("-", 2), "", ""]
        said = {key: str(record.get(key) or part) for key, part in zip(("name", "version", "build"), parts)}
        found.append(
            {"manager": "conda", **said, "channel": channel_of(record), "license": licence(record.get("license"))}
        )
        claimed.update(_named_in(json.dumps(record.get("files") or []).encode()))
    for path, name, version in _distributions(prefix):
        if path not in claimed:
            said = {"manager": "pip", "name": name, "version": version, "build": ""}
            found.append({**said, "channel": None, "license": _licence_of_distribution(os.path.join(prefix, path))})
    return _sorted(found)


def python_version(prefix: str) -> Optional[str]:
    """The version of a prefix's Python by its conda record, or of a virtual environment's by its own note."""
    for name in _record_names(prefix):
        parts = name.rsplit("-", 2)
        if len(parts) == 3 and parts[0] == "python":
            return parts[1]
    found = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+(?:\.\d+)?)", _text(os.path.join(prefix, "pyvenv.cfg")), re.M)
    return found.group(1) if found else None


def count_records(prefix: str) -> int:
    """How many packages conda has linked."""
    return len(_record_names(prefix))


def channel_of(record: Mapping[str, Any]) -> Optional[str]:
    """Where a package came from: its channel's URL without platform and without credentials, or its name."""
    url = str(record.get("url") or "")
    channel = _ARCHIVE.sub("", url) if _ARCHIVE.search(url) else str(record.get("channel") or "")
    channel = re.sub(r"/(?:noarch|linux-[a-z0-9_]+|osx-[a-z0-9]+|win-[a-z0-9]+)$", "", channel.rstrip("/"))
    if "://" not in channel:
        return channel or None
    # conda's token: /t/TOKEN/
    return (host_of(channel) or "") + re.sub(r"^/t/[^/]+", "", urlsplit(channel).path)


def host_of(url: str) -> Optional[str]:
    """`https://files.example.com:8443` of a URL, so without path and credentials; None where it has no host."""
    try:
        parts = urlsplit(url)
        port = ":%d" % parts.port if parts.port else ""
    except ValueError:
        return None
    return "%s://%s%s" % (parts.scheme, parts.hostname or "", port) if parts.scheme else None


def licence(text: Any) -> Optional[str]:
    """A licence as it is stated, in one short line; None where nothing is said."""
    lines = [line.strip() for line in str(text or "").splitlines() if line.strip()]
    said = lines[0] if lines else ""
    if said.lower() in _SAID_NOTHING:
        return None
    return said if len(said) <= LONGEST else said[: LONGEST - 1] + "…"


def licence_of_metadata(metadata: str) -> Optional[str]:
    """What a distribution's METADATA says: License-Expression, else its classifiers, else License.

    The free text of License may be the whole licence, so what was chosen from a list comes before it.
    """
    head = metadata.replace("\r\n", "\n").split("\n\n", 1)[0]
    fields: Dict[str, List[str]] = {}
    for key, value in re.findall(r"^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t].*)*)", head, re.MULTILINE):
        fields.setdefault(key.lower(), []).append(value)
    chosen = [
        value.split("::")[-1].strip()
        for value in fields.get("classifier", [])
        if value.startswith("License ::") and value.strip() != "License :: OSI Approved"
    ]
    texts = [*fields.get("license-expression", []), " and ".join(sorted(chosen)), *fields.get("license", [])]
    return next((found for found in map(licence, texts) if found), None)


def _licence_of_distribution(folder: str) -> Optional[str]:
    names = ("METADATA", "PKG-INFO") if os.path.isdir(folder) else ("",)
    texts = (_text(os.path.join(folder, name) if name else folder) for name in names)
    return next((found for found in map(licence_of_metadata, texts) if found), None)


def _record_names(prefix: str) -> List[str]:
    try:
        names = os.listdir(os.path.join(prefix, "conda-meta"))
    except OSError:
        return []
    return sorted(name[: -len(".json")] for name in names if name.endswith(".json"))


def _record_bytes(prefix: str, name: str) -> bytes:
    return files.read_regular(os.path.join(prefix, "conda-meta", name + ".json"), LARGEST_RECORD) or b""


def _record(prefix: str, name: str) -> Optional[Dict[str, Any]]:
    try:
        record = json.loads(_record_bytes(prefix, name))
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _distributions(prefix: str) -> Iterator[Tuple[str, str, str]]:
    """(path below the prefix, name, version) of each Python distribution."""
    for folder in site_packages(prefix):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            found = _FOLDER.fullmatch(name)
            if found:
                path = os.path.relpath(os.path.join(folder, name), prefix)
                yield path, normal_name(found.group("name")), found.group("version")


def _claimed(prefix: str) -> "set[str]":
    """The metadata of distributions that came with conda packages, as paths below the prefix."""
    claimed: "set[str]" = set()
    for name in _record_names(prefix):
        claimed.update(_named_in(_record_bytes(prefix, name)))
    return claimed


def _named_in(record: bytes) -> "set[str]":
    return {os.fsdecode(path) for path in _DISTRIBUTION.findall(record)}


def _text(path: str) -> str:
    return (files.read_regular(path, LARGEST_METADATA) or b"").decode("utf-8", "replace")


def _sorted(packages: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    return sorted(packages, key=lambda one: (one["manager"], one["name"]))
