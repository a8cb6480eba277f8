# SPDX-License-Identifier: Apache-2.0
"""Which users' files condafleet wrote blocks into, to look there when nobody names those users any more; and for
which installation it made the link that is a program.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.shell_places import real
from ansible_collections.condafleet.core.plugins.module_utils.shell_users import under

PATH = "/var/lib/condafleet/shell_init.json"
# Beside the installations, whose names begin with a slash.
PROGRAM = "program"


def users(prefix: str, system_root: str = "/") -> List[str]:
    """The users that are noted for an installation."""
    return [str(name) for name in _read(system_root).get(prefix) or []]


def program(system_root: str = "/") -> Optional[str]:
    """The installation that we made the link for: one with the same target may be an administrator's own."""
    noted = _read(system_root).get(PROGRAM)
    return noted if isinstance(noted, str) else None


def note(prefix: str, names: Sequence[str], linked: bool = False, system_root: str = "/") -> None:
    """Note these users for an installation, and whether the link is ours and leads to it.

    Where nothing is left to be noted, nothing is left behind.
    """
    path = real(under(system_root, PATH), system_root)
    former = _read(system_root)
    noted = {**former, prefix: list(names)}
    if linked:
        noted[PROGRAM] = prefix
    elif noted.get(PROGRAM) == prefix:
        del noted[PROGRAM]
    noted = {key: value for key, value in noted.items() if value}
    if noted == former:
        return
    if noted:
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        files.write_json(path, noted)
        return
    files.remove_quietly(path)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(path))


def _read(system_root: str) -> Dict[str, Any]:
    stored = files.read_json(real(under(system_root, PATH), system_root))
    return stored if isinstance(stored, dict) else {}
