# SPDX-License-Identifier: Apache-2.0
"""Which check belongs to which role. Pure: what has to be read comes as data."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils.declare_environments import check_environments
from ansible_collections.condafleet.core.plugins.module_utils.declare_miniconda import check_miniconda, is_removal
from ansible_collections.condafleet.core.plugins.module_utils.declare_shell_init import check_shell_init
from ansible_collections.condafleet.core.plugins.module_utils.declare_validation import check_validation

Values = Mapping[str, Any]
Manifest = Optional[Mapping[str, Any]]

CHECKS: Dict[str, Callable[[Values, Values, Manifest], Dict[str, Any]]] = {
    "miniconda": check_miniconda,
    "shell_init": lambda values, catalog, manifest: check_shell_init(values),
    "environments": lambda values, catalog, manifest: check_environments(values, manifest),
    "validation": lambda values, catalog, manifest: check_validation(values, manifest),
}
# What a role needs of a depot. The list of all files is large, and for `depot verify` alone.
DEPOT_PARTS = ("kind", "platform", "glibc", "python", "channels", "index", "origins", "tools", "datasets", "packs")


def check(role: str, values: Values, catalog: Values, manifest: Manifest) -> Dict[str, Any]:
    """The role's declaration, resolved; InputError says what is wrong with it."""
    return CHECKS[role](values, catalog, manifest)


def reads_nothing(role: str, values: Values) -> bool:
    """Whether this declaration needs no file, no catalog and no depot, so that it can be carried out without them."""
    return role == "miniconda" and is_removal(values)


def depot_summary(depot_url: Optional[str], manifest: Manifest) -> Optional[Dict[str, Any]]:
    """What roles are told of a depot: its URL and the parts of its manifest that they need; None without a depot."""
    if not depot_url or manifest is None:
        return None
    return {"url": depot_url.rstrip("/"), **{part: manifest[part] for part in DEPOT_PARTS if part in manifest}}
