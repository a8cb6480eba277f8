# SPDX-License-Identifier: Apache-2.0
"""Whether a folder lies on a file system that other nodes may share, by what the kernel says of its mount."""

from __future__ import annotations

import os
import re
from typing import Callable, Optional

from ansible_collections.condafleet.core.plugins.module_utils import files

Exists = Callable[[str], bool]
MOUNTS = "/proc/self/mountinfo"
# By the kernel's names. What runs in user space (`fuse`, `fuse.NAME`) counts, whatever its name: most of it is shared,
# and to spare what nobody else sees costs room at worst. `fuseblk` is a disk of this machine's.
SHARED = re.compile(
    r"fuse(\..+)?|nfs\d?|lustre(_\w+)?|gpfs\d?|beegfs(_\w+)?|fhgfs|ceph|cephfs|cifs|smb\d?|smbfs|afs|auristorfs|coda|9p|"
    r"virtiofs|vboxsf|glusterfs|gfs2?|ocfs2?|orangefs|pvfs2?|panfs|wekafs|daos|dfuse|moosefs|juicefs|quobyte|vast|"
    r"cvfs|snfs|acfs|ncpfs"
)


def is_shared(path: str, mounts: str = MOUNTS, exists: Exists = os.path.exists) -> bool:
    """True where other nodes may see the same files, so that their processes may use what lies there."""
    kind = kind_of(path, mounts, exists)
    return bool(kind and SHARED.fullmatch(kind))


def kind_of(path: str, mounts: str = MOUNTS, exists: Exists = os.path.exists) -> Optional[str]:
    """The type of the file system that holds a path, such as ext4 or nfs4; None where it can't be told.

    Of a path that does not exist the nearest folder above counts.
    """
    while not exists(path):
        path = os.path.dirname(path)
    real = os.path.realpath(path)
    best, kind = "", None
    for line in (files.read_text(mounts) or "").splitlines():
        before, _dummy, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), fields[4])
        inside = point == "/" or real == point or real.startswith(point + "/")
        # The last mount on a place is the one that is seen.
        if inside and len(point) >= len(best):
            best, kind = point, after.split(" ")[0]
    return kind
