# SPDX-License-Identifier: Apache-2.0
"""Which start-up files count for a shell, system-wide and for a user. Looks at what exists; changes nothing.

A file's `kind` says how it is reached, and so what has to stand in it (shell_text.py). `shells` are those that it is
for: none where it is only looked at, since a block may be left there.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.acting import acting_as
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.shell_places import there
from ansible_collections.condafleet.core.plugins.module_utils.shell_text import ENV_FILE, SHELLS, SYSTEM_ENV_FILE
from ansible_collections.condafleet.core.plugins.module_utils.shell_users import find_user, under

# Read after what module systems put there: those set BASH_ENV too.
PROFILE = "/etc/profile.d/zz-condafleet.sh"
PROGRAM = "/usr/local/bin/conda"

# (kind, path, shells)
File = Tuple[str, str, List[str]]


def system_files(system_root: str = "/") -> Iterator[File]:
    """The files that shells read for every user."""
    yield "profile", PROFILE, ["bash", "posix"]
    # Debian, Ubuntu and SUSE name it one way, EL the other.
    el = exists(system_root, "/etc/bashrc") and not exists(system_root, "/etc/bash.bashrc")
    yield "bash_rc", "/etc/bashrc" if el else "/etc/bash.bashrc", ["bash"]
    yield "env", SYSTEM_ENV_FILE, ["bash", "posix"]
    yield "environment", "/etc/environment", ["bash"]
    folder = zsh_folder(system_root)
    if folder:
        yield "zsh_env", folder + "/zshenv", ["zsh"]
        yield "zsh_login", folder + "/zprofile", ["zsh"]
        yield "zsh_rc", folder + "/zshrc", ["zsh"]
    if has(system_root, "/etc/fish", "/bin/fish", "/usr/bin/fish"):
        yield "fish", "/etc/fish/conf.d/condafleet.fish", ["fish"]
    if has(system_root, "/etc/csh.cshrc", "/bin/tcsh", "/usr/bin/tcsh", "/bin/csh", "/usr/bin/csh"):
        yield "csh", "/etc/csh.cshrc", ["tcsh"]
    yield "program", PROGRAM, list(SHELLS)


def zsh_folder(system_root: str = "/") -> Optional[str]:
    """Where zsh was built to look for its system files; None where there is no zsh to read them."""
    if exists(system_root, "/etc/zsh"):
        return "/etc/zsh"
    return (
        "/etc" if has(system_root, "/etc/zshrc", "/etc/zprofile", "/etc/zshenv", "/bin/zsh", "/usr/bin/zsh") else None
    )


def user_files(home: str, system_root: str = "/") -> Iterator[File]:
    """The files that shells read for one user."""
    yield "bash_rc", home + "/.bashrc", ["bash"]
    # bash reads the first of these that exists when logging in: making an earlier one would hide a later one.
    names = (".bash_profile", ".bash_login", ".profile")
    read = next((name for name in names if there(home + "/" + name, system_root)), names[-1])
    for name in names:
        readers = ["bash"] if name == read else []
        yield "login", home + "/" + name, readers + (["posix"] if name == ".profile" else [])
    yield "env", home + "/" + ENV_FILE, ["bash", "posix"]
    yield "zsh_env", home + "/.zshenv", ["zsh"]
    yield "zsh_login", home + "/.zprofile", ["zsh"]
    yield "zsh_rc", home + "/.zshrc", ["zsh"]
    yield "fish", home + "/.config/fish/config.fish", ["fish"]
    # tcsh reads ~/.cshrc only where there is no ~/.tcshrc.
    cshrc = there(home + "/.cshrc", system_root) and not there(home + "/.tcshrc", system_root)
    yield "csh", home + "/.tcshrc", [] if cshrc else ["tcsh"]
    yield "csh", home + "/.cshrc", ["tcsh"] if cshrc else []


def candidates(users: Sequence[str], system_root: str = "/") -> Tuple[List[Dict[str, Any]], Dict[str, str]]:
    """([{path, kind, shells, scope, user, env}], {user: what is wrong with that account})."""
    found = [
        {
            "path": under(system_root, path),
            "kind": kind,
            "shells": shells,
            "scope": "system",
            "user": None,
            "env": SYSTEM_ENV_FILE,
        }
        for kind, path, shells in system_files(system_root)
    ]
    problems = {}
    for name in users:
        try:
            user = find_user(name, system_root)
            # Which login file is read depends on what is there, and root may not see that in a home on NFS.
            with acting_as(user):
                listed = list(user_files(user.home, system_root))
        except FleetError as error:
            problems[name] = error.message
            continue
        except OSError as error:
            problems[name] = (
                f"shell_init_users: {name} is not accepted. {error.filename}: {error.strerror}. "
                "Next: let this system know the user's number, or take the name out. Nothing was changed."
            )
            continue
        found += [
            {
                "path": path,
                "kind": kind,
                "shells": shells,
                "scope": "users",
                "user": name,
                "env": "$HOME/" + ENV_FILE,
            }
            for kind, path, shells in listed
        ]
    return found, problems


def exists(system_root: str, path: str) -> bool:
    return there(under(system_root, path), system_root)


def has(system_root: str, *marks: str) -> bool:
    return any(exists(system_root, mark) for mark in marks)
