# SPDX-License-Identifier: Apache-2.0
"""The line that names the folder of modulefiles in the file where a module system keeps its search path.

Files are edited as bytes, so that they can be given back as they were: a line end that had to be added before ours is
noted in our line, and goes with it.
"""

from __future__ import annotations

import os
import re
from typing import Dict, List, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

LINE_MARK = "# condafleet"
# Added to ours where the file's last line had no end.
WITH_END = " and the line end before"
# Where each system keeps its search path, and how a folder is named there: Debian's Lmod, Environment Modules 5 and
# before. Where initrc is, modulespath is not read.
LMOD = "/etc/lmod/modulespath"
MODULES = "/etc/environment-modules/initrc"
OLD_MODULES = "/etc/environment-modules/modulespath"
LINES = {
    LMOD: "%%s %s" % LINE_MARK,
    MODULES: "module use --append {%%s} ;%s" % LINE_MARK,
    OLD_MODULES: "%%s %s" % LINE_MARK,
}
# What a folder is in such a file.
ABSENT, OURS, SITE = "absent", "ours", "site"


def observe_lines(folder: str, system_root: str = "/") -> Dict[str, str]:
    """{file: absent, ours, site, or the path that it leads to outside the system} of the systems that are there."""
    found: Dict[str, str] = {}
    for path in (LMOD, MODULES, OLD_MODULES):
        if path == OLD_MODULES and MODULES in found:
            continue
        outside = leads_outside(system_root, path)
        if outside:
            found[path] = outside
        elif os.path.isfile(_below(system_root, path)):
            found[path] = _named(folder, path, system_root)
    return found


def leads_outside(system_root: str, path: str) -> str:
    """Where links lead to from a system below `system_root`, if that is outside of it; else nothing."""
    real, root = os.path.realpath(_below(system_root, path)), os.path.realpath(system_root)
    return "" if real.startswith(root.rstrip("/") + "/") else real


def line_of(folder: str, path: str) -> str:
    return LINES[path] % folder


def register(folder: str, path: str, system_root: str, declared: bool) -> None:
    """Add our line to the file, or take it out."""
    outside = leads_outside(system_root, path)
    if outside:
        raise FleetError(refusal(path, outside, system_root))
    place = _below(system_root, path)
    content = files.read_bytes(place)
    if content is None:
        return
    changed = _with_line(content, folder, path) if declared else _without_line(content, folder, path)
    if changed != content:
        status = os.stat(place)
        files.write_atomic(place, changed, status.st_mode & 0o7777, status.st_uid, status.st_gid)


def refusal(path: str, outside: str, system_root: str) -> str:
    """The sentence about a file that is not in the system which is set up."""
    return (
        "shell_init_system_root: %s leads to %s, which is outside %s. Accepted: a search path of modules that lies in "
        "the system that is set up. Next: make that link relative, or set environments_modulefiles: false. "
        "Nothing was changed." % (_below(system_root, path), outside, system_root)
    )


def _lines(folder: str, path: str) -> Tuple[bytes, bytes]:
    """Our line, without and with the note about the line end before it."""
    line = os.fsencode(line_of(folder, path))
    return line, line + WITH_END.encode()


def _with_line(content: bytes, folder: str, path: str) -> bytes:
    plain, noted = _lines(folder, path)
    if not content or content.endswith(b"\n"):
        return content + plain + b"\n"
    return content + b"\n" + noted + b"\n"


def _without_line(content: bytes, folder: str, path: str) -> bytes:
    plain, noted = _lines(folder, path)
    kept: List[bytes] = []
    ended = False
    for line in content.splitlines(True):
        bare = line.rstrip(b"\r\n")
        if bare not in (plain, noted):
            kept.append(line)
        ended = bare == noted
    # Only where nothing came after ours: else two lines would become one.
    if ended and kept and kept[-1].endswith(b"\n"):
        kept[-1] = kept[-1][:-1]
    return b"".join(kept)


def _named(folder: str, path: str, system_root: str) -> str:
    content = files.read_bytes(_below(system_root, path)) or b""
    if any(line in _lines(folder, path) for line in content.splitlines()):
        return OURS
    text = b"\n".join(line.split(b"#", 1)[0] for line in content.splitlines())
    words = re.findall(rb"[^\s{}\"';]+", text)
    return SITE if os.fsencode(folder) in [word.rstrip(b"/") for word in words] else ABSENT


def _below(system_root: str, path: str) -> str:
    return os.path.join(system_root, path.lstrip("/"))
