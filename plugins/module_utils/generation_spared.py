# SPDX-License-Identifier: Apache-2.0
"""What the last collection left though it is surplus: `ROOT/spared.json`. These alone are no work to be done."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import files

FILE = "spared.json"
UNSEEN = "who uses it on other nodes can't be seen (environments_collect_shared)"


def spared_as_shared(root: str, kind: Optional[str]) -> str:
    return "%s is shared (%s): %s" % (root, kind, UNSEEN)


def is_spared(record: Mapping[str, Any], collect_shared: bool) -> bool:
    """Whether the last collection left it, for a reason that still holds: it may be asked for more now."""
    why = record.get("spared")
    return bool(why) and not (collect_shared and str(why).endswith(UNSEEN))


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
