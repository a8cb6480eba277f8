# SPDX-License-Identifier: Apache-2.0
"""Reuse the declaration's locks, and make what is missing or stale. Documented in plugins/modules/lock.py."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tomllib
from collections.abc import Iterator
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.condafleet.core.plugins.module_utils import lockdir, lockfile
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.lock_needs import needs_of
from ansible_collections.condafleet.core.plugins.plugin_utils.reading import folders_of, read_yaml


class ActionModule(ActionBase):
    """Runs on the controller only; current locks need nothing but what Ansible itself needs."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = self.validate_argument_spec(
            {
                "environments": {"type": "list", "elements": "dict", "required": True},
                "targets": {"type": "dict", "required": True},
                "locks_dir": {"type": "str", "required": True},
                "channels": {"type": "list", "elements": "str", "default": ["conda-forge"]},
                "tos": {"type": "str", "choices": ["accept", "decline"], "default": "decline"},
                "depot": {"type": "dict"},
                "access": {"type": "dict", "default": {}},
                "update": {"type": "raw", "default": False},
                "timeout": {"type": "int", "default": 3600},
            }
        )[1]
        try:
            folders = folders_of(task_vars or {})
            # The same for all hosts of a task.
            run = str(self._task._uuid)
            outcome = locks_for(args, folders, run, check=bool(self._task.check_mode), say=Display().display)
        except FleetError as error:
            return {**result, "failed": True, "changed": False, "msg": error.message}
        return {**result, **outcome, "ansible_facts": {"__environments_locks": outcome["locks"]}}


def locks_for(args: dict[str, Any], folders: list[str], run: str, *, check: bool, say: Any) -> dict[str, Any]:
    """{locks, changed, diff}. Nothing is written in check mode; what has no current lock is `unlocked` then."""
    locks_dir = os.path.join(folders[0], args["locks_dir"])
    depot = args["depot"] if (args["depot"] or {}).get("url") else None
    update = names_or_bool(args["update"])

    def survey() -> list[tuple[lockdir.Wanted, lockdir.Found]]:
        return lockdir.survey(
            args["environments"],
            args["targets"],
            locks_dir,
            read_yaml=read_yaml,
            read_toml=tomllib.loads,
            channels=args["channels"],
            tos=args["tos"],
            sources="depot" if depot else "upstream",
            spec_folders=folders,
        )

    before = survey()
    wanting = lockdir.to_make(before, update)
    if not wanting or check:
        return outcome_of(before, before, unlocked=wanting, made=[])
    with one_at_a_time(locks_dir, run) as done:
        # Another host's fork may have made them by now; what it updated is current, and is not solved once more.
        now = survey()
        current = {want.conda_lock for want, found in now if found.state == "reused"}
        wanting = [want for want in lockdir.to_make(now, update) if want.conda_lock not in current & done]
        if wanting:
            request = {**lockdir.request(wanting, depot, args["timeout"]), "access": args.get("access") or {}}
            solve(request, wanting, args["timeout"], say)
            done.update(want.conda_lock for want in wanting)
    return outcome_of(before, survey(), unlocked=[], made=wanting)


def solve(request: dict[str, Any], wanting: list[lockdir.Wanted], timeout: int, say: Any) -> None:
    """Have the locks made by a child process; that needs the Python package condafleet."""
    try:
        from condafleet.errors import LockError
        from condafleet.lock.child import run_child
    except ImportError as error:
        names = ", ".join("%s for %s" % (want.environment, want.target) for want in wanting)
        raise FleetError(
            "environments_locks_dir: %s has no current lock of %s, and none can be made here: the Python package "
            "condafleet is missing (%s). Accepted: locks made elsewhere, from Git. Next: `pip install condafleet` for "
            "the Python that runs Ansible, or copy the locks." % (locks_dir_of(wanting[0]), names, error)
        ) from error
    try:
        run_child(request, timeout=timeout, progress=say)
    except LockError as error:
        raise FleetError(error.message) from error


def outcome_of(
    before: list[tuple[lockdir.Wanted, lockdir.Found]],
    after: list[tuple[lockdir.Wanted, lockdir.Found]],
    *,
    unlocked: list[lockdir.Wanted],
    made: list[lockdir.Wanted],
) -> dict[str, Any]:
    locks: dict[str, dict[str, Any]] = {}
    diff = []
    for (want, old), (_dummy, new) in zip(before, after, strict=True):
        open_ = want in unlocked or new.lock is None
        locks.setdefault(want.environment, {})[want.target] = {
            "digest": None if open_ else lockfile.digest(new.lock),
            "conda_lock": want.conda_lock,
            "pylock": want.pylock if not want.given or os.path.exists(want.pylock) else None,
            "state": "unlocked" if open_ else "made" if want in made else "reused",
            "packages": None if open_ else [short(package) for package in new.lock.packages],
            "variables": None if open_ else dict(new.lock.variables),
            "needs": None if open_ else needs_of(new.lock),
        }
        if open_ or want in made:
            diff.append(
                {
                    "before_header": want.conda_lock,
                    "after_header": want.conda_lock,
                    "before": listing(old),
                    "after": "unknown until locked\n" if open_ else listing(new),
                }
            )
    return {"locks": locks, "changed": bool(diff), "diff": diff}


def short(package: lockfile.Package) -> dict[str, str]:
    return {key: getattr(package, key) for key in ("manager", "name", "version", "build")}


def listing(found: lockdir.Found) -> str:
    packages = found.lock.packages if found.lock else ()
    return "".join(" ".join(filter(None, short(package).values())) + "\n" for package in packages)


def names_or_bool(value: Any) -> Any:
    """`update` as a list of names, or as a boolean however it was written."""
    if isinstance(value, (list, tuple)):
        return [str(name) for name in value]
    if isinstance(value, bool) or value is None:
        return bool(value)
    if str(value).lower() in ("true", "yes", "false", "no"):
        return str(value).lower() in ("true", "yes")
    return [str(value)]


def locks_dir_of(want: lockdir.Wanted) -> str:
    return os.path.dirname(os.path.dirname(want.conda_lock))


@contextlib.contextmanager
def one_at_a_time(locks_dir: str, run: str) -> Iterator[set[str]]:
    """Forks of one controller must not solve the same thing side by side. Gives what this run has made, to add to."""
    key = hashlib.sha256(os.path.realpath(locks_dir).encode()).hexdigest()[:16]
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "condafleet")
    try:
        os.makedirs(cache, exist_ok=True)
        descriptor = os.open(os.path.join(cache, "locking-" + key), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise FleetError(
            "XDG_CACHE_HOME: %s can't be written (%s). Accepted: a folder for this user's caches. Next: set "
            "XDG_CACHE_HOME to one." % (cache, error.strerror)
        ) from error
    with os.fdopen(descriptor, "r+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            noted = json.loads(handle.read() or "{}")
        except ValueError:
            noted = {}
        done = set(noted["done"]) if noted.get("run") == run else set()
        yield done
        handle.seek(0)
        handle.truncate()
        json.dump({"run": run, "done": sorted(done)}, handle)
