"""Locks for a whole declaration: reused where nothing changed, made where they are missing or stale."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.condafleet.core.plugins.module_utils import lockdir, lockfile, locksolves
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.host_auth import check_hosts
from ansible_collections.condafleet.core.plugins.module_utils.lockwanted import Wanted
from condafleet.errors import LockError
from condafleet.lock.child import run_child
from condafleet.lock.files import read_yaml


@dataclass(frozen=True)
class LockState:
    """`state`: reused, made; with check=True nothing is made and it is reused, missing or stale."""

    environment: str
    target: str
    state: str
    digest: str | None
    conda_lock: Path
    pylock: Path
    packages: Mapping[str, list[dict[str, Any]]]


def lock_all(
    environments: Sequence[Mapping[str, Any]],
    targets: Mapping[str, Mapping[str, Any]],
    locks_dir: str | Path,
    *,
    channels: Sequence[str] = ("conda-forge",),
    tos: str = "decline",
    depot: Mapping[str, Any] | None = None,
    update: bool | Sequence[str] = False,
    upgrade: Sequence[str] = (),
    check: bool = False,
    timeout: float = 3600,
    progress: Callable[[str], None] | None = None,
    spec_folders: Sequence[str | Path] = (),
    indexes: Sequence[str] = (),
    python: str | None = None,
    auth: Mapping[str, Mapping[str, str]] | None = None,
) -> list[LockState]:
    """Each environment for each of its targets. `environments` are entries of environments_list.

    `update` solves again what it names, or everything; `upgrade` names packages to move, all others stay.
    Relative specs are looked for in `spec_folders`, in order. `auth` is {HOST: {username, password}} or
    {HOST: {token}}, for private channels and indexes; it reaches no lock.
    `packages` is the difference to the lock that was there before. Raises LockError; then nothing was written.
    """
    depot = depot if depot and depot.get("url") else None
    try:
        locksolves.check_asked(environments, (), (), update)
        surveyed = lockdir.survey(
            environments,
            targets,
            str(Path(locks_dir).absolute()),
            read_yaml=read_yaml,
            read_toml=tomllib.loads,
            channels=channels,
            tos=tos,
            sources="depot" if depot else "upstream",
            spec_folders=[str(folder) for folder in spec_folders],
            indexes=indexes,
            python=python,
        )
        sought = locksolves.check_upgrade(surveyed, upgrade, str(locks_dir))
        solves = locksolves.to_make(surveyed, update, upgrade)
        if solves and not check:
            request = {**locksolves.request(solves, depot, timeout, sought=sought), "auth": check_hosts(auth)}
            run_child(request, timeout=timeout, progress=progress)
        made = set() if check else {solve.want.conda_lock for solve in solves}
        return [_state(want, found, want.conda_lock in made) for want, found in surveyed]
    except FleetError as error:
        raise LockError(error.message) from error


def _state(want: Wanted, before: lockdir.Found, made: bool) -> LockState:
    after = lockdir.look(want, read_yaml=read_yaml, read_toml=tomllib.loads) if made else before
    old = before.lock.packages if before.lock else ()
    new = after.lock.packages if after.lock else ()
    current = after.state == "reused" and after.lock is not None
    return LockState(
        environment=want.environment,
        target=want.target,
        state="made" if made else before.state,
        digest=lockfile.digest(after.lock) if current and after.lock else None,
        conda_lock=Path(want.conda_lock),
        pylock=Path(want.pylock),
        packages=lockfile.difference(old, new),
    )
