# SPDX-License-Identifier: Apache-2.0
"""What stands in the shells' start-up files. Reads files only."""

from __future__ import annotations

import os
import stat
from typing import Any, Dict, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils.acting import acting_as
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.shell_block import inspect
from ansible_collections.condafleet.core.plugins.module_utils.shell_files import candidates, current_user, find_user


def observe_shells(prefix: str, users: Sequence[str], system_root: str = "/") -> Dict[str, Any]:
    """{files: [{path, shell, scope, user, exists, problem, block, prefix, blocks}], problems: […], user: who runs}.

    Without `users`, the files of the user that runs are looked at. What can't be looked at is told as a problem, of
    the user (no home) or of the file: whether it matters depends on what is declared.
    """
    found, problems = candidates(list(users) or [current_user()], system_root)
    entries = []
    for candidate in found:
        user = find_user(candidate["user"], system_root) if candidate["user"] else None
        content, problem = None, None
        try:
            with acting_as(user):
                content = read_startup_file(candidate["path"])
        except FleetError as error:
            problem = error.message
        entries.append({**candidate, "exists": content is not None, "problem": problem, **inspect(content, prefix)})
    return {"files": entries, "problems": problems, "user": current_user()}


def read_startup_file(path: str) -> Optional[bytes]:
    """The content, or None where there is none. Links are followed; what is no regular file is not opened."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise FleetError(f"{path}: cannot be read: {error.strerror}. Next: run with the rights to read it.") from error
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise FleetError(f"{path}: is no regular file. Next: move it away. Nothing was changed.")
        return stream.read()
