# SPDX-License-Identifier: Apache-2.0
"""The environments on a node that condafleet did not make: those beside its own, and those that users' conda has noted.

They are listed, never touched. What is cheap is told of each; its size would take reading it all. Homes are read as
dependants.py does: with their owners' rights, in a child process, for a limited time.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any, Dict, Iterator, List, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import environment_adopt, files, installations
from ansible_collections.condafleet.core.plugins.module_utils import generations as gen
from ansible_collections.condafleet.core.plugins.module_utils.acting import acting_as
from ansible_collections.condafleet.core.plugins.module_utils.clock import stamp
from ansible_collections.condafleet.core.plugins.module_utils.dependants import everybody, in_child
from ansible_collections.condafleet.core.plugins.module_utils.installed_packages import count_records, python_version
from ansible_collections.condafleet.core.plugins.module_utils.observe_installation import user_name

# Where conda notes the environments that a user has made.
NOTE = ".conda/environments.txt"
# A note that grew for years, with what is gone since.
LINES = 2000
LARGEST = 1 << 20

Found = Dict[str, Any]


def find_environments(prefix: str, root: str, seconds: float, system_root: str = "/") -> Dict[str, Any]:
    """{found: [{path, kind, owner, python, packages, changed, noted_by: [users]}], complete, why: text|null}.

    `kind` is directory, link or broken, and adopted for what was moved aside; `python` is its version, `packages` the
    number that conda has linked, `changed` when conda last changed it; each null where that can't be told.
    """
    found = {one["path"]: one for one in [*beside_ours(prefix, root), *moved_aside(prefix, root)]}
    deadline = time.monotonic() + seconds
    noted, complete = in_child(lambda: noted_by_users(system_root), deadline)
    for one in noted:
        user = one.pop("user")
        path = _as_listed(one["path"], prefix, found)
        if path in found:
            found[path]["noted_by"].append(user)
        elif not _is_ours(path, prefix, root):
            found[path] = {**one, "noted_by": [user]}
    why = None if complete else "the search was stopped after %g s: homes are slow, or many" % seconds
    return {"found": sorted(found.values(), key=lambda one: str(one["path"])), "complete": complete, "why": why}


def beside_ours(prefix: str, root: str) -> List[Found]:
    """Those in PREFIX/envs that don't lead to a generation of ROOT."""
    folder = os.path.join(prefix, installations.ENVS)
    found = []
    for name in _names(folder):
        state = gen.link_state(prefix, root, name)
        if state and not state["reaches"] and not name.startswith("."):
            found.append({**describe(os.path.join(folder, name)), "kind": state["kind"], "noted_by": []})
    return found


def moved_aside(prefix: str, root: str) -> List[Found]:
    return [
        {**describe(one["path"]), "kind": "adopted", "noted_by": []} for one in environment_adopt.adopted(prefix, root)
    ]


def noted_by_users(system_root: str = "/") -> Iterator[Found]:
    """Each line of each user's note that still leads somewhere; with that user's rights."""
    for user in everybody(system_root):
        mine: List[Found] = []
        with contextlib.suppress(OSError), acting_as(user):
            note = files.read_regular(os.path.join(user.home, NOTE), LARGEST) or b""
            lines = note.decode("utf-8", "replace").splitlines()[:LINES]
            for path in sorted({line.strip() for line in lines if line.startswith("/")}):
                if os.path.isdir(path):
                    kind = "link" if os.path.islink(path) else "directory"
                    mine.append({**describe(os.path.normpath(path)), "kind": kind, "user": user.name})
        # The parent reads them with its own rights again.
        yield from mine


def describe(path: str) -> Found:
    """What is cheap to know of an environment."""
    try:
        owner: Optional[str] = user_name(os.lstat(path).st_uid)
    except OSError:
        owner = None
    try:
        changed: Optional[str] = stamp(os.stat(os.path.join(path, "conda-meta", "history")).st_mtime)
    except OSError:
        changed = None
    count = count_records(path)
    return {"path": path, "owner": owner, "python": python_version(path), "packages": count or None, "changed": changed}


def _as_listed(path: str, prefix: str, found: Dict[str, Found]) -> str:
    """One environment has several paths where PREFIX is a link; it is listed once."""
    real = os.path.realpath(path)
    if path in found:
        return path
    folder = os.path.realpath(os.path.join(prefix, installations.ENVS))
    inside = os.path.join(prefix, installations.ENVS, os.path.basename(path))
    return inside if os.path.dirname(real) == folder and inside in found else path


def _is_ours(path: str, prefix: str, root: str) -> bool:
    """An installation of this prefix, or something that leads to a generation."""
    real = os.path.realpath(path)
    homes: Sequence[str] = [gen.generations_dir(root), installations.folder(prefix)]
    return real == os.path.realpath(prefix) or os.path.dirname(real) in [os.path.realpath(home) for home in homes]


def _names(folder: str) -> List[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
