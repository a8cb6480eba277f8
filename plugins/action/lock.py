# SPDX-License-Identifier: Apache-2.0
"""Reuse the declaration's locks, and make what is missing or stale. Documented in plugins/modules/lock.py."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.condafleet.core.plugins.module_utils import (
    lockdir,
    lockfile,
    locksolves,
    lockwords,
)
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.lock_conflicts import refuse_conflicts
from ansible_collections.condafleet.core.plugins.module_utils.lockwanted import Wanted, Wanting
from ansible_collections.condafleet.core.plugins.module_utils.spec_files import DEFAULT_PYTHON
from ansible_collections.condafleet.core.plugins.plugin_utils.locking import one_at_a_time
from ansible_collections.condafleet.core.plugins.plugin_utils.reading import folders_of, read_yaml
from ansible_collections.condafleet.core.plugins.plugin_utils.registered import mapping, of_host
from ansible_collections.condafleet.core.plugins.plugin_utils.secrets import hosts_of

# What of a declaration decides what its locks hold, beside its sources.
DECIDES = ("environments", "targets", "locks_dir", "channels", "tos", "indexes", "python")
Surveyed = list[tuple[Wanted, lockdir.Found]]


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
                "auth_variable": {"type": "str"},
                "indexes": {"type": "list", "elements": "str", "default": []},
                "python": {"type": "str"},
                "update": {"type": "raw", "default": False},
                "upgrade": {"type": "list", "elements": "str", "default": []},
                "only": {"type": "dict", "default": {}},
                "preview": {"type": "bool", "default": False},
                "timeout": {"type": "int", "default": 3600},
            }
        )[1]
        try:
            fleet = Fleet(
                folders=folders_of(task_vars or {}),
                run=str(self._task._uuid),  # the same for all hosts of a task
                host=str((task_vars or {}).get("inventory_hostname")),
                declared=lambda: declarations(task_vars or {}),
                auth=lambda: hosts_of(self._templar, task_vars or {}, args["auth_variable"]),
                say=Display().display,
            )
            outcome = locks_for(args, fleet, check=bool(self._task.check_mode))
        except FleetError as error:
            return {**result, "failed": True, "changed": False, "msg": error.message}
        return {**result, **outcome, "ansible_facts": {"__environments_locks": outcome["locks"]}}


@dataclass(frozen=True)
class Fleet:
    """What this host's run shares with those of the others: where specs are, which run it is, what they declare."""

    folders: list[str]
    run: str
    host: str
    declared: Callable[[], list[tuple[str, dict[str, Any]]]]
    auth: Callable[[], dict[str, dict[str, str]]]
    say: Callable[[str], None]


def declarations(task_vars: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(host, what it declares), of all hosts of the play whose role has checked it: one host for each that differs."""
    found: list[tuple[str, dict[str, Any]]] = []
    for name in task_vars.get("ansible_play_hosts_all") or []:
        checked = mapping(of_host(task_vars, name), "__environments_checked")
        declared = checked.get("declared") or {}
        locks = {key: declared[key] for key in DECIDES if key in declared}
        locks["sources"] = "depot" if checked.get("depot") else "upstream"
        if locks.get("environments") and not any(locks == one for _name, one in found):
            found.append((str(name), locks))
    return found


def compare(wants: list[Wanted], fleet: Fleet) -> None:
    """FleetError where another host of the play would have one of these locks made from something else."""
    others = [(host, wanted_by(declared, fleet.folders)) for host, declared in fleet.declared() if host != fleet.host]
    refuse_conflicts(fleet.host, wants, others)


def wanted_by(declared: Mapping[str, Any], folders: list[str]) -> list[Wanted]:
    common = Wanting(
        targets=declared.get("targets") or {},
        locks_dir=os.path.join(folders[0], declared.get("locks_dir") or "locks"),
        read_yaml=read_yaml,
        read_toml=tomllib.loads,
        channels=declared.get("channels") or ["conda-forge"],
        tos=declared.get("tos") or "decline",
        sources=declared["sources"],
        indexes=declared.get("indexes") or [],
        python=declared.get("python") or DEFAULT_PYTHON,
    )
    try:
        return lockdir.all_wanted(declared["environments"], common, folders)
    except FleetError:
        # That host's own task says so.
        return []


def locks_for(args: dict[str, Any], fleet: Fleet, *, check: bool) -> dict[str, Any]:
    """{locks, changed, diff}. Nothing is written in check mode; what has no current lock is `unlocked` then.

    With `preview` it is solved in check mode too, and what would change is said.
    """
    locks_dir = os.path.join(fleet.folders[0], args["locks_dir"])
    depot = args["depot"] if (args["depot"] or {}).get("url") else None
    update = names_or_bool(args["update"])
    names, targets = (listed(args["only"].get(key)) for key in ("environments", "targets"))
    check_names(args["environments"], names, targets, update, fleet)

    def survey() -> list[tuple[Wanted, lockdir.Found]]:
        return lockdir.survey(
            locksolves.only(args["environments"], names, targets),
            args["targets"],
            locks_dir,
            read_yaml=read_yaml,
            read_toml=tomllib.loads,
            channels=args["channels"],
            tos=args["tos"],
            sources="depot" if depot else "upstream",
            spec_folders=fleet.folders,
            indexes=args["indexes"],
            python=args["python"],
        )

    before = survey()
    solves = locksolves.to_make(before, update, args["upgrade"])
    if solves:
        compare([want for want, _found in before], fleet)
    if check and not args["preview"]:
        locksolves.check_upgrade(before, args["upgrade"], locks_dir)
        return outcome_of(before, before, solves, {})
    if not solves and not args["upgrade"]:
        return outcome_of(before, before, solves, {})
    with one_at_a_time(locks_dir, fleet.run, writes=not check, limit=args["timeout"], say=fleet.say) as done:
        # Another host's fork may have made them by now: what it solved in this run is not solved once more.
        now = survey()
        sought: list[str] = []
        if not done:
            sought = locksolves.check_upgrade(now, args["upgrade"], locks_dir)
        solves = locksolves.to_make(now, update, args["upgrade"])
        current = {want.conda_lock for want, found in now if check or found.state == "reused"}
        todo = [one for one in solves if one.want.conda_lock not in current & set(done)]
        if todo:
            request = locksolves.request(todo, depot, args["timeout"], write=not check, sought=sought)
            request.update(access=args.get("access") or {}, auth=fleet.auth())
            said = solve(request, todo, args["timeout"], fleet.say)
            done.update({one.want.conda_lock: lock for one, lock in zip(todo, said["locks"], strict=True)})
        answers = {one.want.conda_lock: as_lock(done[one.want.conda_lock]) for one in (solves if check else todo)}
    return outcome_of(before, before if check else survey(), solves, answers)


def check_names(
    declared: list[dict[str, Any]], names: list[str], targets: list[str], update: Any, fleet: Fleet
) -> None:
    """FleetError for a name that no host knows. The others are asked only where this one does not know it."""
    try:
        locksolves.check_asked(declared, names, targets, update)
    except FleetError:
        everywhere = [entry for _host, one in fleet.declared() for entry in one["environments"]]
        locksolves.check_asked([*declared, *everywhere], names, targets, update)


def as_lock(said: Mapping[str, Any]) -> lockfile.Lock:
    """A lock as the solver's answer has it."""
    packages = tuple(lockfile.Package.from_dict(one) for one in said["packages"])
    return lockfile.Lock(said["environment"], said["target"], packages, dict(said["variables"]))


def solve(request: dict[str, Any], solves: list[locksolves.Solve], timeout: int, say: Any) -> dict[str, Any]:
    """Have the locks solved by a child process; that needs the Python package condafleet."""
    names = ["%s for %s" % (one.want.environment, one.want.target) for one in solves]
    try:
        from condafleet.errors import LockError
        from condafleet.lock.child import run_child
    except ImportError as error:
        raise FleetError(
            "environments_locks_dir: %s has no current lock of %s, and none can be made here: the Python package "
            "condafleet is missing (%s). Accepted: locks made elsewhere, from Git. Next: `pip install condafleet` for "
            "the Python that runs Ansible, or copy the locks." % (locks_dir_of(solves[0].want), ", ".join(names), error)
        ) from error
    for name, one in zip(names, solves, strict=True):
        say("%s: %s" % (name, "; ".join(one.why)))
    say("solving %d of them, for %d s at most" % (len(solves), timeout))
    try:
        return run_child(request, timeout=timeout, progress=say)
    except LockError as error:
        raise FleetError(error.message) from error


def outcome_of(
    before: Surveyed, after: Surveyed, solves: list[locksolves.Solve], answers: Mapping[str, lockfile.Lock]
) -> dict[str, Any]:
    """{locks, changed, diff}; `answers` are the locks that were solved, by the path of their conda part."""
    why = {one.want.conda_lock: list(one.why) for one in solves}
    locks: dict[str, dict[str, Any]] = {}
    diff = []
    for (want, old), (_dummy, new) in zip(before, after, strict=True):
        solved = answers.get(want.conda_lock)
        # Solved again though its inputs are the same: made only if something else came of it.
        same = old.state == "reused" and (solved is None or lockfile.digest(solved) == lockfile.digest(old.lock))
        open_ = new.state != "reused" or (want.conda_lock in why and after is before and not (solved and same))
        state = "unlocked" if open_ else "reused" if same or not solved else "made"
        locks.setdefault(want.environment, {})[want.target] = {
            "digest": None if open_ else lockfile.digest(new.lock),
            "conda_lock": want.conda_lock,
            "pylock": want.pylock if not want.given or os.path.exists(want.pylock) else None,
            "state": state,
            "why": why.get(want.conda_lock, []),
            "changes": lockwords.in_words(old.lock, solved) if solved else None,
            "variables": None if open_ else dict(new.lock.variables),
        }
        if state != "reused":
            diff.append(
                {
                    "before_header": "%s (%s)" % (want.conda_lock, "; ".join(why.get(want.conda_lock, []))),
                    "after_header": want.conda_lock,
                    "before": listing(old.lock),
                    "after": listing(solved or new.lock) if solved or not open_ else "unknown until locked\n",
                }
            )
    return {"locks": locks, "changed": bool(diff), "diff": diff}


def listing(lock: lockfile.Lock | None) -> str:
    packages = lock.packages if lock else ()
    parts = ((package.manager, package.name, package.version, package.build) for package in packages)
    return "".join(" ".join(filter(None, one)) + "\n" for one in parts)


def names_or_bool(value: Any) -> Any:
    """`update` as a list of names, or as a boolean however it was written."""
    if isinstance(value, (list, tuple)):
        return listed(value)
    if isinstance(value, bool) or value is None:
        return bool(value)
    if str(value).lower() in ("true", "yes", "false", "no"):
        return str(value).lower() in ("true", "yes")
    return listed(value)


def listed(value: Any) -> list[str]:
    """A list of names, also where `-e` gives them as a text with commas between."""
    given = value.split(",") if isinstance(value, str) else value or []
    return [str(name).strip() for name in given if str(name).strip()]


def locks_dir_of(want: Wanted) -> str:
    return os.path.dirname(os.path.dirname(want.conda_lock))
