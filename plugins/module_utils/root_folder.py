# SPDX-License-Identifier: Apache-2.0
"""ROOT itself: whether a folder may be it, and the mark by which it is known for condafleet's own."""

from __future__ import annotations

import os
from typing import Optional

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.generations import list_names, parse_name

# In ROOT: all that is removed below it at an uninstallation is condafleet's.
MARKER = ".condafleet-root.json"
# What may be written there before anything else.
FIRST = frozenset(["jobs", "progress", "lock", "modulefiles"])


def mark_root(root: str) -> bool:
    """Make ROOT and mark it as condafleet's, so that a removal knows what it may remove; True where that was new."""
    refusal = refuse_root(root)
    if refusal:
        raise FleetError(refusal)
    marker = os.path.join(root, MARKER)
    if os.path.exists(marker):
        return False
    try:
        os.makedirs(root, exist_ok=True)
    except OSError as error:
        raise FleetError(
            "environments_root: %s can't be made: %s. Next: choose a folder that can be written, or run with "
            "become: true." % (root, error.strerror)
        ) from error
    files.write_json(marker, {"schema_version": 1, "made_by": "condafleet"})
    return True


def is_root(root: str) -> bool:
    """Whether a folder is condafleet's: marked, or with generations in it, as before there was a marker."""
    if os.path.exists(os.path.join(root, MARKER)):
        return True
    return any(parse_name(name) for name in list_names(root))


def refuse_root(root: str) -> Optional[str]:
    """Why a folder can't be ROOT, in one message; None where it can. Reads names only."""
    if not os.path.isdir(root):
        return None
    owner = os.stat(root).st_uid
    if owner not in (0, os.geteuid()):
        # Some user's: that user could change what all others, and root, run from it.
        return (
            "environments_root: %s belongs to user %d, who could change what others run from it. Accepted: a folder "
            "of root or of the user that Ansible works as, or none yet. Next: choose another, or run as that user. "
            "Nothing was changed." % (root, owner)
        )
    # A marker that was just being written: by another run, or by one that was killed.
    others = sorted(name for name in set(os.listdir(root)) - FIRST if not name.startswith(files.TEMPORARY))
    if others and not is_root(root):
        return (
            "environments_root: %s is not accepted. It holds what condafleet did not put there (%s). Accepted: a "
            "folder of condafleet's own, or none yet. Next: choose another, such as %s/condafleet. Nothing was changed."
            % (root, ", ".join(others[:5]), root)
        )
    return None
