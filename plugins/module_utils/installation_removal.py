# SPDX-License-Identifier: Apache-2.0
"""Removing an installation: exactly what condafleet put there. What users made stays, and works on."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Any, Callable, Dict, List, Mapping

from ansible_collections.condafleet.core.plugins.module_utils import (
    files,
    installation_settings,
    installations,
    installer,
    receipt,
)
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.installation_place import swap
from ansible_collections.condafleet.core.plugins.module_utils.installer_run import remove
from ansible_collections.condafleet.core.plugins.module_utils.processes import users_of
from ansible_collections.condafleet.core.plugins.module_utils.progress import node_lock

Observe = Callable[[], Dict[str, Any]]


def carry_out(observe: Observe, declared: Mapping[str, Any]) -> List[str]:
    """Remove what condafleet installed at the prefix; the paths that were left since they are users'.

    Refuses, and changes nothing, while processes use what would go.
    """
    prefix = declared["prefix"]
    home = installations.folder(prefix)
    if not os.path.isdir(home):
        # Adopted as it was: only condafleet's settings go.
        return _leave_adopted(prefix, observe()["installation"])
    with node_lock(home, "removal of %s" % prefix, declared["timeout"], variable="miniconda_timeout"):
        installation = observe()["installation"]
        if not installer.plan_removal(installation, bool(declared["purge"])):
            return []
        ours = [version for version in installation["versions"] if _ours(version)]
        _check_unused([version["path"] for version in ours], bool(declared["purge"]), prefix)
        installation_settings.remove(installations.own_folder(prefix), installation)
        if declared["purge"]:
            _purge(prefix)
        left = _users_environments(prefix)
        _give_back(prefix, installation)
        for version in ours:
            remove(version["path"])
        _settle(prefix, [version["path"] for version in ours], left)
        _remove_notes(home)
    if not left or not os.path.islink(prefix):
        _remove_home(home)
    return left


def _ours(version: Mapping[str, Any]) -> bool:
    """All but what was made by hand: finished or not, and what a former removal left for users' environments."""
    return not _by_hand(version["name"])


def _by_hand(name: str) -> bool:
    return name.startswith(installations.ADOPTED + "-")


def _check_unused(paths: List[str], purge: bool, prefix: str) -> None:
    used = list(paths) + ([installations.envs_folder(prefix)] if purge else [])
    busy = sorted({pid for path in used for pid in users_of(path)} - {os.getpid(), os.getppid()})
    if busy:
        raise FleetError(
            f"miniconda_state: absent is not possible while processes use {prefix}: "
            f"{', '.join(str(pid) for pid in busy[:10])}. Next: wait until they end, or end them, and run again. "
            "Nothing was changed."
        )


def _purge(prefix: str) -> None:
    """Users' environments below the prefix; links (condafleet's are gone by now) are removed, not followed."""
    shared = installations.envs_folder(prefix)
    for name in os.listdir(shared) if os.path.isdir(shared) else []:
        path = os.path.join(shared, name)
        if os.path.islink(path) or not os.path.isdir(path):
            os.unlink(path)
        else:
            shutil.rmtree(path)


def _users_environments(prefix: str) -> List[str]:
    """What lies in the shared folder and is not conda's own note."""
    shared = installations.envs_folder(prefix)
    if not os.path.isdir(shared):
        return []
    return [os.path.join(prefix, installations.ENVS, name) for name in sorted(os.listdir(shared)) if name[0] != "."]


def _leave_adopted(prefix: str, installation: Mapping[str, Any]) -> List[str]:
    installation_settings.remove(prefix, installation)
    _forget(prefix)
    return [prefix] if os.path.isdir(prefix) else []


def _forget(path: str) -> None:
    """Take condafleet's receipt out of an installation that it did not make."""
    if not (receipt.read(path) or {}).get("sha256"):
        files.remove_quietly(os.path.join(path, receipt.RECEIPT))


def _give_back(prefix: str, installation: Mapping[str, Any]) -> None:
    """The oldest installation that was made by hand comes back to where it stood; else PREFIX itself goes."""
    by_hand = [version["path"] for version in installation["versions"] if _by_hand(version["name"])]
    if installation["place"] not in ("link", "broken"):
        return
    if not by_hand:
        os.unlink(prefix)
        return
    shared = installations.envs_folder(prefix)
    if os.path.islink(shared):
        os.unlink(shared)
    swap(prefix, by_hand[0])
    os.unlink(by_hand[0])
    installation_settings.remove(prefix, installation)
    _forget(prefix)


def _settle(prefix: str, removed: List[str], left: List[str]) -> None:
    """Users' environments have the path of the installation that they were made with: that path has to lead to them."""
    home = installations.folder(prefix)
    for name in installations.list_names(prefix):
        path = os.path.join(home, name)
        if os.path.islink(path):
            os.unlink(path)
    if not left or os.path.lexists(prefix):
        return
    for path in removed:
        os.mkdir(path, 0o755)
        os.symlink(os.path.join("..", installations.ENVS), os.path.join(path, installations.ENVS))
    os.symlink(os.path.join(os.path.basename(home), os.path.basename(removed[-1])), prefix)


def _remove_notes(home: str) -> None:
    """What condafleet and conda note for themselves in PREFIX.d. The lock goes last: who waits for it finds no work."""
    files.remove_quietly(os.path.join(home, installations.ENVS, ".conda_envs_dir_test"))
    for name in ("jobs", "progress"):
        shutil.rmtree(os.path.join(home, name), ignore_errors=True)
    files.remove_quietly(os.path.join(home, "lock"))


def _remove_home(home: str) -> None:
    """PREFIX.d itself; where anybody put anything there, that stays, and so does the folder."""
    shared = os.path.join(home, installations.ENVS)
    for name in os.listdir(shared) if os.path.isdir(shared) and not os.path.islink(shared) else []:
        files.remove_quietly(os.path.join(shared, name))
    with contextlib.suppress(OSError):
        os.rmdir(shared)
    with contextlib.suppress(OSError):
        os.rmdir(home)
