# SPDX-License-Identifier: Apache-2.0
"""Secrets that a task names by their variable: a task's options are shown and stored by callbacks, and a name tells
nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.condafleet.core.plugins.module_utils.host_auth import check_hosts


def secret_of(templar: Any, task_vars: Mapping[str, Any], name: Any) -> Any:
    """The content of the variable, None where there is none of that name."""
    return templar.resolve_variable_expression(str(name)) if name and name in task_vars else None


def hosts_of(templar: Any, task_vars: Mapping[str, Any], name: Any) -> dict[str, dict[str, str]]:
    """Credentials by host, checked; InputError, which holds none of them, where their form is not known."""
    return check_hosts(secret_of(templar, task_vars, name))
