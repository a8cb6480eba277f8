# SPDX-License-Identifier: Apache-2.0
"""The check of what `roles/shell_init` is given. Pure."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import paths
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError

SHELLS = ("bash", "zsh")
SCOPES = ("system", "users")
STATES = ("present", "absent")


def check_shell_init(values: Mapping[str, Any]) -> Dict[str, Any]:
    """The declaration, resolved: {prefix, shells, scope, users, state, replace, system_root}."""
    scope = _one_of("shell_init_scope", values.get("scope"), SCOPES)
    users = values.get("users") or []
    if not isinstance(users, (list, tuple)):
        raise InputError("shell_init_users", users, "a list of user names", "write it as a list")
    for name in users:
        if paths.check_account("shell_init_users", name) is None:
            raise InputError("shell_init_users", name, "names of users", "take the empty entry out")
    if users and scope == "system":
        raise InputError(
            "shell_init_users", ", ".join(users), "nothing, while shell_init_scope is system", "set the scope to users"
        )
    replace = values.get("replace", False)
    if not isinstance(replace, bool):
        raise InputError("shell_init_replace", replace, "true, false", "correct it")
    system_root = values.get("system_root") or "/"
    if not isinstance(system_root, str) or not system_root.startswith("/"):
        raise InputError("shell_init_system_root", system_root, "an absolute path", "correct it")
    return {
        "prefix": paths.check_prefix("shell_init_prefix", values.get("prefix")),
        "shells": _shells(values.get("shells")),
        "scope": scope,
        "users": list(dict.fromkeys(users)),
        "state": _one_of("shell_init_state", values.get("state"), STATES),
        "replace": replace,
        "system_root": system_root.rstrip("/") or "/",
    }


def _shells(value: Any) -> List[str]:
    if not isinstance(value, (list, tuple)) or not value:
        raise InputError("shell_init_shells", value, "a list of " + ", ".join(SHELLS), "name at least one shell")
    return [_one_of("shell_init_shells", name, SHELLS) for name in dict.fromkeys(value)]


def _one_of(variable: str, value: Any, accepted: Sequence[str]) -> str:
    if value not in accepted:
        raise InputError(variable, value, ", ".join(accepted), "correct it")
    return str(value)
