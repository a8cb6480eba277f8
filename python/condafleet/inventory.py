"""What a caller may give as inventory, checked before anything is started."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from condafleet.errors import InputError

Inventory = str | Path | Mapping[str, Any] | Sequence[str]

ACCEPTED = "a path of an inventory file or folder, a mapping in Ansible's YAML form, or a list of host names"


@dataclass(frozen=True)
class InventorySource:
    """One checked inventory: either something that Ansible's `-i` takes, or the text of a file to be written."""

    argument: str | None
    text: str | None = None


def inventory_source(inventory: Inventory, *, folder: Path | None = None) -> InventorySource:
    """Check an inventory and bring it into the form in which Ansible gets it.

    `folder` (default: the current directory) is what relative paths mean; for a mapping or a list it is also where
    the locks go, since such an inventory has no folder of its own. Raises InputError.
    """
    base = folder or Path.cwd()
    if isinstance(inventory, str | Path):
        return _from_path(inventory, base)
    if isinstance(inventory, Mapping):
        return _from_mapping(inventory, base)
    return _from_hosts(inventory, base)


def _refuse(value: object, why: str) -> InputError:
    return InputError(
        f"inventory: {value} is not accepted ({why}). Accepted: {ACCEPTED}. "
        "Next: copy inventories/example and name your nodes there. Nothing was changed."
    )


def _from_path(inventory: str | Path, base: Path) -> InventorySource:
    if not str(inventory).strip():
        raise _refuse("an empty value", "nothing was given")
    # ansible-runner takes a relative path for the *text* of an inventory: only absolute ones that exist go on.
    path = (base / Path(inventory).expanduser()).absolute()
    if not path.exists():
        raise _refuse(inventory, "there is no such file or folder")
    return InventorySource(argument=str(path))


def _from_hosts(hosts: Sequence[str], base: Path) -> InventorySource:
    if not hosts:
        raise _refuse("an empty list", "it names no host")
    for host in hosts:
        if not isinstance(host, str) or not host.strip() or any(letter in host for letter in ", \t\n"):
            raise _refuse(repr(host), "a host name is text without comma and space")
    return _from_mapping({"all": {"hosts": {host: {} for host in hosts}}}, base)


def _from_mapping(inventory: Mapping[str, Any], base: Path) -> InventorySource:
    if not inventory:
        raise _refuse("an empty mapping", "it names no host")
    groups = {str(name): group for name, group in inventory.items()}
    for name, group in groups.items():
        if group is not None and not isinstance(group, Mapping):
            raise _refuse(f"group {name}: {group!r}", "a group is a mapping with hosts, children or vars")
    everyone = dict(groups.get("all") or {})
    variables = dict(everyone.get("vars") or {})
    # The roles' default is beside the inventory, and this one is written to a folder that is deleted afterwards.
    variables.setdefault("environments_locks_dir", str(base / "locks"))
    everyone["vars"] = variables
    groups["all"] = everyone
    try:
        return InventorySource(argument=None, text=json.dumps(groups, indent=1))
    except (TypeError, ValueError) as error:
        raise _refuse("the mapping", f"it cannot be written as JSON: {error}") from error
