"""Locks for a whole declaration: reused where nothing changed, made where they are missing or stale."""

import tomllib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.condafleet.core.plugins.module_utils import lockdir, lockfile, locksolves
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.host_auth import check_hosts
from ansible_collections.condafleet.core.plugins.module_utils.lock_folder import folder_held
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
    `packages` is the difference to the lock that was there before. Another run, by Ansible or not, that makes locks in
    the same folder is waited for, for `timeout` seconds too. Raises LockError; then nothing was written, but for a file
    that it names as one that could not be put back.
    """
    depot = depot if depot and depot.get("url") else None
    folder = str(Path(locks_dir).absolute())
    say = progress or (lambda line: None)

    def survey() -> list[tuple[Wanted, lockdir.Found]]:
        found: list[tuple[Wanted, lockdir.Found]] = lockdir.survey(
            environments,
            targets,
            folder,
            read_yaml=read_yaml,
            read_toml=tomllib.loads,
            channels=channels,
            tos=tos,
            sources="depot" if depot else "upstream",
            spec_folders=[str(folder) for folder in spec_folders],
            indexes=indexes,
            python=python,
        )
        return found

    try:
        locksolves.check_asked(environments, (), (), update)
        surveyed = survey()
        locksolves.check_upgrade(surveyed, upgrade, folder)
        if check or not locksolves.to_make(surveyed, update, upgrade):
            return [_state(want, found, made=False) for want, found in surveyed]
        hosts = check_hosts(auth)
        with folder_held(folder, uuid.uuid4().hex, timeout, say):
            # Whoever was waited for may have made them.
            surveyed = survey()
            sought = locksolves.check_upgrade(surveyed, upgrade, folder)
            solves = locksolves.to_make(surveyed, update, upgrade)
            if solves:
                request = {**locksolves.request(solves, depot, timeout, sought=sought), "auth": hosts}
                run_child(request, timeout=timeout, progress=progress)
            made = {solve.want.conda_lock for solve in solves}
            return [_state(want, found, made=want.conda_lock in made) for want, found in surveyed]
    except FleetError as error:
        raise LockError(error.message) from error


def _state(want: Wanted, before: lockdir.Found, *, made: bool) -> LockState:
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
