# SPDX-License-Identifier: Apache-2.0
"""Writing the block into start-up files, or taking it out: owner, mode and links are kept."""

from __future__ import annotations

import os
import stat
from typing import Any, Dict, List, Mapping

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.acting import acting_as
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.observe_shells import read_startup_file
from ansible_collections.condafleet.core.plugins.module_utils.shell_block import drop, put, selected
from ansible_collections.condafleet.core.plugins.module_utils.shell_files import find_user


def carry_out(shells: Mapping[str, Any], declared: Mapping[str, Any], changes: List[Dict[str, Any]]) -> None:
    """Do what plan_shells said."""
    wanted = {change["what"] for change in changes}
    for entry in selected(shells, declared):
        if entry["path"] not in wanted:
            continue
        user = find_user(entry["user"], declared.get("system_root", "/")) if entry["user"] else None
        with acting_as(user):
            edit(entry["path"], declared["prefix"], declared.get("state", "present"))


def edit(path: str, prefix: str, state: str) -> None:
    """Put the block of `prefix` into one file, or take it out."""
    former = read_startup_file(path)
    if state == "present":
        write_startup_file(path, put(former, prefix))
    elif former is not None:
        rest = drop(former, prefix)
        if rest is None:
            os.unlink(path)
        else:
            write_startup_file(path, rest)


def write_startup_file(path: str, content: bytes) -> None:
    """Replace a file in one step; a new one is readable by all."""
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    try:
        status = os.stat(target)
    except FileNotFoundError:
        status = None
    try:
        if status is None:
            os.makedirs(folder, 0o755, exist_ok=True)
            files.write_atomic(target, content, 0o644)
        else:
            files.write_atomic(target, content, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
    except OSError as error:
        raise FleetError(
            f"{path}: cannot be written as {_who()}: {error.strerror}. The file is as it was. "
            "Next: run with the rights to write it (become: true), or give the file to its user."
        ) from error


def _who() -> str:
    return "user %d" % os.geteuid()
