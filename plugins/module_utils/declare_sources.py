# SPDX-License-Identifier: Apache-2.0
"""The check of which installer is wanted, and of every place that may have it. Pure: catalog and manifest are data."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import catalog as known
from ansible_collections.condafleet.core.plugins.module_utils import paths
from ansible_collections.condafleet.core.plugins.module_utils.declare_access import check_auth
from ansible_collections.condafleet.core.plugins.module_utils.declare_values import some_of
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError
from ansible_collections.condafleet.core.plugins.module_utils.origins import join

EMBEDDED = "embedded"
NEWEST = "newest"
# For a secret in an installer's own URL.
ELSEWHERE = "let it come from a miniconda_mirror with miniconda_mirror_auth, or set miniconda_installer_path to a copy"
SOURCES = ("depot", "mirror", "upstream")
HEX64 = re.compile(r"[0-9a-fA-F]{64}")

Installers = Dict[str, Dict[str, Any]]
Manifest = Optional[Mapping[str, Any]]


def check_installers(
    values: Mapping[str, Any], catalog: Mapping[str, Any], manifest: Manifest, depot_url: Optional[str]
) -> Installers:
    """{architecture: {filename, sha256, size, version, distribution, glibc, sources: [{kind, url}]}}.

    An explicit installer goes before all. Else `sources` are the declared ones, in their order, that can have the file:
    a depot that lists it, a mirror if one is declared, upstream if the catalog knows where that is.
    """
    order = _order(values.get("sources"))
    mirror = _mirror(values)
    explicit = _explicit(values)
    if explicit:
        return explicit
    depot = Depot(manifest, depot_url if "depot" in order else None)
    distribution = _distribution(values, catalog, depot, order)
    version = _version(values, catalog, depot, distribution, order)
    listed, offered = known.entries(catalog, distribution, version), depot.entries(distribution, version)
    found = {}
    for architecture in sorted({*listed, *offered}):
        # Upstream's name for the file, which mirrors use too, goes before the depot's.
        entry = {**offered.get(architecture, {}), **listed.get(architecture, {})}
        _agree(listed.get(architecture), offered.get(architecture), depot_url)
        sources = []
        for kind in order:
            sources += _places(kind, offered.get(architecture), listed.get(architecture), catalog, depot, mirror)
        if sources:
            found[architecture] = _installer(entry, depot.glibc if distribution == EMBEDDED else None, sources)
    if not found:
        raise InputError(
            "miniconda_sources",
            ", ".join(order),
            f"sources that have {distribution} {version}"
            + ("" if mirror else " (mirror counts once miniconda_mirror is set, depot if it holds that version)"),
            "add upstream, set miniconda_mirror, or build a depot with it",
        )
    return found


def wants_newest(values: Mapping[str, Any]) -> bool:
    """Whether no version is asked for: a variable that is null or empty asks for none."""
    return values.get("version") in (None, "", NEWEST) and not values.get("installer_sha256")


class Depot:
    """What a depot offers: nothing, where none is declared."""

    def __init__(self, manifest: Manifest, url: Optional[str]) -> None:
        self.url = url or ""
        self.installers: List[Mapping[str, Any]] = list((manifest or {}).get("installers") or []) if url else []
        self.glibc: Optional[str] = (manifest or {}).get("glibc")

    def versions(self, distribution: str) -> List[str]:
        """Newest first."""
        found = {entry["version"] for entry in self.installers if entry["distribution"] == distribution}
        return sorted(found, key=known.sort_key, reverse=True)

    def entries(self, distribution: str, version: str) -> Dict[str, Dict[str, Any]]:
        return {
            entry["arch"]: {**entry, "file": entry["path"].rsplit("/", 1)[-1]}
            for entry in self.installers
            if (entry["distribution"], entry["version"]) == (distribution, version)
        }


def _installer(entry: Mapping[str, Any], glibc: Optional[str], sources: List[Dict[str, str]]) -> Dict[str, Any]:
    return {
        "filename": entry["file"],
        "sha256": entry["sha256"].lower(),
        "size": entry.get("size"),
        "version": entry["version"],
        "distribution": entry["distribution"],
        # The embedded one is made from the build host's own Python.
        "glibc": glibc,
        "sources": sources,
    }


def _places(
    kind: str,
    offered: Optional[Mapping[str, Any]],
    listed: Optional[Mapping[str, Any]],
    catalog: Mapping[str, Any],
    depot: Depot,
    mirror: Optional[str],
) -> List[Dict[str, str]]:
    if kind == "depot":
        return [{"kind": kind, "url": join(depot.url, offered["path"])}] if offered else []
    if kind == "mirror":
        # A mirror has what the catalog knows, by the same names.
        return [{"kind": kind, "url": known.below(mirror, listed)}] if mirror and listed else []
    if not listed:
        return []
    if listed.get("path"):
        return [{"kind": "path", "url": listed["path"]}]
    place = known.upstream(catalog, listed)
    return [{"kind": kind, "url": place}] if place else []


def _agree(listed: Optional[Mapping[str, Any]], offered: Optional[Mapping[str, Any]], depot_url: Optional[str]) -> None:
    """InputError where depot and catalog know one installer by two hashes: then one of them is not what it seems."""
    if listed and offered and listed["sha256"].lower() != offered["sha256"].lower():
        raise InputError(
            "depot_url",
            f"{depot_url} (its {offered['file']} has sha256 {offered['sha256'][:12]}…)",
            f"a depot whose installers are those of the catalog ({listed['sha256'][:12]}…)",
            "see where that installer came from, and build the depot again",
        )


def _order(declared: Any) -> List[str]:
    if declared is None:
        return list(SOURCES)
    order = some_of("miniconda_sources", declared, SOURCES)
    if len(order) != len(declared):
        raise InputError("miniconda_sources", declared, "each source once", "correct it")
    return order


def _distribution(values: Mapping[str, Any], catalog: Mapping[str, Any], depot: Depot, order: Sequence[str]) -> str:
    distribution = values.get("distribution")
    accepted = sorted({*known.distributions(catalog), EMBEDDED})
    if distribution not in accepted:
        raise InputError(
            "miniconda_distribution",
            distribution,
            ", ".join(accepted),
            "choose one, add it to a miniconda_catalog (`condafleet catalog add`), or set miniconda_installer_url",
        )
    if distribution == EMBEDDED and not depot.versions(EMBEDDED) and not known.versions(catalog, EMBEDDED):
        raise InputError(
            "miniconda_distribution",
            distribution,
            "embedded only with a depot that holds it"
            + ("" if "depot" in order else " and is one of miniconda_sources"),
            "build one (`condafleet depot build --embedded DIR`) and set depot_url and depot_sha256",
        )
    return str(distribution)


def _version(
    values: Mapping[str, Any], catalog: Mapping[str, Any], depot: Depot, distribution: str, order: Sequence[str]
) -> str:
    """The declared version; for `newest`, the catalog's, or the depot's where that stands first and has any."""
    offered, listed = depot.versions(distribution), known.versions(catalog, distribution)
    if wants_newest(values):
        return (offered if offered and (order[0] == "depot" or not listed) else listed)[0]
    wanted = values.get("version")
    versions = sorted({*offered, *listed}, key=known.sort_key, reverse=True)
    if wanted not in versions:
        raise InputError(
            "miniconda_version",
            wanted,
            f"{NEWEST} or a version of {distribution}: {', '.join(known.nearest(str(wanted), versions))}"
            + (f" and {len(versions) - 5} others" if len(versions) > 5 else ""),
            "choose one, or set miniconda_installer_url and miniconda_installer_sha256",
        )
    return str(wanted)


def _explicit(values: Mapping[str, Any]) -> Optional[Installers]:
    url, path = values.get("installer_url") or None, values.get("installer_path") or None
    sha256 = values.get("installer_sha256") or None
    if url is None and path is None and sha256 is None:
        return None
    if url is not None and path is not None:
        raise InputError(
            "miniconda_installer_path",
            path,
            "nothing, while miniconda_installer_url is set",
            "leave out one of the two",
        )
    if path is not None:
        if not isinstance(path, str) or not re.fullmatch(r"/\S.*", path):
            raise InputError("miniconda_installer_path", path, "the path of a file on the controller", "correct it")
        place = {"kind": "path", "url": path}
    else:
        url = paths.check_url(
            "miniconda_installer_url", url, "set it together with miniconda_installer_sha256", ELSEWHERE
        )
        place = {"kind": "url", "url": url}
    if not isinstance(sha256, str) or not HEX64.fullmatch(sha256):
        raise InputError(
            "miniconda_installer_sha256",
            sha256,
            "the sha256 of the installer, 64 hexadecimal digits",
            "take it from the publisher's page, or run sha256sum on a copy that you trust",
        )
    architecture, entry = known.from_url(place["url"], sha256)
    return {architecture: {**entry, "size": None, "glibc": None, "sources": [place]}}


def _mirror(values: Mapping[str, Any]) -> Optional[str]:
    mirror = values.get("mirror")
    if mirror in (None, ""):
        check_auth(values.get("mirror_auth"), None)
        return None
    checked = paths.check_url(
        "miniconda_mirror",
        mirror,
        "give the base URL that replaces upstream's",
        "take it out, and give it by miniconda_mirror_auth",
    )
    check_auth(values.get("mirror_auth"), checked)
    return checked
