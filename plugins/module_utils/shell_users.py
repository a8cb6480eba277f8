# SPDX-License-Identifier: Apache-2.0
"""Accounts and groups of a node, or of an image that is worked on from outside."""

from __future__ import annotations

import grp
import os
import pwd
from typing import Iterator, List, NamedTuple, Optional, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.shell_places import real


class User(NamedTuple):
    """An account, as far as its start-up files go."""

    name: str
    uid: int
    gid: int
    home: str


def current_user() -> str:
    """The name of the account that runs this; its number where the system knows no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def find_user(name: str, system_root: str = "/") -> User:
    """The account, with its home folder below system_root. FleetError where one of them is missing."""
    found = _account(name, system_root)
    if found is None:
        raise FleetError(
            f"shell_init_users: {name} is not accepted. This node has no such user. "
            "Next: create the user first, or take the name out. Nothing was changed."
        )
    if not os.path.isdir(real(found.home, system_root)):
        raise FleetError(
            f"shell_init_users: {name} is not accepted. The home folder {found.home} does not exist on this node. "
            "Next: create it (or mount it) first, or take the name out. Nothing was changed."
        )
    return found


def group_members(name: str, system_root: str = "/") -> List[str]:
    """The users of a group, those whose first group it is included. FleetError where there is no such group.

    First groups are found among the accounts that the system lists; a directory service may list none, and then only
    answers for names.
    """
    group = _group(name, system_root)
    if group is None:
        raise FleetError(
            f"shell_init_group: {name} is not accepted. This node has no such group. "
            "Next: create the group first, or correct the name. Nothing was changed."
        )
    number, members = group
    first = [user.name for user in accounts(system_root) if user.gid == number]
    return sorted(dict.fromkeys([*members, *first]))


def under(system_root: str, path: str) -> str:
    """An absolute path of the system whose root is `system_root`."""
    return path if system_root == "/" else os.path.join(system_root, path.lstrip("/"))


def _account(name: str, system_root: str) -> Optional[User]:
    if system_root != "/":
        return next((user for user in accounts(system_root) if user.name == name), None)
    own_home = os.environ.get("HOME") if name == current_user() else None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        # A container may run under a number that has no name.
        return User(name, os.geteuid(), os.getegid(), own_home) if own_home else None
    # For the user that runs, ~ is what HOME says, as in every shell.
    return User(name, entry.pw_uid, entry.pw_gid, own_home or entry.pw_dir)


def accounts(system_root: str) -> Iterator[User]:
    """Every account that can be listed. Another system's stand in that system's files."""
    if system_root == "/":
        for entry in pwd.getpwall():
            yield User(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)
        return
    for parts in _lines(system_root, "etc/passwd", 7):
        yield User(parts[0], int(parts[2]), int(parts[3]), under(system_root, parts[5]))


def _group(name: str, system_root: str) -> Optional[Tuple[int, List[str]]]:
    if system_root == "/":
        try:
            entry = grp.getgrnam(name)
        except KeyError:
            return None
        return entry.gr_gid, list(entry.gr_mem)
    for parts in _lines(system_root, "etc/group", 4):
        if parts[0] == name:
            return int(parts[2]), [member for member in parts[3].split(",") if member]
    return None


def _lines(system_root: str, path: str, least: int) -> Iterator[List[str]]:
    for line in (files.read_text(real(under(system_root, path), system_root)) or "").splitlines():
        parts = line.split(":")
        if len(parts) >= least and parts[2].isdigit():
            yield parts
