# SPDX-License-Identifier: Apache-2.0
"""Putting an installation in place: PREFIX becomes a link to it, in one step for whoever looks."""

from __future__ import annotations

import contextlib
import os
from typing import Optional

from ansible_collections.condafleet.core.plugins.module_utils import files, installations
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.exchange import exchange


def share_envs(prefix: str, installation: str) -> None:
    """`envs` of a new installation leads to the folder that all installations of this prefix share."""
    own = os.path.join(installation, installations.ENVS)
    shared = installations.envs_folder(prefix)
    if not os.path.lexists(shared):
        os.makedirs(shared)
    if os.path.isdir(own) and not os.path.islink(own):
        # Some installers bring environments of their own; their paths stay as they were, through the link.
        for name in os.listdir(own):
            if os.path.lexists(os.path.join(shared, name)):
                raise FleetError(
                    f"{shared}/{name}: exists, and the installer brings an environment of that name. "
                    "Next: rename that environment, or choose another installer. Nothing was put in place."
                )
        for name in os.listdir(own):
            os.rename(os.path.join(own, name), os.path.join(shared, name))
        os.rmdir(own)
    if not os.path.lexists(own):
        os.symlink(os.path.join("..", installations.ENVS), own)


def has_environments(installation: str) -> bool:
    """Whether anything but conda's own hidden notes lies in an installation's `envs`."""
    return holds_environments(os.path.join(installation, installations.ENVS))


def holds_environments(folder: str) -> bool:
    return os.path.isdir(folder) and any(not name.startswith(".") for name in os.listdir(folder))


def put_in_place(prefix: str, name: str) -> Optional[str]:
    """Let PREFIX lead to the installation `name`. A folder that stood there is kept: its new path, else None.

    The link is relative, so that an image can be looked at from outside.
    """
    target = os.path.join(os.path.basename(installations.folder(prefix)), name)
    place = installations.place_of(prefix)["place"]
    if place == "folder" and not os.listdir(prefix):
        os.rmdir(prefix)
        place = "none"
    temporary = os.path.join(os.path.dirname(prefix), ".condafleet-" + os.path.basename(prefix))
    files.remove_quietly(temporary)
    if place != "folder":
        os.symlink(target, temporary)
        os.replace(temporary, prefix)
        return None
    # What an attempt that was cut short has left: links that lead nowhere yet.
    for left in installations.list_names(prefix):
        path = os.path.join(installations.folder(prefix), left)
        if installations.is_adopted(left) and os.path.islink(path):
            os.unlink(path)
    kept = os.path.join(
        installations.folder(prefix),
        installations.next_name(installations.list_names(prefix), installations.ADOPTED),
    )
    # Environments stay where they are, and are found through the shared folder from the first moment on.
    shared = installations.envs_folder(prefix)
    if os.path.islink(shared) and not os.path.isdir(shared):
        os.unlink(shared)
        os.mkdir(shared)
    if has_environments(prefix):
        if os.path.isdir(shared) and not os.path.islink(shared) and os.listdir(shared):
            raise FleetError(
                f"{shared}: holds environments already, and so does {prefix}/envs. Next: move those of one of them "
                "away. Nothing was put in place."
            )
        with contextlib.suppress(OSError):
            os.rmdir(shared)
        if not os.path.lexists(shared):
            os.symlink(os.path.join(os.path.basename(kept), installations.ENVS), shared)
    os.symlink(target, kept)
    swap(prefix, kept)
    return kept


def swap(one: str, other: str) -> None:
    """Exchange two names in one step; in two where the file system can't."""
    if exchange(one, other):
        return
    aside = other + ".swap"
    os.rename(other, aside)
    os.rename(one, other)
    os.rename(aside, one)
