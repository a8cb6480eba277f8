# SPDX-License-Identifier: Apache-2.0
"""The training scripts, as they lie in the collection on the controller (roles/validation/files)."""

from __future__ import annotations

import os
from typing import Dict, Optional

from ansible_collections.condafleet.core.plugins.module_utils import files

FOLDER = os.path.join("roles", "validation", "files")


def read_scripts(folder: Optional[str] = None) -> Dict[str, str]:
    """{file name: text}; read on the controller, sent to the nodes with the job."""
    place = folder or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", FOLDER)
    names = sorted(name for name in os.listdir(place) if name.endswith(".py"))
    return {name: files.read_text(os.path.join(place, name)) or "" for name in names}
