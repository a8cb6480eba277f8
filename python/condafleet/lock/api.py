"""Locks for a whole declaration: reused where nothing changed, made where they are missing or stale."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.condafleet.core.plugins.module_utils import lockdir, lockfile
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from condafleet.errors import LockError
from condafleet.lock.child import run_child


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
    check: bool = False,
    timeout: float = 3600,
    progress: Callable[[str], None] | None = None,
    spec_folders: Sequence[str | Path] = (),
) -> list[LockState]:
    """Each environment for each of its targets. `environments` are entries of environments_list.

    `update` solves again what it names, or everything. Relative specs are looked for in `spec_folders`, in order.
    `packages` is the difference to the lock that was there before. Raises LockError; then nothing was written.
    """
    depot = depot if depot and depot.get("url") else None
    try:
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
        )
        to_make = lockdir.to_make(surveyed, update)
        if to_make and not check:
            run_child(lockdir.request(to_make, depot, timeout), timeout=timeout, progress=progress)
        made = [] if check else to_make
        return [_state(want, found, want in made) for want, found in surveyed]
    except FleetError as error:
        raise LockError(error.message) from error


def read_yaml(text: str) -> Any:
    """As yaml.safe_load; with libyaml, where PyYAML has it, ten times faster."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders


def _state(want: lockdir.Wanted, before: lockdir.Found, made: bool) -> LockState:
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
