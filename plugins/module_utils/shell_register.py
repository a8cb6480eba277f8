# SPDX-License-Identifier: Apache-2.0
"""Which users' files condafleet wrote blocks into: where they are looked for when nobody names those users any more."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Dict, List, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.shell_places import real
from ansible_collections.condafleet.core.plugins.module_utils.shell_users import under

PATH = "/var/lib/condafleet/shell_init.json"


def users(prefix: str, system_root: str = "/") -> List[str]:
    """The users that are noted for an installation."""
    return [str(name) for name in _read(system_root).get(prefix) or []]


def note(prefix: str, names: Sequence[str], system_root: str = "/") -> None:
    """Note these users for an installation. Where nothing is left to be noted, nothing is left behind."""
    path = real(under(system_root, PATH), system_root)
    noted = _read(system_root)
    if list(names) == list(noted.get(prefix) or []):
        return
    noted[prefix] = list(names)
    noted = {key: value for key, value in noted.items() if value}
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
