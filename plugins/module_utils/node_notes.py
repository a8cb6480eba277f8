# SPDX-License-Identifier: Apache-2.0
"""What condafleet has to remember on a node itself: small files of JSON, gone where nothing is to be noted."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Dict, Mapping

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.shell_places import real
from ansible_collections.condafleet.core.plugins.module_utils.shell_users import under

FOLDER = "/var/lib/condafleet"


def read(name: str, system_root: str = "/") -> Dict[str, Any]:
    """What is noted in a file of FOLDER."""
    stored = files.read_json(_path(name, system_root))
    return stored if isinstance(stored, dict) else {}


def write(name: str, notes: Mapping[str, Any], system_root: str = "/") -> None:
    """Note this instead, without what is empty; where nothing is left to be noted, nothing is left behind."""
    kept = {key: value for key, value in notes.items() if value}
    if kept == read(name, system_root):
        return
    path = _path(name, system_root)
    if kept:
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        files.write_json(path, kept)
        return
    files.remove_quietly(path)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(path))


def _path(name: str, system_root: str) -> str:
    return real(under(system_root, os.path.join(FOLDER, name)), system_root)
