# SPDX-License-Identifier: Apache-2.0
"""What is really installed in a prefix, a line each and as one digest: read from metadata, so quickly.

The same on every node for the same packages, wherever the prefix is.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from typing import Dict, Iterable, List, Optional

# conda writes its records with sorted keys and an indent of two: the digest of the archive that it linked stands after
# the list of files, mostly within the last lines. Reading those alone is what makes this quick. What conda installs by
# URL and md5 has no sha256 there.
_TAIL = 4096
_DIGESTS = (b'\n  "sha256": "', b'\n  "md5": "')
_HEX = re.compile(rb"[0-9a-f]{32,64}")
# Scripts hold the path of their prefix, so their hash and size in RECORD differ from generation to generation.
_SCRIPTS = b"../bin/"
ABSENT = "-"


def fingerprint(prefix: str) -> str:
    """64 hex digits over the conda records and the metadata of Python distributions in `prefix`."""
    return fingerprint_of(package_lines(prefix))


def fingerprint_of(lines: Iterable[str]) -> str:
    """The digest of such lines; their order does not count."""
    return hashlib.sha256(text_of(lines)).hexdigest()


def text_of(lines: Iterable[str]) -> bytes:
    """The lines as a file: its sha256 is the fingerprint."""
    return "".join(line + "\n" for line in sorted(lines)).encode("utf-8", "surrogateescape")


def package_lines(prefix: str) -> List[str]:
    """A line for each package that conda linked, and for each Python distribution."""
    return conda_lines(prefix) + distribution_lines(prefix)


def conda_lines(prefix: str) -> List[str]:
    """`conda NAME-VERSION-BUILD DIGEST` for each package that conda linked; the digest is the archive's."""
    folder = os.path.join(prefix, "conda-meta")
    return sorted(
        "conda %s %s" % (_plain(name[: -len(".json")]), _archive_digest(os.path.join(folder, name)) or ABSENT)
        for name in _names(folder)
        if name.endswith(".json")
    )


def distribution_lines(prefix: str) -> List[str]:
    """`python NAME-VERSION.dist-info SHA256-OF-RECORD SHA256-OF-METADATA` for each distribution in site-packages.

    RECORD holds the hashes of all files of a distribution; METADATA has what it needs, and is what pip reads.
    """
    lines = []
    for folder in site_packages(prefix):
        for name in _names(folder):
            if name.endswith(".dist-info"):
                place = os.path.join(folder, name)
                record, about = _record_digest(os.path.join(place, "RECORD")), _digest(os.path.join(place, "METADATA"))
            elif name.endswith(".egg-info"):
                place = os.path.join(folder, name)
                record, about = None, _digest(place) or _digest(os.path.join(place, "PKG-INFO"))
            else:
                continue
            lines.append("python %s %s %s" % (_plain(name), record or ABSENT, about or ABSENT))
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


def _plain(name: str) -> str:
    """A file's name within a line: what a line is made of can't stand in it."""
    return name.replace("\n", "?").replace(" ", "?")


def _names(folder: str) -> List[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _archive_digest(path: str) -> Optional[str]:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # a link to nowhere, a folder
        return None
    try:
        size = os.fstat(handle).st_size
        found = _digest_in(os.pread(handle, _TAIL, max(0, size - _TAIL)))
        if found is None and size > _TAIL:
            found = _digest_in(os.pread(handle, size, 0))
    except OSError:
        return None
    finally:
        os.close(handle)
    return found


def _digest_in(text: bytes) -> Optional[str]:
    for key in _DIGESTS:
        place = text.rfind(key)
        found = _HEX.match(text, place + len(key)) if place >= 0 else None
        if found:
            return found.group().decode("ascii")
    return None


def _record_digest(path: str) -> Optional[str]:
    content = _content(path)
    if content is None:
        return None
    if b"uv_cache.json" in content:
        # uv notes there when its wheel was fetched: not what is installed, and different on every node.
        content = b"\n".join(line for line in content.splitlines() if b"/uv_cache.json," not in line)
    if _SCRIPTS in content:
        content = _without_scripts(content)
    return hashlib.sha256(content).hexdigest()


def _without_scripts(content: bytes) -> bytes:
    """A RECORD in which scripts have their names only. Looked for, not matched line by line: RECORDs are long."""
    kept, done = [], 0
    place = content.find(_SCRIPTS)
    while place >= 0:
        line = content.rfind(b"\n", 0, place) + 1
        end = content.find(b"\n", place)
        end = len(content) if end < 0 else end
        name = content.find(b",", place, end)
        # Of the hashes and sizes themselves, only those of what lies in the prefix's own bin are left out.
        if name >= 0 and content[line:place].strip(b'"./') == b"":
            kept.append(content[done:name])
            done = end
        place = content.find(_SCRIPTS, end)
    return b"".join([*kept, content[done:]])


def _digest(path: str) -> Optional[str]:
    content = _content(path)
    return None if content is None else hashlib.sha256(content).hexdigest()


def _content(path: str) -> Optional[bytes]:
    """The whole file, or None where there is none. System calls alone: hundreds of small files are read so."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        size = os.fstat(handle).st_size
        pieces = [os.read(handle, size + 1)]
        while pieces[-1]:
            pieces.append(os.read(handle, 1 << 20))
        return b"".join(pieces)
    except OSError:  # a folder
        return None
    finally:
        os.close(handle)
