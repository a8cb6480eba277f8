"""Solve again and change little: what a former lock holds is preferred, and what is to be upgraded is let go."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package
from ansible_collections.condafleet.core.plugins.module_utils.projects import is_named

Record = Mapping[str, Any]  # of a solution: with at least a name and a version
# Called with what to prefer where it fits, and with versions to insist on: {name: version}.
Solve = Callable[[Sequence[Package], Mapping[str, str]], Sequence[Record]]


def solve_holding(
    solve: Solve,
    manager: str,
    former: Sequence[Package],
    upgrade: Collection[str],
    older: Callable[[str, str], bool],
) -> Sequence[Record]:
    """The solution that keeps what it can of `former`, with the packages to upgrade as new as a solve from nothing.

    A preference alone would leave them behind wherever something that is held asks for the old version: so a solve from
    nothing says how new they can be, and that is then insisted on. Only Python stays what it is, unless it is named:
    a newer one would replace everything.
    """
    rest = [one for one in former if one.manager == manager and not is_named(manager, one.name, upgrade)]
    kept = solve(rest, {})
    if not upgrade or not former:
        return kept
    versions = {record["name"]: record["version"] for record in kept}
    fixed = {name: versions[name] for name in ("python",) if name in versions and not is_named(manager, name, upgrade)}
    newer = {
        record["name"]: record["version"]
        for record in solve([], fixed)
        if is_named(manager, record["name"], upgrade)
        and record["name"] in versions
        and older(versions[record["name"]], record["version"])
    }
    return solve(rest, {**fixed, **newer}) if newer else kept
