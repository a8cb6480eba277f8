# SPDX-License-Identifier: Apache-2.0
"""Where a node's validation is kept: ROOT/validation, or a folder of its own below where nodes share the ROOT."""

from __future__ import annotations

import os

from ansible_collections.condafleet.core.plugins.module_utils.shared_files import is_shared

NODES = ".nodes"


def validation_folder(root: str) -> str:
    """Of a ROOT that nodes share each one has to prove itself: else what one did would count for all, and their records
    would replace each other."""
    home = os.path.join(root, "validation")
    return os.path.join(home, NODES, os.uname().nodename) if is_shared(root) else home


def speed_folder(root: str) -> str:
    """Where speed is measured. Whoever puts the node under load holds the lock there: beside what a run that was cut
    short has left running, a sound node would be slow."""
    return os.path.join(validation_folder(root), ".speed")


def node_file(root: str) -> str:
    """The record of the node's last validation."""
    return os.path.join(validation_folder(root), "node.json")
