# SPDX-License-Identifier: Apache-2.0
"""Which installers are known: versions, files and sha256, from roles/miniconda/files/installers.json. Pure."""

from __future__ import annotations

import difflib
import posixpath
import re
from typing import Any, Dict, List, Mapping, Optional, Tuple
from urllib.parse import urlsplit

FILE_NAME = re.compile(
    r"^(?P<name>[A-Za-z]+)3?-(?P<version>[\w.]+(?:-\d+)?)-Linux-(?P<arch>x86_64|aarch64|ppc64le|s390x)\.sh$"
)


def distributions(catalog: Mapping[str, Any]) -> List[str]:
    return sorted(catalog["base_url"])


def versions(catalog: Mapping[str, Any], distribution: str) -> List[str]:
    """The known versions, newest first."""
    found = {entry["version"] for entry in catalog["installers"] if entry["distribution"] == distribution}
    return sorted(found, key=sort_key, reverse=True)


def installers(
    catalog: Mapping[str, Any], distribution: str, version: str, mirror: Optional[str] = None
) -> Dict[str, Dict[str, Any]]:
    """{architecture: {url, sha256, filename, version, distribution}} of one version.

    `mirror` replaces the catalog's base URL; the files below it have upstream's names.
    """
    base = (mirror or catalog["base_url"][distribution]).replace("{version}", version).rstrip("/") + "/"
    return {
        entry["arch"]: {
            "url": base + entry["file"],
            "sha256": entry["sha256"],
            "filename": entry["file"],
            "version": version,
            "distribution": distribution,
        }
        for entry in catalog["installers"]
        if entry["distribution"] == distribution and entry["version"] == version
    }


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


def from_url(url: str, sha256: str) -> Tuple[str, Dict[str, Any]]:
    """(architecture or `any`, entry) of an installer that only its URL describes."""
    name = posixpath.basename(urlsplit(url).path)
    known = FILE_NAME.match(name)
    return (
        known.group("arch") if known else "any",
        {
            "url": url,
            "sha256": sha256.lower(),
            # The installers refuse to run under a name that does not end in .sh.
            "filename": name if re.fullmatch(r"[\w.+-]+\.sh", name) else "installer.sh",
            "version": known.group("version") if known else None,
            "distribution": known.group("name").lower() if known else "custom",
        },
    )
