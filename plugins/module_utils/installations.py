# SPDX-License-Identifier: Apache-2.0
"""The installations of one prefix: PREFIX is a link to one of `PREFIX.d/DISTRIBUTION-VERSION-SERIAL`.

An installation never changes its version in place: another one is made beside it, and the link moves. What runs keeps
the one it started from. All of them share `PREFIX.d/envs`. One that was made by hand is a folder at PREFIX itself; once
replaced it lies in `PREFIX.d/adopted-SERIAL`.
"""

from __future__ import annotations

import os
import re
import shutil
from typing import Any, Dict, List, Optional

from ansible_collections.condafleet.core.plugins.module_utils import receipt

ADOPTED = "adopted"
ENVS = "envs"
DOOMED = ".removing-"

_NAME = re.compile(r"(?P<label>[A-Za-z][\w.+-]*?)-(?P<serial>[1-9][0-9]*)")
# What lies in PREFIX.d beside installations.
_OTHERS = frozenset([ENVS, "jobs", "progress", "lock"])


def folder(prefix: str) -> str:
    """Where the installations of a prefix lie."""
    return prefix + ".d"


def envs_folder(prefix: str) -> str:
    """Where their environments lie; PREFIX/envs leads there."""
    return os.path.join(folder(prefix), ENVS)


def label(distribution: str, version: Optional[str]) -> str:
    """`miniforge-26.3.2-3`: what a folder's name says of what is in it."""
    return re.sub(r"[^\w.+-]", "_", "%s-%s" % (distribution, version or "custom"))


def next_name(existing: List[str], wanted: str) -> str:
    """The label with a serial above every one that is or was left here."""
    serials = [0]
    for name in existing:
        found = _NAME.fullmatch(name)
        if found and found.group("label") == wanted:
            serials.append(int(found.group("serial")))
    return "%s-%d" % (wanted, max(serials) + 1)


def list_names(prefix: str) -> List[str]:
    """All names in PREFIX.d that are an installation's, finished or not, removed ones (links) included."""
    try:
        found = os.listdir(folder(prefix))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in found if name not in _OTHERS and _NAME.fullmatch(name))


def observe_versions(prefix: str) -> List[Dict[str, Any]]:
    """[{name, path, receipt, stub}] of what lies in PREFIX.d.

    Without a receipt it is unfinished or was made by hand; or it is a stub, which holds nothing but the way to the
    environments: an uninstallation leaves it where users' environments name its path.
    """
    found = []
    for name in list_names(prefix):
        path = os.path.join(folder(prefix), name)
        if os.path.isdir(path) and not os.path.islink(path):
            found.append({"name": name, "path": path, "receipt": receipt.read(path), "stub": is_stub(path)})
    return found


def is_stub(path: str) -> bool:
    return os.listdir(path) == [ENVS] and os.path.islink(os.path.join(path, ENVS))


def is_adopted(name: str) -> bool:
    return name.startswith(ADOPTED + "-")


def list_doomed(prefix: str) -> List[str]:
    """What was being removed when somebody cut that short."""
    try:
        found = os.listdir(folder(prefix))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in found if name.startswith(DOOMED))


def set_aside(path: str) -> str:
    """Give what is to be removed a name under which nobody takes it for whole; its new path."""
    doomed = os.path.join(os.path.dirname(path), DOOMED + os.path.basename(path))
    if os.path.lexists(doomed):
        shutil.rmtree(doomed)
    os.rename(path, doomed)
    return doomed


def place_of(prefix: str) -> Dict[str, Any]:
    """{place, current}: what PREFIX itself is, and the name of the installation that it leads to.

    `place` is none, link (ours), broken (a link of ours whose end is gone), folder, or foreign (any other link, a
    file).
    """
    if not os.path.lexists(prefix):
        return {"place": "none", "current": None}
    if not os.path.islink(prefix):
        return {"place": "folder" if os.path.isdir(prefix) else "foreign", "current": None}
    target = os.path.normpath(os.path.join(os.path.dirname(prefix), os.readlink(prefix)))
    if os.path.dirname(target) != folder(prefix) or not _NAME.fullmatch(os.path.basename(target)):
        return {"place": "foreign", "current": None}
    if not os.path.isdir(target):
        return {"place": "broken", "current": None}
    return {"place": "link", "current": os.path.basename(target)}


def own_folder(prefix: str) -> str:
    """The folder that holds the current installation: what PREFIX leads to, or PREFIX itself."""
    current = place_of(prefix)["current"]
    return os.path.join(folder(prefix), current) if current else prefix
