# SPDX-License-Identifier: Apache-2.0
"""The check of what `roles/shell_init` is given. Pure."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import paths
from ansible_collections.condafleet.core.plugins.module_utils.declare_values import boolean, list_of, one_of, some_of
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError
from ansible_collections.condafleet.core.plugins.module_utils.shell_text import MODES, SHELLS, STARTS

SCOPES = ("system", "users", "group")
STATES = ("present", "absent")


def check_shell_init(values: Mapping[str, Any]) -> Dict[str, Any]:
    """The declaration, resolved: {prefix, shells, scope, users, group, starts, mode, state, replace, system_root}."""
    scope = one_of("shell_init_scope", values.get("scope"), SCOPES)
    system_root = values.get("system_root") or "/"
    if not isinstance(system_root, str) or not system_root.startswith("/"):
        raise InputError("shell_init_system_root", system_root, "an absolute path", "correct it")
    return {
        "prefix": paths.check_prefix("shell_init_prefix", values.get("prefix")),
        "shells": some_of("shell_init_shells", values.get("shells"), SHELLS),
        "scope": scope,
        "users": _users(values.get("users") or [], scope),
        "group": _group(values.get("group"), scope),
        "starts": some_of("shell_init_starts", values.get("starts"), STARTS),
        # YAML reads a bare `off` as false.
        "mode": "off" if values.get("mode") is False else one_of("shell_init_mode", values.get("mode"), MODES),
        "state": one_of("shell_init_state", values.get("state"), STATES),
        "replace": boolean("shell_init_replace", values.get("replace", False)),
        "system_root": system_root.rstrip("/") or "/",
    }


def _users(users: Any, scope: str) -> List[str]:
    for name in list_of("shell_init_users", users, "a list of user names", "write it as a list"):
        if paths.check_account("shell_init_users", name) is None:
            raise InputError("shell_init_users", name, "names of users", "take the empty entry out")
    if users and scope != "users":
        raise InputError(
            "shell_init_users",
            ", ".join(users),
            f"nothing, while shell_init_scope is {scope}",
            "set the scope to users",
        )
    return list(dict.fromkeys(users))


def _group(value: Any, scope: str) -> Optional[str]:
    group = paths.check_account("shell_init_group", value)
    if group and scope != "group":
        raise InputError(
            "shell_init_group", group, f"nothing, while shell_init_scope is {scope}", "set the scope to group"
        )
    if not group and scope == "group":
        raise InputError(
            "shell_init_group", value, "the name of a group, with shell_init_scope group", "name the group"
        )
    return group
