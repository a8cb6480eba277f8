# Copyright condafleet maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which locks are to be solved, why, and how much of what they hold is to stay."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from ansible_collections.condafleet.core.plugins.module_utils import lockinputs
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.lockdir import Found
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package
from ansible_collections.condafleet.core.plugins.module_utils.lockwanted import Wanted
from ansible_collections.condafleet.core.plugins.module_utils.projects import is_named

Update = Union[bool, Sequence[str]]
Surveyed = Sequence[Tuple[Wanted, Found]]


@dataclass(frozen=True)
class Solve:
    """One lock to solve. With `hold` the former lock's versions are preferred, but for the packages to `upgrade`."""

    want: Wanted
    why: Tuple[str, ...]
    hold: bool = False
    upgrade: Tuple[str, ...] = ()


def check_asked(
    declared: Sequence[Mapping[str, Any]], environments: Sequence[str], targets: Sequence[str], update: Update
) -> None:
    """FleetError for a name that nothing declared has. `declared` are the entries of all nodes that take part."""
    names = sorted({str(entry.get("name")) for entry in declared})
    for what, asked in (("environments", environments), ("update", [] if isinstance(update, bool) else update)):
        for name in asked:
            if name not in names:
                raise FleetError(_unknown(what, name, "environment", names))
            if environments and name not in environments:
                raise FleetError(_unknown(what, name, "environment that is to be locked", sorted(environments)))
    entries = [entry for entry in declared if not environments or entry["name"] in environments]
    known = sorted({str(target) for entry in entries for target in entry.get("targets") or []})
    for target in targets:
        if target not in known:
            whose = " and ".join(environments) if environments else "any environment"
            raise FleetError(_unknown("targets", target, "target of " + whose, known))


def only(
    declared: Sequence[Mapping[str, Any]], environments: Sequence[str], targets: Sequence[str]
) -> List[Mapping[str, Any]]:
    """The entries named, for the targets named; all where none are. What is left with no target is left out."""
    if not environments and not targets:
        return list(declared)
    kept = [
        {**entry, "targets": [one for one in entry["targets"] if not targets or one in targets]}
        for entry in declared
        if not environments or entry["name"] in environments
    ]
    return [entry for entry in kept if entry["targets"]]


def to_make(surveyed: Surveyed, update: Update, upgrade: Sequence[str] = ()) -> List[Solve]:
    """The locks to solve: missing and stale ones, those to update, and those that hold a package to upgrade."""
    solves = [_solve(want, found, update, upgrade) for want, found in surveyed if not want.given]
    return [solve for solve in solves if solve]


def check_upgrade(surveyed: Surveyed, upgrade: Sequence[str], locks_dir: str) -> List[str]:
    """FleetError for a package that no lock in `locks_dir` holds. Where locks are still to be made, one of them may
    come to hold it: such names are returned, for a second look once these are solved (check_held)."""
    held = [found.lock.packages for _dummy, found in surveyed if found.lock is not None]
    open_ = [name for name in upgrade if not _held(held, name) and not folder_holds(locks_dir, name)]
    if not any(found.state == "missing" for _dummy, found in surveyed):
        check_held(open_, [])
    return open_


def check_held(names: Sequence[str], solved: Sequence[Sequence[Package]]) -> None:
    """FleetError for a package that none of the locks just solved holds either."""
    for name in names:
        if not _held(solved, name):
            raise FleetError(_unknown("upgrade", name, "package of any lock", ["the name of a package that is locked"]))


def request(
    solves: Sequence[Solve],
    depot: Optional[Mapping[str, Any]],
    timeout: float,
    *,
    write: bool = True,
    sought: Sequence[str] = (),
) -> Dict[str, Any]:
    """What `python -m condafleet.lock` is asked on its standard input. Without `write` it only answers. One of the
    locks must come to hold each package that is `sought`."""
    return {
        "schema_version": 1,
        "solves": [{**asdict(one.want), "hold": one.hold, "upgrade": list(one.upgrade)} for one in solves],
        "depot": dict(depot) if depot else None,
        "timeout": timeout,
        "write": write,
        "sought": list(sought),
    }


def holds(found: Found, name: str) -> bool:
    """Whether a lock that was found holds a package of this name, be it conda's or a wheel."""
    return found.lock is not None and _held([found.lock.packages], name)


def _held(locks: Sequence[Sequence[Package]], name: str) -> bool:
    return any(is_named(one.manager, one.name, [name]) for packages in locks for one in packages)


def folder_holds(locks_dir: str, name: str) -> bool:
    """Whether any lock in the folder, whichever node's it is, names a package so."""
    entry = re.compile(r"^(?:- )?name(?:: | = \")([A-Za-z0-9._-]+)\"?$", re.MULTILINE)
    for manager, ending in (("conda", "conda-lock.yml"), ("pip", "pylock.toml")):
        for path in glob.glob(os.path.join(glob.escape(locks_dir), "*", "*." + ending)) if locks_dir else []:
            with open(path, encoding="utf-8", errors="replace") as handle:
                if any(is_named(manager, found, [name]) for found in entry.findall(handle.read())):
                    return True
    return False


def _solve(want: Wanted, found: Found, update: Update, upgrade: Sequence[str]) -> Optional[Solve]:
    if update if isinstance(update, bool) else want.environment in update:
        return Solve(want, (*found.why, "all of it to be solved anew, as asked"))
    if found.state == "missing":
        return Solve(want, found.why)
    if found.state == "stale":
        # Another target, channel or index is another question: what was locked for the former is no answer to it.
        hold = lockinputs.answers_alike(found.made_from, want.inputs)
        return Solve(want, found.why, hold, tuple(upgrade) if hold else ())
    named = tuple(name for name in upgrade if holds(found, name))
    return Solve(want, ("%s to be upgraded, as asked" % ", ".join(named),), True, named) if named else None


def _unknown(what: str, name: str, kind: str, accepted: Sequence[str]) -> str:
    return "{0}: {1!r} is no {2}. Accepted: {3}. Next: correct the name. Nothing was written.".format(
        what, name, kind, ", ".join(accepted) or "none, since nothing is declared"
    )
