# SPDX-License-Identifier: Apache-2.0
"""Removing former installations that nobody needs, and what attempts that were cut short have left."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Any, Dict, List

from ansible_collections.condafleet.core.plugins.module_utils import installations
from ansible_collections.condafleet.core.plugins.module_utils.dependants import dependants_of, describe
from ansible_collections.condafleet.core.plugins.module_utils.processes import users_of
from ansible_collections.condafleet.core.plugins.module_utils.shared_files import is_shared


def collect(prefix: str, keep: int, current: str) -> List[str]:
    """Remove condafleet's oldest installations beyond `keep`, but nothing that a process uses or users built on.

    A link to the current one stays in a former one's place: users' settings, environments and kernels name its path.
    On a shared file system other nodes' processes can't be seen, so everything stays. Returns what stayed, and why.
    """
    sweep(prefix)
    for version in installations.observe_versions(prefix):
        # Left by an uninstallation, for users' environments: from now on they find a whole installation there.
        if version["stub"]:
            _replace_by_link(prefix, version["path"])
    if is_shared(installations.folder(prefix)):
        return []
    notes = []
    former = [version for version in installations.observe_versions(prefix) if _is_former(version, current)]
    former.sort(key=lambda version: version["receipt"].get("installed") or "")
    for version in former[: max(0, len(former) - (keep - 1))]:
        busy, built = users_of(version["path"]), dependants_of(version["path"])
        if busy or built:
            why = describe(built) if built else "processes %s" % ", ".join(str(pid) for pid in busy[:5])
            notes.append("%s is kept beyond miniconda_keep, since it is in use: %s." % (version["path"], why))
            continue
        _replace_by_link(prefix, version["path"])
    return notes


def _is_former(version: Dict[str, Any], current: str) -> bool:
    made = (version["receipt"] or {}).get("sha256")
    return bool(made) and version["name"] != current and not installations.is_adopted(version["name"])


def remove_unfinished(prefix: str, current: str) -> None:
    """What installers that were cut short have left in PREFIX.d; nobody uses that."""
    for version in installations.observe_versions(prefix):
        theirs = installations.is_adopted(version["name"]) or version["name"] == current
        if not theirs and not version["receipt"] and not version["stub"] and not users_of(version["path"]):
            shutil.rmtree(installations.set_aside(version["path"]))


def sweep(prefix: str) -> None:
    """Finish removals that were cut short; a link takes the place of what a path may still name."""
    home = installations.folder(prefix)
    for name in installations.list_doomed(prefix):
        place = os.path.join(home, name[len(installations.DOOMED) :])
        if os.path.islink(prefix) and not os.path.lexists(place):
            _lead_to_current(prefix, place)
        shutil.rmtree(os.path.join(home, name))


def _replace_by_link(prefix: str, path: str) -> None:
    doomed = installations.set_aside(path)
    _lead_to_current(prefix, path)
    shutil.rmtree(doomed)


def _lead_to_current(prefix: str, path: str) -> None:
    with contextlib.suppress(FileExistsError):
        os.symlink(os.path.join("..", os.path.basename(prefix)), path)
