# SPDX-License-Identifier: Apache-2.0
"""Which users' files condafleet wrote blocks into, to look there when nobody names those users any more; and for
which installation it made the link that is a program.
"""

from __future__ import annotations

import os
from typing import List, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import node_notes

NOTES = "shell_init.json"
# As users are told.
PATH = os.path.join(node_notes.FOLDER, NOTES)
# Beside the installations, whose names begin with a slash.
PROGRAM = "program"


def users(prefix: str, system_root: str = "/") -> List[str]:
    """The users that are noted for an installation."""
    return [str(name) for name in node_notes.read(NOTES, system_root).get(prefix) or []]


def program(system_root: str = "/") -> Optional[str]:
    """The installation that we made the link for: one with the same target may be an administrator's own."""
    noted = node_notes.read(NOTES, system_root).get(PROGRAM)
    return noted if isinstance(noted, str) else None


def note(prefix: str, names: Sequence[str], linked: bool = False, system_root: str = "/") -> None:
    """Note these users for an installation, and whether the link is ours and leads to it."""
    noted = {**node_notes.read(NOTES, system_root), prefix: list(names)}
    if linked:
        noted[PROGRAM] = prefix
    elif noted.get(PROGRAM) == prefix:
        del noted[PROGRAM]
    node_notes.write(NOTES, noted, system_root)
