# SPDX-License-Identifier: Apache-2.0
"""The data set of the validation on a node: four verified files in ROOT/datasets/mnist/."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import download
from ansible_collections.condafleet.core.plugins.module_utils.progress import node_lock

# The part each file plays in the job, by its canonical name; each may come packed, with .gz at its end.
PARTS = {
    "train-images-idx3-ubyte": "train_images",
    "train-labels-idx1-ubyte": "train_labels",
    "t10k-images-idx3-ubyte": "test_images",
    "t10k-labels-idx1-ubyte": "test_labels",
}


def part_of(name: str) -> str:
    """The part that a file of this name plays, or an empty text for any other file."""
    return PARTS.get(name[:-3] if name.endswith(".gz") else name, "")


def ensure(files: Sequence[Mapping[str, Any]], folder: str, access: Optional[download.Access] = None) -> Dict[str, str]:
    """Have every file {name, url, sha256} in `folder`, verified, fetching what is missing or damaged.

    Returns {part: path}; FleetError says which file could not be had, and why.
    """
    os.makedirs(folder, mode=0o755, exist_ok=True)
    found = {}
    with node_lock(folder, "fetch the data set"):
        for entry in files:
            path = os.path.join(folder, entry["name"])
            download.fetch(entry["url"], path, sha256=entry["sha256"], access=access)
            found[part_of(entry["name"])] = path
    return found
