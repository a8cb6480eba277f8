# SPDX-License-Identifier: Apache-2.0
"""Removing an installation: exactly what condafleet put there. What users made stays, and works on.

The order leaves, at every moment, what the next run can finish: first what is removed gets a name under which nobody
takes it for whole, then what users need is put in its place, and only then trees are deleted.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping

from ansible_collections.condafleet.core.plugins.module_utils import (
    files,
    installation_settings,
    installations,
    installer,
    receipt,
)
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.installation_place import (
    has_environments,
    holds_environments,
    swap,
)
from ansible_collections.condafleet.core.plugins.module_utils.processes import listed, others_in
from ansible_collections.condafleet.core.plugins.module_utils.progress import node_lock

Observe = Callable[[], Dict[str, Any]]


@dataclass
class Outcome:
    """What came of a removal."""

    changes: List[installer.Change]
    left: List[str] = field(default_factory=list)
    """What stays since it is not condafleet's: users' environments, an installation made by hand."""


def carry_out(observe: Observe, declared: Mapping[str, Any]) -> Outcome:
    """Remove what condafleet installed at the prefix. Refuses, and changes nothing, while processes use it."""
    prefix = declared["prefix"]
    home = installations.folder(prefix)
    if not os.path.isdir(home):
        return _remove(prefix, observe(), declared)
    with node_lock(home, "removal of %s" % prefix, declared["timeout"], variable="miniconda_timeout"):
        outcome = _remove(prefix, observe(), declared)
        if outcome.changes:
            _remove_notes(home)
    with contextlib.suppress(OSError):
        os.rmdir(home)
    return outcome


def check_unused(prefix: str, installation: Mapping[str, Any], purge: bool) -> None:
    """FleetError while processes use what would go."""
    places = [version["path"] for version in _ours(installation)]
    if purge and _may_purge(prefix):
        places.append(installations.envs_folder(prefix))
    busy = others_in(places)
    if busy:
        raise FleetError(
            f"miniconda_state: absent is not possible while processes use {prefix}: "
            f"{listed(busy)}. Next: wait until they end, or end them, and run again. "
            "Nothing was changed."
        )


def _remove(prefix: str, observed: Mapping[str, Any], declared: Mapping[str, Any]) -> Outcome:
    installation, purge = observed["installation"], bool(declared["purge"])
    outcome = Outcome(installer.plan_removal(installation, purge))
    if not outcome.changes:
        return outcome
    check_unused(prefix, installation, purge)
    installation_settings.remove(installations.own_folder(prefix), installation)
    if purge and _may_purge(prefix):
        _purge(prefix)
    ours = [version["path"] for version in _ours(installation)]
    for path in ours:
        installations.set_aside(path)
    _remove_links(prefix)
    if installation["place"] in ("link", "broken"):
        _give_back(prefix, installation)
    elif installation["place"] == "folder":
        _forget(prefix)
    outcome.left = _users_environments(prefix)
    _keep_the_way(prefix, ours, outcome.left)
    if os.path.isdir(prefix) and not os.path.islink(prefix):
        outcome.left.insert(0, prefix)
    for name in installations.list_doomed(prefix):
        shutil.rmtree(os.path.join(installations.folder(prefix), name))
    return outcome


def _ours(installation: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    """All but what was made by hand: finished or not, and what a former removal left for users' environments."""
    return [version for version in installation["versions"] if not installations.is_adopted(version["name"])]


def _may_purge(prefix: str) -> bool:
    """Environments of an installation that was made by hand are not condafleet's to remove."""
    shared = installations.envs_folder(prefix)
    return os.path.isdir(shared) and not os.path.islink(shared)


def _purge(prefix: str) -> None:
    """Users' environments below the prefix; links (condafleet's are gone by now) are removed, not followed."""
    shared = installations.envs_folder(prefix)
    for name in os.listdir(shared):
        path = os.path.join(shared, name)
        if os.path.islink(path) or not os.path.isdir(path):
            os.unlink(path)
        else:
            shutil.rmtree(path)


def _users_environments(prefix: str) -> List[str]:
    """What lies in the folder of environments, wherever that is now, and is not conda's own note."""
    for folder in (installations.envs_folder(prefix), os.path.join(prefix, installations.ENVS)):
        if os.path.isdir(folder):
            names = [name for name in sorted(os.listdir(folder)) if not name.startswith(".")]
            return [os.path.join(prefix, installations.ENVS, name) for name in names]
    return []


def _remove_links(prefix: str) -> None:
    """The links in the place of former installations."""
    for name in installations.list_names(prefix):
        path = os.path.join(installations.folder(prefix), name)
        if os.path.islink(path):
            os.unlink(path)


def _give_back(prefix: str, installation: Mapping[str, Any]) -> None:
    """The oldest installation that was made by hand comes back to where it stood; else PREFIX itself goes."""
    by_hand = [version["path"] for version in installation["versions"] if installations.is_adopted(version["name"])]
    if not by_hand:
        os.unlink(prefix)
        return
    shared = installations.envs_folder(prefix)
    own = os.path.join(by_hand[0], installations.ENVS)
    if os.path.islink(shared):
        os.unlink(shared)
    elif holds_environments(shared) and not has_environments(by_hand[0]):
        # Made since: from now on they are those of the installation that comes back.
        if os.path.isdir(own):
            shutil.rmtree(own)
        os.rename(shared, own)
    swap(prefix, by_hand[0])
    os.unlink(by_hand[0])
    installation_settings.remove(prefix, installation)
    _forget(prefix)


def _forget(prefix: str) -> None:
    """Take condafleet's receipt out of an installation that stays."""
    files.remove_quietly(os.path.join(prefix, receipt.RECEIPT))


def _keep_the_way(prefix: str, removed: List[str], left: List[str]) -> None:
    """Users' environments have the path of the installation that they were made with: that path has to lead to them."""
    home = installations.folder(prefix)
    shared = installations.envs_folder(prefix)
    needed = [path for path in removed if any(_made_with(environment, path) for environment in left)]
    if not os.path.lexists(prefix):
        # Nothing else leads to them from PREFIX.
        needed = removed if left else []
    for path in needed:
        os.mkdir(path)
        os.chmod(path, 0o755)  # noqa: S103 - users pass through it
        os.symlink(os.path.join("..", installations.ENVS), os.path.join(path, installations.ENVS))
    if needed and not os.path.lexists(shared):
        os.symlink(os.path.join("..", os.path.basename(prefix), installations.ENVS), shared)
    if needed and not os.path.lexists(prefix):
        os.symlink(os.path.join(os.path.basename(home), os.path.basename(needed[-1])), prefix)


def _made_with(environment: str, installation: str) -> bool:
    """Whether an environment's own history names this installation's path: conda notes the command that made it."""
    history = files.read_bytes(os.path.join(environment, "conda-meta", "history")) or b""
    return (installation + "/").encode("utf-8") in history


def _remove_notes(home: str) -> None:
    """What condafleet and conda note for themselves in PREFIX.d. The lock goes last."""
    shared = os.path.join(home, installations.ENVS)
    if os.path.isdir(shared) and not os.path.islink(shared):
        files.remove_quietly(os.path.join(shared, ".conda_envs_dir_test"))
        with contextlib.suppress(OSError):
            os.rmdir(shared)
    for name in ("jobs", "progress"):
        shutil.rmtree(os.path.join(home, name), ignore_errors=True)
    files.remove_quietly(os.path.join(home, "lock"))
