# SPDX-License-Identifier: Apache-2.0
"""The content of a pair of lock files on the controller, for what needs more of a lock than its digest."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.lock_needs import needs_of
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Lock, LockFileError, digest, parse
from ansible_collections.condafleet.core.plugins.plugin_utils.reading import read_yaml


def read_pair(lock: Mapping[str, Any], variables: Mapping[str, str], planned: str = "") -> Lock:
    """The lock in the files `conda_lock` and `pylock`, which must still have the digest that was `planned` with.

    `variables` are the declaration's: a lock of condafleet's holds them already, one from elsewhere does not.
    FleetError where a file can't be read, is no lock, or is another one by now.
    """
    try:
        conda_lock = read_yaml(Path(lock["conda_lock"]).read_text(encoding="utf-8"))
        pylock = tomllib.loads(Path(lock["pylock"]).read_text(encoding="utf-8")) if lock.get("pylock") else {}
        parsed = parse(conda_lock, pylock)
    except OSError as error:
        raise FleetError(
            "lock: %s can't be read: %s. Next: lock the environment first." % (error.filename, error.strerror)
        ) from error
    except (LockFileError, yaml.YAMLError, tomllib.TOMLDecodeError) as error:
        raise FleetError("lock: %s: %s" % (lock["conda_lock"], error)) from error
    found = replace(parsed, variables={**parsed.variables, **variables})
    if planned and digest(found) != planned:
        raise FleetError(
            "environments_locks_dir: %s is not what this run planned with (its digest is %s, not %s): another run, or "
            "another host that declares environment %s otherwise, has written it since. Accepted: one declaration a "
            "lock folder. Next: run again alone, or give such hosts other names of environments or another "
            "environments_locks_dir. Nothing was switched."
            % (lock["conda_lock"], digest(found)[:12], planned[:12], found.environment)
        )
    return found


class LockEntry(Mapping[str, Any]):
    """What the action `lock` says of a lock, and `packages` and `needs`, which are read from its files when asked for.

    They are long, each host has its own copy of a fact, and a node that is converged asks for neither.
    """

    def __init__(self, said: Mapping[str, Any]) -> None:
        self.said = said

    @cached_property
    def content(self) -> dict[str, Any]:
        digest_of_it = self.said.get("digest")
        if not digest_of_it:
            return {"packages": None, "needs": None}
        lock = read_pair(self.said, self.said.get("variables") or {}, digest_of_it)
        keys = ("manager", "name", "version", "build")
        packages = [{key: getattr(package, key) for key in keys} for package in lock.packages]
        return {"packages": packages, "needs": needs_of(lock)}

    def __getitem__(self, key: str) -> Any:
        return self.said[key] if key in self.said or key not in ("packages", "needs") else self.content[key]

    def __iter__(self) -> Iterator[str]:
        return iter({**self.said, "packages": None, "needs": None})

    def __len__(self) -> int:
        return len(set(self))


def with_contents(locks: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, LockEntry]]:
    """The same locks, {ENV: {TARGET: entry}}, with what their files hold."""
    return {name: {target: LockEntry(said) for target, said in one.items()} for name, one in locks.items()}
