# SPDX-License-Identifier: Apache-2.0
"""Which folders of modulefiles this node was told of, so that one that is declared no more can be emptied.

Noted on the node, also where the folder is shared: the line in the search path is each node's own. The default folder
needs no note.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, Dict, Mapping

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.shell_users import under

PATH = "/var/lib/condafleet/modulefiles.json"


def default_folder(root: str) -> str:
    return os.path.join(root, "modulefiles")


def noted_folders(root: str, system_root: str = "/") -> Dict[str, bool]:
    """{FOLDER: whether it was made for this}."""
    noted = _read(system_root).get(root)
    return {str(key): bool(value) for key, value in noted.items()} if isinstance(noted, dict) else {}


def note_folders(root: str, folders: Mapping[str, bool], system_root: str = "/") -> None:
    """Note these for a root. Where nothing is left to be noted, nothing is left behind."""
    path = under(system_root, PATH)
    stored = _read(system_root)
    if dict(folders) == noted_folders(root, system_root):
        return
    stored[root] = dict(folders)
    stored = {key: value for key, value in stored.items() if value}
    # A user who sets up a folder of their own may not write here.
    with contextlib.suppress(PermissionError):
        if stored:
            os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
            files.write_json(path, stored)
            return
        files.remove_quietly(path)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(path))


def _read(system_root: str) -> Dict[str, Any]:
    stored = files.read_json(under(system_root, PATH))
    return stored if isinstance(stored, dict) else {}
