"""The environment variables that Ansible is started with, and what the user's own configuration says of them."""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Mapping
from pathlib import Path

# Where Ansible looks for collections if nobody says otherwise.
ANSIBLE_COLLECTIONS = "~/.ansible/collections:/usr/share/ansible/collections"
# Locks and specs stand beside an inventory; given the folder, Ansible would read them as inventories too.
NO_INVENTORIES = ("^locks$", "^environments$")
# What a fleet needs and Ansible does not do by itself, where the user's own settings say nothing of it:
# variable, its value, and the places in an ansible.cfg that also set it.
FLEET_DEFAULTS = (
    ("ANSIBLE_FORKS", "50", (("defaults", "forks"),)),
    ("ANSIBLE_PIPELINING", "True", (("connection", "pipelining"), ("ssh_connection", "pipelining"))),
    ("ANSIBLE_SSH_RETRIES", "3", (("connection", "retries"), ("ssh_connection", "retries"))),
)


def environment(root: Path, outer: Mapping[str, str], cwd: Path) -> dict[str, str]:
    """Return the variables that differ from the caller's environment."""
    return {
        # Without an activated venv, the ansible-playbook beside this Python would not be found.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), outer.get("PATH", os.defpath)]),
        # First the content of this version: a copy in ~/.ansible may be older.
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join([str(root), user_collections(outer, cwd)]),
        # The groups that a run makes do not exist when no node needs them; that is no reason for a warning.
        "ANSIBLE_HOST_PATTERN_MISMATCH": "ignore",
        "ANSIBLE_INVENTORY_IGNORE_REGEX": ignored(outer, cwd),
        **fleet_defaults(outer, cwd),
    }


def fleet_defaults(outer: Mapping[str, str], cwd: Path) -> dict[str, str]:
    """Return the settings for a fleet that the user has not set, in the environment or in ansible.cfg."""
    config = ansible_config(outer, cwd)
    return {
        name: value
        for name, value, places in FLEET_DEFAULTS
        if not outer.get(name) and not any(setting(config, section, key) for section, key in places)
    }


def user_collections(outer: Mapping[str, str], cwd: Path) -> str:
    """Return the collection paths that Ansible would use by itself: environment, then ansible.cfg, then default."""
    if outer.get("ANSIBLE_COLLECTIONS_PATH"):
        return outer["ANSIBLE_COLLECTIONS_PATH"]
    config = ansible_config(outer, cwd)
    found = setting(config, "defaults", "collections_path")
    if config is None or not found:
        return ANSIBLE_COLLECTIONS
    parts = (Path(part.strip()).expanduser() for part in found.split(os.pathsep))
    return os.pathsep.join(os.path.normpath(config.parent / part) for part in parts)


def ignored(outer: Mapping[str, str], cwd: Path) -> str:
    """Return what Ansible is to pass over in an inventory folder: what the user says, and condafleet's own folders."""
    config = ansible_config(outer, cwd)
    own = (
        outer.get("ANSIBLE_INVENTORY_IGNORE_REGEX")
        or setting(config, "inventory", "ignore_patterns")
        or setting(config, "defaults", "inventory_ignore_patterns")
    )
    return ",".join(filter(None, (own, *NO_INVENTORIES)))


def setting(config: Path | None, section: str, key: str) -> str:
    """Return a value of an ansible.cfg, or nothing. Ansible itself says best what is wrong with a broken one."""
    parser = configparser.ConfigParser(inline_comment_prefixes=(";",), interpolation=None)
    try:
        parser.read(config or (), encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return ""
    return parser.get(section, key, fallback="")


def ansible_config(outer: Mapping[str, str], cwd: Path) -> Path | None:
    """Return the ansible.cfg that Ansible will read, in Ansible's own order."""
    named = outer.get("ANSIBLE_CONFIG")
    if named:
        path = (cwd / Path(named).expanduser()).absolute()
        candidates = [path / "ansible.cfg" if path.is_dir() else path]
    else:
        candidates = []
    if not cwd.stat().st_mode & 0o002:  # Ansible ignores an ansible.cfg in a folder that everybody can write to
        candidates.append(cwd / "ansible.cfg")
    candidates += [Path(outer.get("HOME", "~")).expanduser() / ".ansible.cfg", Path("/etc/ansible/ansible.cfg")]
    return next((path for path in candidates if path.is_file()), None)
