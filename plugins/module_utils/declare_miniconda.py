# SPDX-License-Identifier: Apache-2.0
"""The check of what `roles/miniconda` is given. Pure: the catalog and the depot's manifest come as data."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import paths
from ansible_collections.condafleet.core.plugins.module_utils.declare_condarc import check_condarc
from ansible_collections.condafleet.core.plugins.module_utils.declare_sources import (
    NEWEST,
    check_access,
    check_installers,
)
from ansible_collections.condafleet.core.plugins.module_utils.depot_manifest import check_depot
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError

STATES = ("present", "absent")
FETCHERS = ("node", "controller")


def check_miniconda(
    values: Mapping[str, Any], catalog: Mapping[str, Any], manifest: Optional[Mapping[str, Any]]
) -> Dict[str, Any]:
    """The declaration, resolved: what module conda_installation takes, with `distribution`, `version`, `channels`.

    `values` are the role's variables without `miniconda_`, with depot_url and depot_sha256. `newest` says that no
    version was asked for: then an installation made by hand is as good.
    """
    depot_url = check_depot(values.get("depot_url"), values.get("depot_sha256"))
    manifest = manifest if depot_url else None
    installers = check_installers(values, catalog, manifest, depot_url)
    some = next(iter(installers.values()))
    names = [f"{entry['distribution']}-{entry['version'] or 'custom'}" for entry in installers.values()]
    return {
        "prefix": paths.check_prefix("miniconda_prefix", values.get("prefix"), longest_below(names)),
        "state": one_of("miniconda_state", values.get("state", "present"), STATES),
        "purge": boolean("miniconda_purge", values.get("purge", False)),
        "distribution": some["distribution"],
        "version": some["version"],
        "newest": values.get("version", NEWEST) == NEWEST and not values.get("installer_sha256"),
        "installers": installers,
        "fetch": one_of("miniconda_fetch", values.get("fetch", "node"), FETCHERS),
        "access": check_access(values),
        "downgrade": boolean("miniconda_downgrade", values.get("downgrade", False)),
        "repair": boolean("miniconda_repair", values.get("repair", False)),
        "keep": _keep(values.get("keep", 2)),
        **check_condarc(values, manifest, depot_url),
        "owner": paths.check_account("miniconda_owner", values.get("owner")),
        "group": paths.check_account("miniconda_group", values.get("group")),
        "mode": paths.check_mode("miniconda_mode", values.get("mode", "0755")),
        "umask": paths.check_umask("miniconda_umask", values.get("umask", "0022")),
        "timeout": paths.check_timeout("miniconda_timeout", values.get("timeout", 900)),
    }


def longest_below(names: Sequence[str]) -> int:
    """The bytes that an installation's own folder adds to the prefix: `.d/NAME-SERIAL`, with room for two digits."""
    return max(len(name) for name in names) + len(".d/") + len("-99")


def one_of(variable: str, value: Any, accepted: Sequence[str]) -> str:
    if value not in accepted:
        raise InputError(variable, value, ", ".join(accepted), "correct it")
    return str(value)


def boolean(variable: str, value: Any) -> bool:
    """A boolean, also as the text that `--extra-vars KEY=true` makes of it."""
    texts = {"true": True, "yes": True, "false": False, "no": False}
    found = texts.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise InputError(variable, value, "true, false", "correct it")
    return found


def _keep(value: Any) -> int:
    if isinstance(value, bool) or not str(value).isdigit() or int(value) < 1:
        raise InputError("miniconda_keep", value, "a number of at least 1", "correct it")
    return int(value)
