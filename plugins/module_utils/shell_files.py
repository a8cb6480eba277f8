# SPDX-License-Identifier: Apache-2.0
"""Which start-up files count for a shell, system-wide and for a user. Looks at what exists; changes nothing."""

from __future__ import annotations

import os
import pwd
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

SHELLS = ("bash", "zsh")


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
    found = _password_entry(name, system_root)
    if found is None:
        raise FleetError(
            f"shell_init_users: {name} is not accepted. This node has no such user. "
            "Next: create the user first, or take the name out. Nothing was changed."
        )
    if not os.path.isdir(found.home):
        raise FleetError(
            f"shell_init_users: {name} is not accepted. The home folder {found.home} does not exist on this node. "
            "Next: create it (or mount it) first, or take the name out. Nothing was changed."
        )
    return found


def _password_entry(name: str, system_root: str) -> Optional[User]:
    if system_root != "/":
        # Another system's accounts stand in that system's files.
        for line in (files.read_text(os.path.join(system_root, "etc/passwd")) or "").splitlines():
            parts = line.split(":")
            if len(parts) >= 7 and parts[0] == name:
                return User(name, int(parts[2]), int(parts[3]), under(system_root, parts[5]))
        return None
    own_home = os.environ.get("HOME") if name == current_user() else None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        # A container may run under a number that has no name.
        return User(name, os.geteuid(), os.getegid(), own_home) if own_home else None
    # For the user that runs, ~ is what HOME says, as in every shell.
    return User(name, entry.pw_uid, entry.pw_gid, own_home or entry.pw_dir)


def system_files(shell: str, system_root: str = "/") -> List[str]:
    """The files that this shell reads for every user: when logging in, and when started interactively otherwise."""
    if shell == "bash":
        # profile.d is read by every login shell; Debian and EL name the other one differently.
        debian, el = under(system_root, "/etc/bash.bashrc"), under(system_root, "/etc/bashrc")
        interactive = el if os.path.exists(el) and not os.path.exists(debian) else debian
        return [under(system_root, "/etc/profile.d/condafleet.sh"), interactive]
    folder = zsh_folder(system_root)
    return [os.path.join(folder, "zprofile"), os.path.join(folder, "zshrc")] if folder else []


def zsh_folder(system_root: str = "/") -> Optional[str]:
    """Where zsh was built to look for its system files; None where there is no zsh to read them."""
    if os.path.isdir(under(system_root, "/etc/zsh")):
        return under(system_root, "/etc/zsh")
    marks = ("/etc/zshrc", "/etc/zprofile", "/etc/zshenv", "/bin/zsh", "/usr/bin/zsh")
    return under(system_root, "/etc") if any(os.path.lexists(under(system_root, mark)) for mark in marks) else None


def user_files(shell: str, home: str) -> List[str]:
    """The files that this shell reads for one user."""
    if shell == "zsh":
        return [os.path.join(home, ".zshrc")]
    # bash reads the first of these that exists when logging in: making an earlier one would hide a later one.
    logins = [os.path.join(home, name) for name in (".bash_profile", ".bash_login", ".profile")]
    login = next((path for path in logins if os.path.lexists(path)), logins[-1])
    return [os.path.join(home, ".bashrc"), login]


def candidates(users: Sequence[str], system_root: str = "/") -> "tuple[List[Dict[str, Any]], List[str]]":
    """([{path, shell, scope, user}], [what is wrong with a user])."""
    found = [
        {"path": path, "shell": shell, "scope": "system", "user": None}
        for shell in SHELLS
        for path in system_files(shell, system_root)
    ]
    problems = []
    for name in users:
        try:
            user = find_user(name, system_root)
        except FleetError as error:
            problems.append(error.message)
            continue
        found += [
            {"path": path, "shell": shell, "scope": "users", "user": name}
            for shell in SHELLS
            for path in user_files(shell, user.home)
        ]
    return found, problems


def under(system_root: str, path: str) -> str:
    """An absolute path of the system whose root is `system_root`."""
    return path if system_root == "/" else os.path.join(system_root, path.lstrip("/"))
