# SPDX-License-Identifier: Apache-2.0
"""Writing the block into start-up files, or taking it out: owner, mode and links are kept."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Any, Dict, Iterator, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.acting import acting_as
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.observe_shells import read_startup_file
from ansible_collections.condafleet.core.plugins.module_utils.shell_block import changes_of, is_named, selected
from ansible_collections.condafleet.core.plugins.module_utils.shell_markers import drop, made_folders, put
from ansible_collections.condafleet.core.plugins.module_utils.shell_places import (
    cannot,
    missing_folders,
    real,
    real_link,
)
from ansible_collections.condafleet.core.plugins.module_utils.shell_text import leads, wanted
from ansible_collections.condafleet.core.plugins.module_utils.shell_users import find_user


def carry_out(shells: Mapping[str, Any], declared: Mapping[str, Any]) -> Dict[str, str]:
    """Do what plan_shells says. {user: why it could not be done} for users that nobody named; else an error."""
    failed: Dict[str, str] = {}
    root = declared.get("system_root") or "/"
    chosen = {entry["path"] for entry in selected(shells, declared)}
    # What is taken out goes first: a file may be another one's to read afterwards.
    changes = sorted(changes_of(shells, declared), key=lambda pair: bool(pair[1]["after"]))
    for entry, change in changes:
        lines = wanted(entry, declared) if change["after"] else None
        try:
            with acting_as(find_user(entry["user"], root) if entry["user"] else None):
                _edit(entry, declared, lines, entry["path"] in chosen)
        except (FleetError, OSError) as error:
            # A quota that is used up, say: one member must not stop the others.
            if is_named(entry["user"], declared, shells):
                raise
            failed.setdefault(entry["user"], str(error))
    return failed


def _edit(entry: Mapping[str, Any], declared: Mapping[str, Any], lines: Optional[Sequence[str]], chosen: bool) -> None:
    path, prefix, root = entry["path"], declared["prefix"], declared.get("system_root") or "/"
    if entry["kind"] == "program":
        link(path, lines[0] if lines else None, root)
    elif lines is not None:
        write_block(path, prefix, lines, leads(entry, declared), 0o700 if entry["user"] else 0o755, root)
    else:
        remove_block(path, prefix, not chosen, root)


def write_block(
    path: str,
    prefix: str,
    lines: Sequence[str],
    first: bool = False,
    folder_mode: int = 0o755,
    system_root: str = "/",
) -> None:
    """Put the block of `prefix` into one file; folders that have to be made for it get `folder_mode`."""
    former = read_startup_file(path, system_root)
    with refused(path):
        target = real(path, system_root)
        content = put(former, prefix, lines, first, len(missing_folders(target)))
        make_folders(target, folder_mode)
        write_startup_file(target, content)


def remove_block(path: str, prefix: str, ours_only: bool = False, system_root: str = "/") -> None:
    """Take the blocks of `prefix` out of one file; what was made for the block goes with it.

    A home may be shared: another node may do the same at the same time.
    """
    former = read_startup_file(path, system_root)
    if former is None:
        return
    rest, folders = drop(former, prefix, ours_only), made_folders(former, prefix)
    with refused(path):
        # What was made stands where a link of the user's leads: the link stays.
        target = real(path, system_root)
        if rest or folders is None:
            write_startup_file(target, rest)
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(target)
    folder = os.path.dirname(target)
    for _dummy in range(folders):
        with contextlib.suppress(OSError):  # something else may be in it by now
            os.rmdir(folder)
        folder = os.path.dirname(folder)


def link(path: str, target: Optional[str], system_root: str = "/") -> None:
    """Make a link lead to `target` in one step; without one, remove it."""
    with refused(path):
        place = real_link(path, system_root)
        if target is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(place)
            return
        make_folders(place, 0o755)
        temporary = f"{place}.condafleet-{os.getpid()}"
        os.symlink(target, temporary)
        os.replace(temporary, place)


def write_startup_file(target: str, content: bytes) -> None:
    """Replace the file at a real path in one step; a new one is readable by all."""
    try:
        status = os.stat(target)
    except FileNotFoundError:
        files.write_atomic(target, content, 0o644)
    else:
        mode = stat.S_IMODE(status.st_mode)
        files.write_atomic(target, content, mode, status.st_uid, status.st_gid, like=target)


def make_folders(target: str, mode: int) -> None:
    """Make the folders above a real path. The mode is set by itself: a strict umask would hide a system's file."""
    for folder in reversed(missing_folders(target)):
        with contextlib.suppress(FileExistsError):  # another node made it, and sets its mode
            os.mkdir(folder)
            os.chmod(folder, mode)


@contextlib.contextmanager
def refused(path: str) -> Iterator[None]:
    """Turn the system's refusal into one clear message."""
    try:
        yield
    except OSError as error:
        raise FleetError(cannot(path, error.strerror)) from error
