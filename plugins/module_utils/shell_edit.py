# SPDX-License-Identifier: Apache-2.0
"""Writing the block into start-up files, or taking it out: owner, mode and links are kept."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Any, Iterator, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.acting import acting_as
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.observe_shells import read_startup_file
from ansible_collections.condafleet.core.plugins.module_utils.shell_block import changes_of, selected
from ansible_collections.condafleet.core.plugins.module_utils.shell_markers import drop, made_folders, put
from ansible_collections.condafleet.core.plugins.module_utils.shell_text import leads, wanted
from ansible_collections.condafleet.core.plugins.module_utils.shell_users import find_user


def carry_out(shells: Mapping[str, Any], declared: Mapping[str, Any]) -> None:
    """Do what plan_shells says."""
    chosen = {entry["path"] for entry in selected(shells, declared)}
    # What is taken out goes first: a file may be another one's to read afterwards.
    changes = sorted(changes_of(shells, declared), key=lambda pair: bool(pair[1]["after"]))
    for entry, change in changes:
        user = find_user(entry["user"], declared.get("system_root") or "/") if entry["user"] else None
        lines = wanted(entry, declared) if change["after"] else None
        with acting_as(user):
            if entry["kind"] == "program":
                link(entry["path"], lines[0] if lines else None)
            elif lines is not None:
                first = leads(entry, declared)
                write_block(entry["path"], declared["prefix"], lines, first, 0o700 if entry["user"] else 0o755)
            else:
                remove_block(entry["path"], declared["prefix"], ours_only=entry["path"] not in chosen)


def write_block(path: str, prefix: str, lines: Sequence[str], first: bool = False, folder_mode: int = 0o755) -> None:
    """Put the block of `prefix` into one file; folders that have to be made for it get `folder_mode`."""
    former = read_startup_file(path)
    content = put(former, prefix, lines, first, len(missing_folders(path)))
    with refused(path):
        make_folders(path, folder_mode)
    write_startup_file(path, content)


def remove_block(path: str, prefix: str, ours_only: bool = False) -> None:
    """Take the blocks of `prefix` out of one file; what was made for the block goes with it."""
    former = read_startup_file(path)
    if former is None:
        return
    rest, folders = drop(former, prefix, ours_only), made_folders(former, prefix)
    if rest or folders is None:
        write_startup_file(path, rest)
        return
    with refused(path):
        os.unlink(path)
    folder = os.path.dirname(path)
    for _ in range(folders):
        with contextlib.suppress(OSError):  # something else may be in it by now
            os.rmdir(folder)
        folder = os.path.dirname(folder)


def link(path: str, target: Optional[str]) -> None:
    """Make a link lead to `target` in one step; without one, remove it."""
    with refused(path):
        if target is None:
            os.unlink(path)
            return
        make_folders(path, 0o755)
        temporary = f"{path}.condafleet-{os.getpid()}"
        os.symlink(target, temporary)
        os.replace(temporary, path)


def write_startup_file(path: str, content: bytes) -> None:
    """Replace a file in one step; a new one is readable by all."""
    target = os.path.realpath(path)
    with refused(path):
        try:
            status = os.stat(target)
        except FileNotFoundError:
            files.write_atomic(target, content, 0o644)
        else:
            files.write_atomic(target, content, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def missing_folders(path: str) -> List[str]:
    """The folders that have to be made for this file, the nearest first."""
    missing = []
    folder = os.path.dirname(os.path.realpath(path))
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    return missing


def make_folders(path: str, mode: int) -> None:
    """Make the folders above a file. The mode is set by itself: a strict umask would hide a system's file."""
    for folder in reversed(missing_folders(path)):
        os.mkdir(folder)
        os.chmod(folder, mode)


@contextlib.contextmanager
def refused(path: str) -> Iterator[None]:
    """Turn the system's refusal into one clear message."""
    try:
        yield
    except OSError as error:
        raise FleetError(
            f"{path}: cannot be written as user {os.geteuid()}: {error.strerror}. The file is as it was. "
            "Next: run with the rights to write it (become: true), or give the file to its user."
        ) from error
