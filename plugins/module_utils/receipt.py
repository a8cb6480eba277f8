# SPDX-License-Identifier: Apache-2.0
"""The receipt of an installation, `.condafleet-installation.json` in it: who made it, and what was noted since."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.clock import now

RECEIPT = ".condafleet-installation.json"


def read(prefix: str) -> Optional[Dict[str, Any]]:
    found = files.read_json(os.path.join(prefix, RECEIPT))
    return found if isinstance(found, dict) else None


def note(prefix: str, **facts: Any) -> None:
    """Add to the receipt. One that is missing says from now on that condafleet adopted the installation."""
    known = read(prefix) or {"schema_version": 1, "adopted": now()}
    known.update(facts)
    files.write_json(os.path.join(prefix, RECEIPT), known)
