"""A pylock.toml of any tool: which entries and wheels a target takes of it. Nothing is solved; conda brings python."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from packaging.markers import InvalidMarker, Marker, UndefinedComparison
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ansible_collections.condafleet.core.plugins.module_utils.projects import project_of
from condafleet.errors import LockError
from condafleet.lock.sources import Sources
from condafleet.lock.tags import MACHINES, best_wheel

# Minor versions of Python 3 that are tried for a lock that does not name its own.
_MINORS = range(8, 30)
_PATCHES = range(60)
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
# What conda's own pip brings along: in the version that the lock has, so that the two agree.
_WITH_PIP = ("pip", "setuptools", "wheel")


def python_specs(
    environment: str, target: str, lock: Mapping[str, Any], definition: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Conda specs for the pythons that this lock has wheels for, and versions to insist on if conda brings those."""
    required = _specifiers(environment, lock["requires_python"], "requires-python")
    fitting: dict[int, list[dict[str, Any]]] = {}
    reason = ""
    for minor in reversed(_MINORS):
        patches = [patch for patch in _PATCHES if required.contains(f"3.{minor}.{patch}")]
        if not patches:
            continue
        try:
            fitting[minor] = choose(environment, target, lock, definition, f"3.{minor}.{patches[-1]}")
        except LockError as error:
            # Of those tried the oldest is the likeliest that the lock was made for.
            reason = error.message
    if not fitting:
        raise LockError(
            reason
            or f"environments_list: {environment}: pylock.toml: requires-python {lock['requires_python']!r} holds for "
            "no Python 3. Accepted: a lock for Python 3. Next: lock again with the tool that made it."
        )
    specs = ["python " + "|".join(f"3.{minor}.*" for minor in sorted(fitting))]
    if lock["requires_python"]:
        specs.append("python " + _in_conda(lock["requires_python"]))
    versions = {package["name"]: package["version"] for package in fitting[max(fitting)]}
    return specs, {name: versions[name] for name in _WITH_PIP if versions.get(name)}


def choose(
    environment: str, target: str, lock: Mapping[str, Any], definition: Mapping[str, str], python: str
) -> list[dict[str, Any]]:
    """The entries whose markers hold for target and python, each with its best wheel: {name, version, wheel}."""
    where = f"environments_list: {environment}: pylock.toml"
    world = marker_world(definition, python)
    if lock["environments"] and not any(_holds(where, text, lock, world) for text in lock["environments"]):
        raise LockError(
            f"{where}: it is not for target {target!r} with python {python} (its environments: "
            f"{'; '.join(lock['environments'])}). Accepted: a lock for the target. Next: lock again for that, or give "
            "the target a spec of its own in target_specs."
        )
    found: dict[str, dict[str, Any]] = {}
    for package in lock["packages"]:
        if package["marker"] and not _holds(where, package["marker"], lock, world):
            continue
        inside = f"{where}: {package['name']} {package['version']}".rstrip()
        if package["name"] in found:
            raise LockError(
                f"{inside}: a second entry of that name holds for target {target!r} with python {python}. Accepted: "
                "one. Next: lock again with the tool that made it."
            )
        if not _specifiers(environment, package["requires_python"], inside).contains(python):
            raise LockError(
                f"{inside}: it needs python {package['requires_python']}, not {python}. Accepted: a python that all "
                "entries accept. Next: narrow python (environments_python, or python of the environment)."
            )
        found[package["name"]] = {**package, "wheel": _wheel(inside, package, target, definition, python)}
    return [found[name] for name in sorted(found)]


def wheels_of(
    environment: str,
    target: str,
    lock: Mapping[str, Any],
    definition: Mapping[str, str],
    records: Sequence[Mapping[str, Any]],
    sources: Sources,
) -> list[dict[str, Any]]:
    """The wheels of the lock beside what conda provides, which has to be of the same version."""
    python = next((str(record["version"]) for record in records if record["name"] == "python"), None)
    if python is None:
        raise LockError(f"environments_list: {environment}: conda gave no python for its pylock.toml. Next: name one.")
    provided = {project_of(str(one["name"]), one["depends"]): str(one["version"]) for one in records}
    found = []
    for package in choose(environment, target, lock, definition, python):
        theirs = provided.get(package["name"])
        if theirs is None:
            found.append(_as_locked(environment, package, sources))
        elif not _same(theirs, package["version"]):
            raise LockError(
                f"environments_list: {environment}: pylock.toml: it has {package['name']} {package['version']}, and "
                f"conda's python brings {theirs}. Accepted: the same version of what both have. Next: lock "
                f"{package['name']} {theirs}, or leave it out. Nothing was written."
            )
    return found


def marker_world(definition: Mapping[str, str], python: str) -> dict[str, str]:
    """What markers are evaluated against: the target, never this machine."""
    return {
        "implementation_name": "cpython",
        "implementation_version": python,
        "os_name": "posix",
        "platform_machine": MACHINES[definition["platform"]],
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": "linux",
    }


def _holds(where: str, text: str, lock: Mapping[str, Any], world: Mapping[str, str]) -> bool:
    try:
        groups = {"extras": frozenset[str](), "dependency_groups": frozenset(map(canonicalize_name, lock["groups"]))}
        return Marker(text).evaluate({**world, **groups}, context="lock_file")
    except (InvalidMarker, UndefinedComparison, KeyError) as error:
        raise LockError(
            f"{where}: the marker {text!r} can't be understood ({error}). Accepted: markers by PEP 508 and PEP 751. "
            "Next: lock again with the tool that made it."
        ) from error


def _wheel(
    inside: str, package: Mapping[str, Any], target: str, definition: Mapping[str, str], python: str
) -> Mapping[str, Any]:
    if not package["wheels"]:
        kind = "a source archive alone" if package["source"] == "sdist" else f"no wheel ({package['source']})"
        raise LockError(
            f"{inside}: it has {kind}. Accepted: wheels. Next: build a wheel of it, put it on an index, and lock with "
            "that index."
        )
    wheel = best_wheel(package["wheels"], definition, python)
    if wheel is None:
        raise LockError(
            f"{inside}: it has no wheel for target {target!r} ({definition['platform']}, glibc "
            f"{definition.get('glibc')}) and python {python}. Accepted: a lock with wheels for the target. Next: lock "
            "again for it, narrow python (environments_python, or python of the environment), or give the target a "
            "spec of its own in target_specs."
        )
    if not wheel["url"].startswith(("http://", "https://", "file://")):
        raise LockError(
            f"{inside}: its wheel {wheel['name']} has no URL, so nodes can't fetch it. Accepted: wheels from an index. "
            "Next: put it on an index, and lock with that index."
        )
    if not _SHA256.match(wheel["sha256"]):
        raise LockError(
            f"{inside}: its wheel {wheel['name']} has no sha256. Accepted: wheels with it. Next: lock again."
        )
    return wheel


def _as_locked(environment: str, package: Mapping[str, Any], sources: Sources) -> dict[str, Any]:
    wheel = package["wheel"]
    url, size = wheel["url"], wheel["size"]
    if sources.depot_url is not None:
        # A depot has the same file under a name of its own: what it is, its sha256 says.
        held = sources.holding(wheel["sha256"])
        if held is None:
            raise LockError(
                f"environments_list: {environment}: pylock.toml: the depot has no {wheel['name']} with sha256 "
                f"{wheel['sha256'][:12]}…. Accepted: wheels that the depot holds. Next: build the depot with it, or "
                "lock from the depot. Nothing was written."
            )
        url, size = held
    name, version = package["name"], package["version"] or wheel["name"].split("-")[1]
    return {"name": name, "version": version, "url": sources.canonical(url), "sha256": wheel["sha256"], "size": size}


def _specifiers(environment: str, text: str, what: str) -> SpecifierSet:
    try:
        return SpecifierSet(text)
    except InvalidSpecifier as error:
        raise LockError(
            f"environments_list: {environment}: pylock.toml: {what}: {text!r} is no range. Next: lock again."
        ) from error


def _in_conda(requires: str) -> str:
    """A range of versions as conda writes it: `==3.11.*` is `3.11.*` there."""
    return ",".join(sorted(one.strip().replace(" ", "").removeprefix("===") for one in requires.split(","))).replace(
        "==3.", "3."
    )


def _same(one: str, other: str) -> bool:
    try:
        return Version(one).public == Version(other).public
    except InvalidVersion:
        return one == other
