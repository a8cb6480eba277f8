# SPDX-License-Identifier: Apache-2.0
"""What stands in the shells' start-up files. Reads files only."""

from __future__ import annotations

import os
import stat
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import shell_register
from ansible_collections.condafleet.core.plugins.module_utils.acting import acting_as
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.shell_files import candidates
from ansible_collections.condafleet.core.plugins.module_utils.shell_markers import inspect
from ansible_collections.condafleet.core.plugins.module_utils.shell_places import real, real_link, unwritable
from ansible_collections.condafleet.core.plugins.module_utils.shell_users import current_user, find_user, group_members

PROGRAM_END = "/condabin/conda"


def observe_shells(
    prefix: str, users: Sequence[str], system_root: str = "/", group: Optional[str] = None
) -> Dict[str, Any]:
    """{files: [{path, kind, shells, scope, user, env, exists, problem, unwritable, block, prefix, blocks}],
    problems: […], skipped: [{user, why, noted}], noted: [users], group: {name, members}|null,
    user: who runs, superuser}.

    Looked at are the files of the system, of `users` (without any: of the user that runs), of the group's members and
    of those that condafleet noted down when it wrote there. What can't be looked at is told as a problem, of the user
    (no home), of the group or of the file: whether it matters depends on what is declared. `skipped` are those that
    nobody named: members of the group, and users that are noted.
    """
    me, superuser = current_user(), os.geteuid() == 0
    members: List[str] = []
    problems = []
    if group:
        try:
            members = group_members(group, system_root)
        except FleetError as error:
            problems.append(error.message)
    named = list(users) or [me]
    noted = shell_register.users(prefix, system_root) if superuser else []
    found, wrong = candidates(list(dict.fromkeys([*named, *members, *noted])), system_root)
    problems += [wrong[name] for name in (users if group else named) if name in wrong]
    # A group may hold accounts that have no home here, or that are gone: nobody can start a shell for those.
    members_there = [name for name in members if name not in wrong]
    return {
        "files": [look_at(candidate, prefix, system_root) for candidate in found],
        "problems": problems,
        "skipped": [
            {"user": name, "why": wrong[name], "noted": name in noted}
            for name in dict.fromkeys([*members, *noted])
            if name in wrong
        ],
        "noted": noted,
        "group": {"name": group, "members": members_there} if group else None,
        "user": me,
        "superuser": superuser,
    }


def look_at(candidate: Mapping[str, Any], prefix: str, system_root: str) -> Dict[str, Any]:
    """One file with what stands in it."""
    path = candidate["path"]
    if candidate["kind"] == "program":
        return {**candidate, **read_program(path, prefix, system_root)}
    user = find_user(candidate["user"], system_root) if candidate["user"] else None
    content, problem, locked = None, None, None
    try:
        with acting_as(user):
            locked = unwritable(path, system_root)
            content = read_startup_file(path, system_root)
    except FleetError as error:
        problem = error.message
    seen = {"exists": content is not None, "problem": problem, "unwritable": locked}
    return {**candidate, **seen, **inspect(content, prefix)}


def read_program(path: str, prefix: str, system_root: str = "/") -> Dict[str, Any]:
    """The link by which conda is found on PATH, told like a block. It is ours where we noted that we made it."""
    locked = unwritable(path, system_root, link=True)
    try:
        target = os.readlink(real_link(path, system_root))
    except FileNotFoundError:
        seen = {"exists": False, "problem": None, "unwritable": locked}
        return {**seen, "block": "absent", "prefix": None, "blocks": []}
    except OSError:
        problem = (
            f"{path}: is no link. Next: move it away, or leave noninteractive out of shell_init_starts. "
            "Nothing was changed."
        )
        seen = {"exists": True, "problem": problem, "unwritable": locked}
        return {**seen, "block": "other", "prefix": None, "blocks": []}
    owner = target[: -len(PROGRAM_END)] if target.endswith(PROGRAM_END) else None
    made = owner is not None and owner == shell_register.program(system_root)
    return {
        "exists": True,
        "problem": None,
        "unwritable": locked,
        "block": "present" if owner == prefix and made else "other",
        "prefix": owner,
        "blocks": [{"prefix": owner, "text": target, "ours": made, "leads": True}],
    }


def read_startup_file(path: str, system_root: str = "/") -> Optional[bytes]:
    """The content, or None where there is none. Links are followed; what is no regular file is not opened."""
    try:
        handle = os.open(real(path, system_root), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise FleetError(f"{path}: cannot be read: {error.strerror}. Next: run with the rights to read it.") from error
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise FleetError(f"{path}: is no regular file. Next: move it away. Nothing was changed.")
        return stream.read()
