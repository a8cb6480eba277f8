# SPDX-License-Identifier: Apache-2.0
"""Working with a user's own rights, where root looks after a user's files."""

from __future__ import annotations

import contextlib
import os
from typing import Iterator, List, Optional

from ansible_collections.condafleet.core.plugins.module_utils.shell_users import User


@contextlib.contextmanager
def acting_as(user: Optional[User]) -> Iterator[None]:
    """Work with a user's own rights, so that a link in a home leads root to nothing that the user could not write.

    OSError, which names the user, where the system does not let this process become that one.
    """
    if user is None or os.geteuid() != 0 or user.uid == 0:
        yield
        return
    groups = os.getgroups()
    try:
        os.setgroups(_groups_of(user))
        os.setegid(user.gid)
        os.seteuid(user.uid)
    except OSError as error:
        # In a container, say, that has no such number. What was refused is refused the other way round too.
        with contextlib.suppress(OSError):
            _return(groups)
        what = f"this process can't work as user {user.name} (uid {user.uid}, gid {user.gid}): {error.strerror}"
        raise OSError(error.errno, what, user.home) from error
    try:
        yield
    finally:
        _return(groups)


def _return(groups: List[int]) -> None:
    os.seteuid(0)
    os.setegid(0)
    os.setgroups(groups)


def _groups_of(user: User) -> List[int]:
    try:
        return os.getgrouplist(user.name, user.gid)
    except OSError:
        return [user.gid]
