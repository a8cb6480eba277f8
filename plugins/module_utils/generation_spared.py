# SPDX-License-Identifier: Apache-2.0
"""What the last collection left though it is surplus: `ROOT/spared.json`. These alone are no work to be done."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping

from ansible_collections.condafleet.core.plugins.module_utils import files

FILE = "spared.json"


def read_spared(root: str) -> Dict[str, Dict[str, Any]]:
    """{generation: {why, checked}}."""
    stored = files.read_json(os.path.join(root, FILE))
    if not isinstance(stored, dict):
        return {}
    return {str(name): dict(one) for name, one in stored.items() if isinstance(one, dict)}


def write_spared(root: str, spared: Mapping[str, Mapping[str, Any]]) -> None:
    """Instead of what was noted; no file where nothing was spared."""
    path = os.path.join(root, FILE)
    if spared:
        files.write_json(path, dict(spared))
    else:
        files.remove_quietly(path)
