# Copyright condafleet maintainers
# SPDX-License-Identifier: Apache-2.0
"""One run at a time writes into a folder of locks, whoever's it is: the action's and a Python program's alike."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import socket
import time
from typing import Any, Callable, Dict, Iterator, List, Optional

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

NAME = ".condafleet.lock"
PAUSE = 0.5


def folder_held(
    locks_dir: str, run: str, limit: float, say: Callable[[str], None]
) -> contextlib.AbstractContextManager[None]:
    """Holds a file in the folder itself, which all users and controllers that share it see, as long as it is in use.

    Another run is waited for at most `limit` seconds; those that call themselves by the same `run` take turns for as
    long as that run lasts. FleetError says whom it waited for.
    """
    return file_held(locks_dir, os.path.join(locks_dir, NAME), run, limit, say)


@contextlib.contextmanager
def file_held(locks_dir: str, path: str, run: str, limit: float, say: Callable[[str], None]) -> Iterator[None]:
    made: List[str] = []
    try:
        descriptor = _acquired(locks_dir, path, run, limit, say, made)
    except OSError as error:
        raise FleetError(
            "environments_locks_dir: %s can't be written: %s. Accepted: a folder that the user who locks may write. "
            "Next: correct environments_locks_dir or its permissions. Nothing was written." % (path, error.strerror)
        ) from error
    try:
        yield
    finally:
        # While it is held: who waits sees that the file is another one by then.
        with contextlib.suppress(OSError):
            os.unlink(path)
            for folder in sorted(made, key=len, reverse=True):
                os.rmdir(folder)
        os.close(descriptor)


def _acquired(locks_dir: str, path: str, run: str, limit: float, say: Callable[[str], None], made: List[str]) -> int:
    """The file, held. `made` gets the folders that were made for its sake, also by who had it before."""
    waited_for: Optional[Dict[str, Any]] = None
    until = time.monotonic() + limit
    while True:
        descriptor = _taken(path, run, made)
        if descriptor is not None:
            return descriptor
        holder = read_note(path)
        inherited = [str(folder) for folder in holder.get("made") or []]
        made += [folder for folder in inherited if folder not in made and path.startswith(folder + os.sep)]
        # The forks of a run wait for each other, each in its turn, as long as the solves of the run take.
        if holder.get("run") == run:
            until = time.monotonic() + limit
        elif holder and waited_for is None:
            say("%s: waiting for %s, for %d s at most" % (locks_dir, _in_words(holder), limit))
            waited_for = holder
        if time.monotonic() >= until:
            raise FleetError(
                "environments_timeout: %s was not free within %d s: it is being locked by %s. Accepted: one run at a "
                "time. Next: wait until it has ended, or end it; or give a longer environments_timeout. Nothing was "
                "written." % (locks_dir, limit, _in_words(holder or waited_for or {}))
            )
        time.sleep(PAUSE)


def _taken(path: str, run: str, made: List[str]) -> Optional[int]:
    """The file, locked and with this run's name in it; None where another process has it."""
    made += [folder for folder in _missing(os.path.dirname(path)) if folder not in made]
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except FileNotFoundError:
        return None  # whoever had made the folder has just removed it again
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino != os.stat(path).st_ino:
            raise BlockingIOError
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, 0o666)  # left behind by a killed run, it must not lock out another user
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"run": run, "made": made, **_myself()}).encode(), 0)
        return descriptor
    except (BlockingIOError, FileNotFoundError):
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise


def _myself() -> Dict[str, Any]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"user": user, "host": socket.gethostname(), "pid": os.getpid(), "since": since}


def _in_words(holder: Dict[str, Any]) -> str:
    if not holder.get("pid"):
        return "another run"
    return "the run of {user} on {host} (process {pid}, since {since})".format(
        **{key: holder.get(key, "?") for key in ("user", "host", "pid", "since")}
    )


def _missing(folder: str) -> List[str]:
    """The folders that there are not yet, the innermost first."""
    found = []
    while folder and not os.path.exists(folder):
        found.append(folder)
        folder = os.path.dirname(folder)
    return found


def read_note(path: str) -> Dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as handle:
            found = json.load(handle)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
