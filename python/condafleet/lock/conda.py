"""Solve the conda part with py-rattler. Runs in the child process only (see __main__)."""

import datetime
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import platformdirs
from rattler import (
    BuildString,
    Channel,
    Gateway,
    GenericVirtualPackage,
    MatchSpec,
    PackageName,
    RepoDataRecord,
    SourceConfig,
    Subdir,
    Version,
    solve,
)
from rattler.exceptions import SolverError
from rattler.networking import AuthenticationMiddleware, Client

from ansible_collections.condafleet.core.plugins.module_utils.host_auth import Hosts
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package
from ansible_collections.condafleet.core.plugins.module_utils.url_secrets import masked
from condafleet.errors import LockError
from condafleet.lock.credentials import FOR_CONDA, refusal
from condafleet.lock.explicit import look_up
from condafleet.lock.sources import Sources

# Kernel and CPU are no part of a target: what the oldest supported enterprise Linux has is assumed.
_KERNEL = "4.18"
_ARCHSPEC = {"linux-64": "x86_64", "linux-aarch64": "aarch64", "linux-ppc64le": "ppc64le"}


def virtual_packages(definition: dict[str, str]) -> list[GenericVirtualPackage]:
    """What conda would detect on a node of the target, were it the least one."""
    found = [("__unix", "0", "0"), ("__linux", _KERNEL, "0")]
    if definition.get("glibc"):
        found.append(("__glibc", definition["glibc"], "0"))
    if definition.get("cuda"):
        found.append(("__cuda", definition["cuda"], "0"))
    if definition["platform"] in _ARCHSPEC:
        found.append(("__archspec", "1", _ARCHSPEC[definition["platform"]]))
    return [GenericVirtualPackage(PackageName(n), Version(v), BuildString(b)) for n, v, b in found]


async def solve_conda(
    environment: str,
    target: str,
    definition: dict[str, str],
    specs: Sequence[str],
    sources: Sources,
    timeout: float,
    held: Sequence[Package] = (),
    exact: Mapping[str, str] | None = None,
    hosts: Hosts | None = None,
) -> list[dict[str, Any]]:
    """The records of the solution, sorted by name: the solver's own order differs from run to run.

    `held` are packages to prefer, as far as the channels still have them; `exact` are versions to insist on, `hosts`
    the credentials for channels, which py-rattler reads from a file of its own.
    """
    platforms = [Subdir(definition["platform"]), Subdir("noarch")]
    channels = [Channel(channel) for channel in sources.channels]
    gateway = gateway_to(sources)
    # Before what reads channels: a spec that is none is no fault of theirs.
    asked = [match_spec(environment, text, in_depot=sources.depot_url is not None) for text in specs]
    try:
        records = await solve(
            channels,
            asked,
            gateway=gateway,
            platforms=platforms,
            locked_packages=await _still_offered(held, gateway, channels, platforms),
            constraints=[f"{name} =={version}" for name, version in sorted((exact or {}).items())],
            virtual_packages=virtual_packages(definition),
            timeout=datetime.timedelta(seconds=timeout),
            channel_relations="disabled",
        )
    except SolverError as error:
        raise LockError(
            f"environments_list: {environment}: the conda part can't be solved for target {target!r} "
            f"({_shown(definition)}) from {', '.join(map(sources.canonical, sources.channels)) or 'no channel'}:\n"
            f"{masked(str(error).strip())}\n"
            "Next: loosen the spec, add a channel, or change the target. Nothing was written."
        ) from error
    except Exception as error:
        refused = refusal(str(error), hosts or {})
        if refused:
            raise refused from error
        raise LockError(
            f"environments_list: {environment}: the channels of the conda part can't be read for target {target!r}: "
            f"{masked(str(error))}. Accepted: channels that can be reached. Next: correct the channels, or "
            "declare a depot. Nothing was written."
        ) from error
    return sorted((as_plain(record, sources) for record in records), key=lambda record: record["name"])


async def list_conda(
    environment: str, target: str, definition: dict[str, str], entries: Sequence[str], sources: Sources, hosts: Hosts
) -> list[dict[str, Any]]:
    """The records of an explicit list, sorted by name."""
    found = await look_up(environment, target, definition["platform"], entries, sources, gateway_to(sources), hosts)
    return sorted((as_plain(record, sources) for record in found), key=lambda record: record["name"])


def gateway_to(sources: Sources) -> Gateway:
    """What reads channels, with this user's cache, and the credentials that the parent has put into a file."""
    cache = Path(platformdirs.user_cache_dir("condafleet")) / "repodata"
    cache.mkdir(parents=True, exist_ok=True)
    # A depot is near, and may be built again at the same place: never trust what was read earlier.
    config = SourceConfig(cache_action="no-cache") if sources.depot_url else SourceConfig()
    if FOR_CONDA not in os.environ:
        return Gateway(cache_dir=cache, default_config=config)
    return Gateway(cache_dir=cache, default_config=config, client=Client([AuthenticationMiddleware()]))


async def _still_offered(
    held: Sequence[Package], gateway: Gateway, channels: Sequence[Channel], platforms: Sequence[Subdir]
) -> list[RepoDataRecord]:
    """The channels' own records of packages: a lock says too little of what they need."""
    if not held:
        return []
    specs = [MatchSpec(package.name) for package in held]
    found = await gateway.query(channels, platforms, specs, recursive=False)
    known = {(package.name, package.version, package.build, package.sha256) for package in held}
    return [record for records in found for record in records if _key(record) in known]


def _key(record: RepoDataRecord) -> tuple[str, str, str, str]:
    sha256 = record.sha256.hex() if record.sha256 else ""
    return record.name.normalized, str(record.version), str(record.build), sha256


def older_in_conda(one: str, other: str) -> bool:
    """Whether a version is older than another, as conda orders them."""
    return bool(Version(one) < Version(other))


def match_spec(environment: str, text: str, *, in_depot: bool) -> MatchSpec:
    """One entry of a spec. A depot has its own channel, so the channel that an entry asks for is dropped there."""
    if in_depot:
        text = text.split("::", 1)[-1]
    # conda's own name=version=build; rattler wants blanks where the build is a pattern.
    parts = re.match(r"^([A-Za-z0-9_.-]+)=([^=\s]+)=([^=\s]*\*[^=\s]*)$", text)
    if parts:
        text = " ".join(parts.groups())
    try:
        return MatchSpec(text)
    except Exception as error:
        raise LockError(
            f"environments_list: {environment}: conda: {text!r} is not accepted: {error}. Accepted: 'name', "
            "'name=version', 'name>=version', 'name=version=build'. Next: correct it."
        ) from error


def as_plain(record: RepoDataRecord, sources: Sources) -> dict[str, Any]:
    """A record as it goes into a lock."""
    name = record.name.normalized
    if not record.sha256 or not record.md5:
        raise LockError(
            f"channel of {record.file_name}: it gives no {'md5' if record.sha256 else 'sha256'} for this package. "
            "Accepted: channels with both hashes. Next: index the channel again."
        )
    sha256 = record.sha256.hex()
    size = sources.size_of(str(record.url), sha256) or record.size
    return {
        "name": name,
        "version": str(record.version),
        "build": str(record.build),
        "subdir": record.subdir,
        "url": sources.canonical(str(record.url)),
        "sha256": sha256,
        "md5": record.md5.hex(),
        "size": size,
        "depends": sorted(record.depends),
    }


def _shown(definition: dict[str, str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in sorted(definition.items()))
