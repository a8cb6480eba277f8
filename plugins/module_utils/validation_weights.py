# SPDX-License-Identifier: Apache-2.0
"""The weights of a training: kept beside its result, and given to whoever goes on with them."""

from __future__ import annotations

import hashlib
import os
from typing import Any, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.validation_plan import PASS

WEIGHTS = "weights.npz"
# Those of the reference network are below 2 MB in every format.
MOST_BYTES = 1 << 28


def trained(folder: str, generation: str, work: str) -> Optional[str]:
    """A copy, in `work`, of the weights that a training of this generation has left; None where none has passed."""
    source = os.path.join(folder, WEIGHTS)
    stored = files.read_json(os.path.join(folder, "result.json"))
    content = files.read_bytes(source)
    known = stored.get("weights") if isinstance(stored, dict) and stored.get("verdict") == PASS else None
    if content is None or not known or stored.get("generation") != generation:
        return None
    if hashlib.sha256(content).hexdigest() != known["sha256"]:
        raise FleetError(
            "%s is not what the training has stored: its sha256 differs. Next: set validation_rerun to true, so that "
            "it is trained again." % source
        )
    target = os.path.join(work, "trained.npz")
    files.write_atomic(target, content)
    return target


def keep(folder: str, work: str, outcome: Mapping[str, Any], log: str) -> Mapping[str, Any]:
    """Put a training's weights into `folder`: {weights, native_weights}, each {path, sha256, format}."""
    native = outcome["native_weights"]
    kept = {"weights": (WEIGHTS, "npz"), "native_weights": (os.path.basename(native["path"]), native["format"])}
    found = {}
    for key, (name, form) in kept.items():
        source, target = os.path.join(work, name), os.path.join(folder, name)
        # Copied, since the training may have run as another account: what lies here is the caller's own.
        content = files.read_regular(source, MOST_BYTES, follow=False)
        if content is None:
            raise FleetError("%s: the training left no such file. Next: read %s on the node." % (source, log))
        files.write_atomic(target, content)
        found[key] = {"path": target, "sha256": files.sha256_file(target), "format": form}
    return found
