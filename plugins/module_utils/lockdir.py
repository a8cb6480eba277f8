# Copyright condafleet maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the locks folder holds of the locks that a declaration wants (lockwanted.py).

Reads files, on the controller only. The readers of YAML and TOML are handed in, so that this stays standard library.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import lock_abi, lockfile, lockinputs, lockspec
from ansible_collections.condafleet.core.plugins.module_utils.cuda_builds import check_cuda
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.lockwanted import Wanted, Wanting, wanted
from ansible_collections.condafleet.core.plugins.module_utils.spec_files import (
    DEFAULT_PYTHON,
    Reader,
    parsed,
    read_text,
    spec_for,
    with_specs_found,
)


@dataclass(frozen=True)
class Found:
    """`state` is reused (current), stale (its inputs changed) or missing; `lock` is what the files hold, if any.

    `why` says in plain words what makes it stale or missing; `made_from` is what the lock says of its inputs.
    """

    state: str
    lock: Optional[lockfile.Lock] = None
    why: Tuple[str, ...] = ()
    made_from: Dict[str, Any] = field(default_factory=dict)


def survey(
    environments: Sequence[Mapping[str, Any]],
    targets: Mapping[str, Mapping[str, Any]],
    locks_dir: str,
    *,
    read_yaml: Reader,
    read_toml: Reader,
    channels: Sequence[str],
    tos: str,
    sources: str,
    spec_folders: Sequence[str],
    indexes: Sequence[str] = (),
    python: Optional[str] = None,
) -> List[Tuple[Wanted, Found]]:
    """Every lock that a declaration wants, with what the folder holds of it; FleetError where an input is wrong."""
    common = Wanting(
        targets=targets,
        locks_dir=locks_dir,
        read_yaml=read_yaml,
        read_toml=read_toml,
        channels=channels,
        tos=tos,
        sources=sources,
        indexes=indexes,
        python=python or DEFAULT_PYTHON,
    )
    return [
        (want, look(want, read_yaml=read_yaml, read_toml=read_toml))
        for want in all_wanted(environments, common, spec_folders)
    ]


def all_wanted(environments: Sequence[Mapping[str, Any]], common: Wanting, spec_folders: Sequence[str]) -> List[Wanted]:
    """Every lock that a declaration wants; FleetError where an input is wrong."""
    for entry in environments:
        for key in ("name", "targets", "spec"):
            covered = key == "spec" and all(spec_for(entry, target) for target in entry["targets"])
            if not entry.get(key) and not covered:
                raise FleetError(
                    "environments_list: {0}: {1} is missing. Accepted: {{name, spec, targets}}. Next: add it.".format(
                        entry.get("name") or "an entry", key
                    )
                )
    names = [str(entry["name"]) for entry in environments]
    for name in names:
        if names.count(name) > 1:
            raise FleetError(
                "environments_list: {0!r} stands in it twice. Accepted: unique names. Next: rename one.".format(name)
            )
    return [want for entry in environments for want in wanted(with_specs_found(entry, spec_folders), common)]


def look(want: Wanted, *, read_yaml: Reader, read_toml: Reader) -> Found:
    """What the folder holds. Refuses files that were edited by hand, or that belong to another environment."""
    if not os.path.exists(want.conda_lock) or (not want.given and not os.path.exists(want.pylock)):
        if want.given:
            raise FleetError(
                "environments_list: {0}: spec: there is no {1}. Accepted: an existing pair of locks. Next: correct the "
                "path.".format(want.environment, want.conda_lock)
            )
        return Found("missing", why=("there is none yet",))
    conda_lock = _read(want.conda_lock, read_yaml, "lock")
    pylock = _read(want.pylock, read_toml, "lock") if os.path.exists(want.pylock) else {}
    try:
        lock = lockfile.parse(conda_lock, pylock)
        said = lockfile.recorded(conda_lock)
        lockfile.check_digest(lock, said)
    except FleetError as error:
        raise FleetError("{0}: {1}".format(want.conda_lock, error)) from error
    _check_platform(want, lock)
    if want.given or not said.get("inputs_digest"):
        # Made by another tool: the user vouches for it. Variables that were declared are not in it yet.
        _check_terms(want, lock)
        _check_abi(want, lock, conda_lock, pylock)
        check_cuda(want.conda_lock, want.target, want.definition, lock.packages)
        variables = {**lock.variables, **want.spec["variables"]}
        return Found("reused", replace(lock, environment=want.environment, target=want.target, variables=variables))
    if (lock.environment, lock.target) != (want.environment, want.target):
        raise FleetError(
            "{0}: it is the lock of environment {1!r} for target {2!r}. Accepted: the lock of {3!r} for {4!r}. Next: "
            "delete both files and lock again.".format(
                want.conda_lock, lock.environment, lock.target, want.environment, want.target
            )
        )
    made_from = lockinputs.from_text(said.get("inputs"))
    if said["inputs_digest"] != lockinputs.digest(want.inputs):
        return Found("stale", lock, tuple(lockinputs.changes(made_from, want.inputs)), made_from)
    _check_terms(want, lock)
    return Found("reused", lock, made_from=made_from)


def _check_platform(want: Wanted, lock: lockfile.Lock) -> None:
    accepted = (want.definition["platform"], "noarch")
    for package in lock.packages:
        if package.manager == "conda" and package.subdir not in accepted:
            raise FleetError(
                "{0}: {1} is for {2}, but target {3!r} is {4}. Accepted: a lock for one platform. Next: lock for "
                "that platform only.".format(
                    want.conda_lock, package.filename, package.subdir, want.target, accepted[0]
                )
            )


def _check_abi(want: Wanted, lock: lockfile.Lock, conda_lock: Mapping[str, Any], pylock: Mapping[str, Any]) -> None:
    try:
        lock_abi.check(lock, want.definition, lockfile.depends(conda_lock), lockfile.requires_python(pylock))
    except FleetError as error:
        raise FleetError("{0}: {1}".format(want.conda_lock, error)) from error


def _check_terms(want: Wanted, lock: lockfile.Lock) -> None:
    lockspec.check_packages(
        want.conda_lock, [package.url for package in lock.packages if package.manager == "conda"], want.tos
    )


def _read(path: str, reader: Reader, what: str) -> Any:
    return parsed(read_text(path, what), reader, path, what)
