# SPDX-License-Identifier: Apache-2.0
"""Copies of files that condafleet is about to replace and did not write."""

from __future__ import annotations

import itertools
import os
import re
import shutil
from typing import Optional

from ansible_collections.condafleet.core.plugins.module_utils.clock import now


def keep_copy(path: str) -> str:
    """A copy beside the file, under its time and with its owner and mode (it may hold a password); the copy's path."""
    stamp = re.sub(r"[-:]", "", now())
    names = ("%s.%s%s.bak" % (path, stamp, "-%d" % number if number else "") for number in itertools.count())
    # None is overwritten, however soon one follows another.
    copy = next(name for name in names if not os.path.lexists(name))
    shutil.copy2(path, copy)
    if os.geteuid() == 0:
        status = os.stat(path)
        os.chown(copy, status.st_uid, status.st_gid)
    return copy


def first_kept(former: Optional[str], copy: Optional[str]) -> Optional[str]:
    """Which copy comes back in the end: the first, of what stood there before condafleet.

    Later ones are of condafleet's own text, as somebody changed it.
    """
    return former if former and os.path.exists(former) else copy
