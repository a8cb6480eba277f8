# SPDX-License-Identifier: Apache-2.0
"""The check of what `roles/shell_init` is given. Pure."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import paths
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError
from ansible_collections.condafleet.core.plugins.module_utils.shell_text import MODES, SHELLS, STARTS

SCOPES = ("system", "users", "group")
STATES = ("present", "absent")


def check_shell_init(values: Mapping[str, Any]) -> Dict[str, Any]:
    """The declaration, resolved: {prefix, shells, scope, users, group, starts, mode, state, replace, system_root}."""
    scope = _one_of("shell_init_scope", values.get("scope"), SCOPES)
    replace = values.get("replace", False)
    if not isinstance(replace, bool):
        raise InputError("shell_init_replace", replace, "true, false", "correct it")
    system_root = values.get("system_root") or "/"
    if not isinstance(system_root, str) or not system_root.startswith("/"):
        raise InputError("shell_init_system_root", system_root, "an absolute path", "correct it")
    return {
        "prefix": paths.check_prefix("shell_init_prefix", values.get("prefix")),
        "shells": _some_of("shell_init_shells", values.get("shells"), SHELLS),
        "scope": scope,
        "users": _users(values.get("users") or [], scope),
        "group": _group(values.get("group"), scope),
        "starts": _some_of("shell_init_starts", values.get("starts"), STARTS),
        # YAML reads a bare `off` as false.
        "mode": "off" if values.get("mode") is False else _one_of("shell_init_mode", values.get("mode"), MODES),
        "state": _one_of("shell_init_state", values.get("state"), STATES),
        "replace": replace,
        "system_root": system_root.rstrip("/") or "/",
    }


def _users(users: Any, scope: str) -> List[str]:
    if not isinstance(users, (list, tuple)):
        raise InputError("shell_init_users", users, "a list of user names", "write it as a list")
    for name in users:
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


def _some_of(variable: str, value: Any, accepted: Sequence[str]) -> List[str]:
    if not isinstance(value, (list, tuple)) or not value:
        raise InputError(variable, value, "a list of " + ", ".join(accepted), "name at least one of them")
    return [_one_of(variable, name, accepted) for name in dict.fromkeys(value)]


def _one_of(variable: str, value: Any, accepted: Sequence[str]) -> str:
    if value not in accepted:
        raise InputError(variable, value, ", ".join(accepted), "correct it")
    return str(value)
