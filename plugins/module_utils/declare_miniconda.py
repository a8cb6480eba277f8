# SPDX-License-Identifier: Apache-2.0
"""The check of what `roles/miniconda` is given. Pure: the catalog and the depot's manifest come as data."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import paths
from ansible_collections.condafleet.core.plugins.module_utils.declare_access import check_access
from ansible_collections.condafleet.core.plugins.module_utils.declare_condarc import TOS, check_condarc
from ansible_collections.condafleet.core.plugins.module_utils.declare_sources import check_installers, wants_newest
from ansible_collections.condafleet.core.plugins.module_utils.declare_values import boolean, one_of, seconds, whole
from ansible_collections.condafleet.core.plugins.module_utils.depot_manifest import check_depot

STATES = ("present", "absent")
ABSENT = STATES[1]
FETCHERS = ("node", "controller")


def check_miniconda(
    values: Mapping[str, Any], catalog: Mapping[str, Any], manifest: Optional[Mapping[str, Any]]
) -> Dict[str, Any]:
    """The declaration, resolved: what module conda_installation takes, with `distribution`, `version`, `channels`.

    `values` are the role's variables without `miniconda_`, with depot_url and depot_sha256. `newest` says that no
    version was asked for: then an installation made by hand is as good.
    """
    if is_removal(values):
        return _removal(values)
    depot_url = check_depot(values.get("depot_url"), values.get("depot_sha256"))
    manifest = manifest if depot_url else None
    installers = check_installers(values, catalog, manifest, depot_url)
    some = next(iter(installers.values()))
    names = [f"{entry['distribution']}-{entry['version'] or 'custom'}" for entry in installers.values()]
    return {
        **_common(values, longest_below(names)),
        "distribution": some["distribution"],
        "version": some["version"],
        "newest": wants_newest(values),
        "installers": installers,
        "fetch": one_of("miniconda_fetch", values.get("fetch", "node"), FETCHERS),
        "access": check_access(values),
        "downgrade": boolean("miniconda_downgrade", values.get("downgrade", False)),
        "repair": boolean("miniconda_repair", values.get("repair", False)),
        **check_condarc(values, manifest, depot_url),
        "owner": paths.check_account("miniconda_owner", values.get("owner")),
        "group": paths.check_account("miniconda_group", values.get("group")),
        "mode": paths.check_mode("miniconda_mode", values.get("mode", "0755")),
        "umask": paths.check_umask("miniconda_umask", values.get("umask", "0022")),
    }


def is_removal(values: Mapping[str, Any]) -> bool:
    """Whether an installation shall go: then nothing is read or needed of what making one takes."""
    return bool(values.get("state") == ABSENT)


def longest_below(names: Sequence[str]) -> int:
    """The bytes that an installation's own folder adds to the prefix: `.d/NAME-SERIAL`, with room for two digits."""
    return max(len(name) for name in names) + len(".d/") + len("-99")


def _common(values: Mapping[str, Any], below: int) -> Dict[str, Any]:
    return {
        "prefix": paths.check_prefix("miniconda_prefix", values.get("prefix"), below),
        "state": one_of("miniconda_state", values.get("state", STATES[0]), STATES),
        "purge": boolean("miniconda_purge", values.get("purge", False)),
        "keep": whole("miniconda_keep", values.get("keep", 2), 1),
        "timeout": seconds("miniconda_timeout", values.get("timeout", 900)),
    }


def _removal(values: Mapping[str, Any]) -> Dict[str, Any]:
    """The same keys. What says how an installation is made has no part in its removal, and may be out of reach."""
    return {
        **_common(values, 0),
        "distribution": None,
        "version": None,
        "newest": False,
        "installers": {},
        "fetch": FETCHERS[0],
        "access": {},
        "downgrade": False,
        "repair": False,
        "channels": [],
        "tos": TOS[0],
        "condarc": None,
        "owner": None,
        "group": None,
        "mode": None,
        "umask": "0022",
    }
