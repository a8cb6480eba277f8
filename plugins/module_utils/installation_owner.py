# SPDX-License-Identifier: Apache-2.0
"""Whose an installation is, and its folder's mode."""

from __future__ import annotations

import grp
import os
import pwd
from typing import Any, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import installations
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError


def set_ownership(path: str, declared: Mapping[str, Any], whole: bool, new_envs: bool = False) -> None:
    """Owner and group of an installation (not of its environments, which may be users' own), and its folder's mode.

    The folder of environments gets them when it is new; later it is as the node's administrators made it.
    """
    places = [path] + ([installations.envs_folder(declared["prefix"])] if new_envs else [])
    if os.geteuid() == 0 and (declared.get("owner") or declared.get("group")):
        owner = account("miniconda_owner", declared.get("owner"), pwd.getpwnam, "pw_uid")
        group = account("miniconda_group", declared.get("group"), grp.getgrnam, "gr_gid")
        if whole:
            _chown_tree(path, owner, group)
        for place in places:
            os.chown(place, owner, group)
        for name in os.listdir(path):
            if name.startswith("."):
                os.lchown(os.path.join(path, name), owner, group)
    if declared.get("mode"):
        for place in places:
            os.chmod(place, int(declared["mode"], 8))


def _chown_tree(prefix: str, owner: int, group: int) -> None:
    for folder, folders, names in os.walk(prefix):
        if folder == prefix and installations.ENVS in folders:
            os.lchown(os.path.join(prefix, installations.ENVS), owner, group)
            folders.remove(installations.ENVS)
        for name in folders + names:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            if owner not in (-1, status.st_uid) or group not in (-1, status.st_gid):
                os.lchown(path, owner, group)


def account(variable: str, name: Optional[str], lookup: Any, field: str) -> int:
    """The number of an account; -1 where none is declared."""
    if not name:
        return -1
    try:
        return int(getattr(lookup(name), field))
    except KeyError:
        raise FleetError(
            f"{variable}: {name} is not accepted. This node has no such account. Next: create it, or choose another."
        ) from None


def check_accounts(declared: Mapping[str, Any]) -> None:
    """Say that an account is missing before anything is changed."""
    if os.geteuid() == 0:
        account("miniconda_owner", declared.get("owner"), pwd.getpwnam, "pw_uid")
        account("miniconda_group", declared.get("group"), grp.getgrnam, "gr_gid")
