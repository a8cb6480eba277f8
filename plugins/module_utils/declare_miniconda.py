# SPDX-License-Identifier: Apache-2.0
"""The check of what `roles/miniconda` is given. Pure: the catalog and the depot's manifest come as data."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import catalog as known
from ansible_collections.condafleet.core.plugins.module_utils import condarc, paths
from ansible_collections.condafleet.core.plugins.module_utils.depot_manifest import check_depot
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError
from ansible_collections.condafleet.core.plugins.module_utils.origins import join

EMBEDDED = "embedded"
NEWEST = "newest"
HEX64 = re.compile(r"[0-9a-fA-F]{64}")

Installers = Dict[str, Dict[str, Any]]


def check_miniconda(
    values: Mapping[str, Any], catalog: Mapping[str, Any], manifest: Optional[Mapping[str, Any]]
) -> Dict[str, Any]:
    """The declaration, resolved: {prefix, distribution, version, installers, condarc, owner, group, mode, timeout}.

    `values` are the role's variables without `miniconda_`, with depot_url and depot_sha256. Where an installer comes
    from: an explicit URL, else a depot that has the distribution, else the mirror, else upstream.
    """
    depot_url = check_depot(values.get("depot_url"), values.get("depot_sha256"))
    prefix = paths.check_prefix("miniconda_prefix", values.get("prefix"))
    installers = _installers(values, catalog, manifest if depot_url else None, depot_url)
    some = next(iter(installers.values()))
    channels = _channels(values, manifest if depot_url else None, depot_url)
    extras = values.get("condarc") or {}
    condarc.check_channels(channels, extras, values.get("tos", "decline"))
    return {
        "prefix": prefix,
        "distribution": some["distribution"],
        "version": some["version"],
        "installers": installers,
        "channels": channels,
        "condarc": condarc.render(condarc.compose(channels, extras)),
        "owner": paths.check_account("miniconda_owner", values.get("owner")),
        "group": paths.check_account("miniconda_group", values.get("group")),
        "mode": paths.check_mode("miniconda_mode", values.get("mode", "0755")),
        "timeout": paths.check_timeout("miniconda_timeout", values.get("timeout", 900)),
    }


def _channels(values: Mapping[str, Any], manifest: Optional[Mapping[str, Any]], depot_url: Optional[str]) -> List[str]:
    """The declared channels; without a declaration, the depot's own where the conda comes from there."""
    declared = values.get("channels")
    if declared not in (None, []):
        return declared  # type: ignore[no-any-return]  # check_channels judges it
    place = ((manifest or {}).get("channels") or {}).get("conda") or {}
    if depot_url and values.get("distribution") == EMBEDDED and place.get("path"):
        return [join(depot_url, place["path"])]
    return ["conda-forge"]


def _installers(
    values: Mapping[str, Any],
    catalog: Mapping[str, Any],
    manifest: Optional[Mapping[str, Any]],
    depot_url: Optional[str],
) -> Installers:
    explicit = _explicit(values)
    if explicit:
        return explicit
    distribution = values.get("distribution")
    accepted = [*known.distributions(catalog), EMBEDDED]
    if distribution not in accepted:
        raise InputError(
            "miniconda_distribution", distribution, ", ".join(accepted), "choose one, or set miniconda_installer_url"
        )
    offered = [entry for entry in (manifest or {}).get("installers") or [] if entry["distribution"] == distribution]
    if offered and depot_url:
        return _from_depot(values, offered, manifest or {}, depot_url)
    if distribution == EMBEDDED:
        raise InputError(
            "miniconda_distribution",
            distribution,
            "embedded only with a depot that holds it",
            "build one (`condafleet depot build --embedded DIR`) and set depot_url and depot_sha256",
        )
    version = _version(values, known.versions(catalog, distribution), distribution)
    return known.installers(catalog, distribution, version, _mirror(values))


def _explicit(values: Mapping[str, Any]) -> Optional[Installers]:
    url, sha256 = values.get("installer_url") or None, values.get("installer_sha256") or None
    if url is None and sha256 is None:
        return None
    url = paths.check_url("miniconda_installer_url", url, "set it together with miniconda_installer_sha256")
    if not isinstance(sha256, str) or not HEX64.fullmatch(sha256):
        raise InputError(
            "miniconda_installer_sha256",
            sha256,
            "the sha256 of the installer, 64 hexadecimal digits",
            "take it from the publisher's page, or run sha256sum on a copy that you trust",
        )
    architecture, entry = known.from_url(url, sha256)
    return {architecture: entry}


def _from_depot(
    values: Mapping[str, Any], offered: List[Mapping[str, Any]], manifest: Mapping[str, Any], depot_url: str
) -> Installers:
    versions = sorted({entry["version"] for entry in offered}, key=known.sort_key, reverse=True)
    version = _version(values, versions, f"{values['distribution']} in this depot")
    return {
        entry["arch"]: {
            "url": join(depot_url, entry["path"]),
            "sha256": entry["sha256"],
            "size": entry.get("size"),
            "filename": entry["path"].rsplit("/", 1)[-1],
            "version": version,
            "distribution": entry["distribution"],
            # The embedded one is made from the build host's own Python.
            "glibc": manifest.get("glibc") if entry["distribution"] == EMBEDDED else None,
        }
        for entry in offered
        if entry["version"] == version
    }


def _version(values: Mapping[str, Any], versions: List[str], source: str) -> str:
    wanted = values.get("version")
    if wanted in (None, "", NEWEST):
        return versions[0]
    if wanted not in versions:
        raise InputError(
            "miniconda_version",
            wanted,
            f"{NEWEST} or a version of {source}: {', '.join(known.nearest(str(wanted), versions))}"
            + (f" and {len(versions) - 5} others" if len(versions) > 5 else ""),
            "choose one, or set miniconda_installer_url and miniconda_installer_sha256",
        )
    return str(wanted)


def _mirror(values: Mapping[str, Any]) -> Optional[str]:
    mirror = values.get("mirror")
    if mirror in (None, ""):
        return None
    return paths.check_url("miniconda_mirror", mirror, "give the base URL that replaces upstream's")
