# SPDX-License-Identifier: Apache-2.0
"""What stands at an installation's prefix, told by what is on disk. Reads files only; starts no conda."""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from typing import Any, Dict, List, Optional

from ansible_collections.condafleet.core.plugins.module_utils import (
    files,
    installation_settings,
    installations,
    receipt,
)
from ansible_collections.condafleet.core.plugins.module_utils.installation_files import damaged_files

# What installers leave from their first second on, and nothing else does.
MARKS = frozenset(["_conda", "_conda.exe", "conda.exe", ".installer.info", "preconda.tar.gz", "pkgs.tar.bz2"])


def observe_installation(prefix: str, with_files: bool = False) -> Dict[str, Any]:
    """`installation` as docs/architecture.md says. `with_files` compares every file with conda's records, which reads
    them all."""
    names = _names(prefix)
    records = _names(os.path.join(prefix, "conda-meta")) or []
    missing = _missing(prefix, records)
    info = files.read_json(os.path.join(prefix, ".installer.info"))
    place = installations.place_of(prefix)
    state = "unfinished" if place["place"] == "broken" else _state(prefix, names, records, missing)
    return {
        "prefix": prefix,
        "state": state,
        **place,
        "mounted": os.path.ismount(prefix),
        "versions": installations.observe_versions(prefix),
        "removing": installations.list_doomed(prefix),
        "missing": missing,
        "conda_version": _version_of("conda", records),
        "python_version": _version_of("python", records),
        "installer": (
            {key: info.get(key) for key in ("name", "version", "platform")} if isinstance(info, dict) else None
        ),
        "receipt": receipt.read(prefix),
        **installation_settings.observe(prefix),
        "damage": damaged_files(prefix) if with_files and state == "present" else None,
        **_ownership(prefix),
        "superuser": os.geteuid() == 0,
    }


def _state(prefix: str, names: Optional[List[str]], records: List[str], missing: List[str]) -> str:
    if names is None:
        # A file, or a link that leads nowhere, is somebody's too.
        return "foreign" if os.path.lexists(prefix) else "absent"
    if not names or names == [installations.ENVS]:
        # Users' environments may stay where an installation was removed.
        return "absent"
    if not missing:
        return "present"
    history = os.path.join(prefix, "conda-meta", "history")
    if os.path.exists(history) and os.path.getsize(history) and not _version_of("conda", records):
        # conda finished its work here, and it was not an installation: an environment. -u would overwrite it.
        return "foreign"
    if "conda-meta" in names or MARKS.intersection(names):
        return "unfinished"
    return "foreign"


def _missing(prefix: str, records: List[str]) -> List[str]:
    """What a whole installation has and this prefix lacks. A killed installer leaves an empty history, and no conda."""
    lacks = []
    history = os.path.join(prefix, "conda-meta", "history")
    if not os.path.isfile(history) or os.path.getsize(history) == 0:
        lacks.append("conda-meta/history")
    lacks += [
        program
        for program in ("bin/conda", "bin/python")
        if not (os.path.isfile(os.path.join(prefix, program)) and os.access(os.path.join(prefix, program), os.X_OK))
    ]
    if not _version_of("conda", records):
        lacks.append("conda-meta/conda-*.json")
    return lacks


def _version_of(package: str, records: List[str]) -> Optional[str]:
    """The version in the name of conda's record `NAME-VERSION-BUILD.json`."""
    for record in records:
        found = re.fullmatch(re.escape(package) + r"-([^-]+)-[^-]+\.json", record)
        if found:
            return found.group(1)
    return None


def _names(folder: str) -> Optional[List[str]]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _ownership(prefix: str) -> Dict[str, Optional[str]]:
    try:
        status = os.stat(prefix)
    except OSError:
        return {"owner": None, "group": None, "mode": None}
    return {
        "owner": user_name(status.st_uid),
        "group": group_name(status.st_gid),
        "mode": format(stat.S_IMODE(status.st_mode), "04o"),
    }


def user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
