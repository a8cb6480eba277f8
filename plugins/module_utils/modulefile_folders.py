# SPDX-License-Identifier: Apache-2.0
"""Which folders of modulefiles this node was told of, so that one that is declared no more can be emptied.

Noted on the node, also where the folder is shared: the line in the search path is each node's own. The default folder
needs no note.
"""

from __future__ import annotations

import contextlib
import os
from typing import Dict, Mapping

from ansible_collections.condafleet.core.plugins.module_utils import node_notes

NOTES = "modulefiles.json"


def default_folder(root: str) -> str:
    return os.path.join(root, "modulefiles")


def noted_folders(root: str, system_root: str = "/") -> Dict[str, bool]:
    """{FOLDER: whether it was made for this}."""
    noted = node_notes.read(NOTES, system_root).get(root)
    return {str(key): bool(value) for key, value in noted.items()} if isinstance(noted, dict) else {}


def note_folders(root: str, folders: Mapping[str, bool], system_root: str = "/") -> None:
    """Note these for a root."""
    # A user who sets up a folder of their own may not write here.
    with contextlib.suppress(PermissionError):
        node_notes.write(NOTES, {**node_notes.read(NOTES, system_root), root: dict(folders)}, system_root)
