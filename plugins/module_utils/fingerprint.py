# SPDX-License-Identifier: Apache-2.0
"""What is really installed in a prefix, as one digest: read from metadata, so quickly, and the same on every node."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from typing import Dict, List, Optional

# conda writes its records with sorted keys and an indent of two: the package's own sha256 stands after the list of
# its files, within the last lines. Reading those alone is what makes this quick.
_TAIL = 4096
_SHA256 = re.compile(rb'^  "sha256": "([0-9a-f]{64})"', re.MULTILINE)


def fingerprint(prefix: str) -> str:
    """64 hex digits over the conda records and the metadata of Python distributions in `prefix`."""
    digest = hashlib.sha256()
    for line in conda_lines(prefix) + distribution_lines(prefix):
        digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()


def conda_lines(prefix: str) -> List[str]:
    """`conda NAME-VERSION-BUILD SHA256` for each package that conda linked."""
    lines = []
    for entry in _entries(os.path.join(prefix, "conda-meta")):
        if entry.name.endswith(".json") and entry.is_file():
            lines.append("conda %s %s" % (entry.name[: -len(".json")], _record_sha256(entry.path) or "-"))
    return sorted(lines)


def distribution_lines(prefix: str) -> List[str]:
    """`python NAME-VERSION.dist-info SHA256-OF-RECORD` for each distribution in site-packages.

    RECORD holds the hash of every other file, METADATA among them, so it stands for all of them.
    """
    lines = []
    for folder in site_packages(prefix):
        for entry in _entries(folder):
            if entry.name.endswith((".dist-info", ".egg-info")):
                lines.append("python %s %s" % (entry.name, _record_digest(os.path.join(entry.path, "RECORD")) or "-"))
    return sorted(lines)


def site_packages(prefix: str) -> List[str]:
    """The site-packages folders of a prefix: one, where there is a Python."""
    return sorted(glob.glob(os.path.join(glob.escape(prefix), "lib", "python3*", "site-packages")))


def conda_packages(prefix: str) -> Dict[str, str]:
    """{name: "version build"} of what conda linked, by the names of its records."""
    found = {}
    for line in conda_lines(prefix):
        name, version, build = line.split()[1].rsplit("-", 2)
        found[name] = "%s %s" % (version, build)
    return found


def _entries(folder: str) -> List["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _record_sha256(path: str) -> Optional[str]:
    with open(path, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _TAIL))
        found = _SHA256.findall(stream.read())
    return found[-1].decode("ascii") if found else None


def _record_digest(path: str) -> Optional[str]:
    try:
        with open(path, "rb") as stream:
            content = stream.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    if b"uv_cache.json" in content:
        # uv notes there when its wheel was fetched: not what is installed, and different on every node.
        content = b"\n".join(line for line in content.splitlines() if b"/uv_cache.json," not in line)
    return hashlib.sha256(content).hexdigest()
