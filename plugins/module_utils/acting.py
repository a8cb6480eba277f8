# SPDX-License-Identifier: Apache-2.0
"""Working with a user's own rights, where root looks after a user's files."""

from __future__ import annotations

import contextlib
import os
from typing import Iterator, List, Optional

from ansible_collections.condafleet.core.plugins.module_utils.shell_users import User


@contextlib.contextmanager
def acting_as(user: Optional[User]) -> Iterator[None]:
    """Work with a user's own rights, so that a link in a home leads root to nothing that the user could not write."""
    if user is None or os.geteuid() != 0 or user.uid == 0:
        yield
        return
    groups = os.getgroups()
    try:
        os.setgroups(_groups_of(user))
        os.setegid(user.gid)
        os.seteuid(user.uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def _groups_of(user: User) -> List[int]:
    try:
        return os.getgrouplist(user.name, user.gid)
    except OSError:
        return [user.gid]
