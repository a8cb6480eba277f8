# SPDX-License-Identifier: Apache-2.0
"""What the collection knows of itself, wherever it was installed from."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.condafleet.core.plugins.plugin_utils.reading import read_yaml

HOME = Path(__file__).resolve().parents[2]


def collection_version() -> str:
    """The collection's version: galaxy.yml in a clone and in a wheel, MANIFEST.json where Galaxy installed it."""
    if (HOME / "galaxy.yml").is_file():
        return str(read_yaml((HOME / "galaxy.yml").read_text(encoding="utf-8"))["version"])
    if (HOME / "MANIFEST.json").is_file():
        return str(json.loads((HOME / "MANIFEST.json").read_text(encoding="utf-8"))["collection_info"]["version"])
    return "unknown"
