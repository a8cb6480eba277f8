# Copyright condafleet maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which locks a declaration wants, and what the locks folder already holds of them.

Reads files, on the controller only. The readers of YAML and TOML are handed in, so that this stays standard library.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from ansible_collections.condafleet.core.plugins.module_utils import lockfile, lockinputs, lockspec
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

Reader = Callable[[str], Any]


@dataclass(frozen=True)
class Wanted:
    """One lock to have. `given` says that the user brought the pair: it is taken as it is, never made.

    `tos` says whether Anaconda's terms of service were accepted, for whatever a lock may hold.
    """

    environment: str
    target: str
    definition: Dict[str, str]
    spec: Dict[str, Any]
    channels: List[str]
    inputs: Dict[str, Any]
    conda_lock: str
    pylock: str
    given: bool = False
    tos: str = "decline"


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
) -> List[Tuple[Wanted, Found]]:
    """Every lock that a declaration wants, with what the folder holds of it; FleetError where an input is wrong."""
    for entry in environments:
        for key in ("name", "spec", "targets"):
            if not entry.get(key):
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
    wants = [
        want
        for entry in environments
        for want in wanted(
            with_spec_found(entry, spec_folders),
            targets,
            locks_dir,
            read_yaml=read_yaml,
            channels=channels,
            tos=tos,
            sources=sources,
        )
    ]
    return [(want, look(want, read_yaml=read_yaml, read_toml=read_toml)) for want in wants]


def to_make(surveyed: Sequence[Tuple[Wanted, Found]], update: Union[bool, Sequence[str]]) -> List[Wanted]:
    """The locks to solve: missing and stale ones, and those to update (all, or of the environments named)."""
    names = {want.environment for want, _dummy in surveyed}
    for name in [] if isinstance(update, bool) else update:
        if name not in names:
            raise FleetError(
                "update: {0!r} is no environment. Accepted: {1}. Next: correct the name.".format(
                    name, ", ".join(sorted(names)) or "none is declared"
                )
            )
    return [
        want
        for want, found in surveyed
        if not want.given
        and (found.state != "reused" or (update if isinstance(update, bool) else want.environment in update))
    ]


def request(wants: Sequence[Wanted], depot: Optional[Mapping[str, Any]], timeout: float) -> Dict[str, Any]:
    """What `python -m condafleet.lock` is asked on its standard input."""
    return {
        "schema_version": 1,
        "solves": [asdict(want) for want in wants],
        "depot": dict(depot) if depot else None,
        "timeout": timeout,
    }


def wanted(
    entry: Mapping[str, Any],
    targets: Mapping[str, Mapping[str, Any]],
    locks_dir: str,
    *,
    read_yaml: Reader,
    channels: Sequence[str],
    tos: str,
    sources: str,
) -> List[Wanted]:
    """One Wanted for each target of an entry of environments_list. A spec given as a path is absolute by now."""
    name = str(entry["name"])
    pair = lockspec.pair_of(entry["spec"])
    if pair:
        spec = {"variables": lockspec.variables_of(entry.get("variables"), "environments_list: {0}".format(name))}
        return [
            Wanted(
                name,
                target,
                _definition(name, target, targets),
                spec,
                [],
                {},
                pair["conda_lock"],
                pair["pylock"],
                given=True,
                tos=tos,
            )
            for target in entry["targets"]
        ]
    document = entry["spec"]
    if isinstance(document, str):
        document = _read(document, read_yaml, "environments_list: {0}: spec".format(name))
    spec = lockspec.normalise(name, document, variables=entry.get("variables"), channels=entry.get("channels"))
    asked = spec["channels"] or list(channels)
    chosen = lockspec.check_channels(name, spec, asked, tos)
    made = []
    for target in entry["targets"]:
        definition = _definition(name, target, targets)
        inputs = lockinputs.inputs(
            name,
            target,
            spec={key: spec[key] for key in ("conda", "pip", "variables")},
            definition=definition,
            channels=[lockspec.without_secrets(channel) for channel in chosen],
            sources=sources,
        )
        stem = os.path.join(locks_dir, name, target)
        made.append(
            Wanted(
                name,
                target,
                definition,
                spec,
                chosen,
                inputs,
                stem + ".conda-lock.yml",
                stem + ".pylock.toml",
                tos=tos,
            )
        )
    return made


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


def with_spec_found(entry: Mapping[str, Any], folders: Sequence[str]) -> Dict[str, Any]:
    """The entry with the path in its spec made absolute: a relative one is looked for in the folders, in order."""
    spec = entry.get("spec")
    if isinstance(spec, str):
        return {**entry, "spec": _find(str(entry.get("name")), spec, folders)}
    pair = lockspec.pair_of(spec)
    if pair:
        found = _find(str(entry.get("name")), pair["conda_lock"], folders)
        pylock = os.path.normpath(os.path.join(os.path.dirname(found), os.path.basename(pair["pylock"])))
        return {**entry, "spec": {"conda_lock": found, "pylock": pylock}}
    return dict(entry)


def _find(name: str, path: str, folders: Sequence[str]) -> str:
    places = [path] if os.path.isabs(path) else [os.path.join(folder, path) for folder in folders or ["."]]
    for place in places:
        if os.path.isfile(place):
            return os.path.abspath(place)
    raise FleetError(
        "environments_list: {0}: spec: {1!r} is missing (looked for: {2}). Accepted: an environment.yml, a pair of "
        "locks, or inline lists. Next: correct the path.".format(name, path, ", ".join(places))
    )


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


def _check_terms(want: Wanted, lock: lockfile.Lock) -> None:
    lockspec.check_packages(
        want.conda_lock, [package.url for package in lock.packages if package.manager == "conda"], want.tos
    )


def _definition(name: str, target: str, targets: Mapping[str, Mapping[str, Any]]) -> Dict[str, str]:
    definition = targets.get(target)
    if not definition or not definition.get("platform"):
        raise FleetError(
            "environments_list: {0}: target {1!r} is not defined. Accepted: {2}. Next: add it to "
            "environments_targets.".format(name, target, ", ".join(sorted(targets)) or "none is")
        )
    return {str(key): str(value) for key, value in definition.items() if value not in (None, "")}


def _read(path: str, reader: Reader, what: str) -> Any:
    try:
        with open(path, encoding="utf-8") as handle:
            text = handle.read()
    except OSError as error:
        raise FleetError(
            "{0}: {1} can't be read ({2}). Next: correct the path.".format(what, path, error.strerror)
        ) from error
    try:
        return reader(text)
    except Exception as error:  # noqa: BLE001 - each reader has its own kind of error, all mean the same here
        raise FleetError("{0}: {1} is malformed: {2}. Next: correct it.".format(what, path, error)) from error
