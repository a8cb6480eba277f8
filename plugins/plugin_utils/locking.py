# SPDX-License-Identifier: Apache-2.0
"""One run at a time makes locks in a folder, whoever's it is; and the forks of one run solve nothing twice."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.lock_folder import (
    file_held,
    folder_held,
    read_note,
)


@contextlib.contextmanager
def one_at_a_time(
    locks_dir: str, run: str, *, writes: bool, limit: float, say: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Gives what this run has solved, to add to: {path of the conda part: the solver's answer}.

    Who writes holds a file in the locks folder itself, which all users and controllers that share it see. Who only
    previews leaves no trace there. Another run is waited for at most `limit` seconds.
    """
    key = hashlib.sha256(os.path.realpath(locks_dir).encode()).hexdigest()[:16]
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "condafleet")
    try:
        os.makedirs(cache, exist_ok=True)
    except OSError as error:
        raise FleetError(
            "XDG_CACHE_HOME: %s can't be written (%s). Accepted: a folder for this user's caches. Next: set "
            "XDG_CACHE_HOME to one." % (cache, error.strerror)
        ) from error
    note = os.path.join(cache, "locking-" + key)
    turn = (run, limit, say)
    with folder_held(locks_dir, *turn) if writes else file_held(locks_dir, note + ".lock", *turn):
        noted = read_note(note)
        done = dict(noted["done"]) if noted.get("run") == run else {}
        yield done
        with open(note, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as handle:
            json.dump({"run": run, "done": done}, handle)
