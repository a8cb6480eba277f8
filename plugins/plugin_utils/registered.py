# SPDX-License-Identifier: Apache-2.0
"""What the tasks of a run have registered of each host, for an action that decides over the whole fleet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def of_host(task_vars: Mapping[str, Any], host: str) -> Mapping[str, Any]:
    """A host's variables as they are: what modules returned holds no templates, and looking costs 40-180 ms."""
    known: Mapping[str, Any] = task_vars["hostvars"].raw_get(host)
    return known


def mapping(known: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One of them as a mapping; empty where it is none, or was never set."""
    value = known.get(name)
    return dict(value) if isinstance(value, Mapping) else {}


def told_once(hosts: Iterable[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    """What a task with `run_once` registered: one for each batch of hosts, however many of them hold it."""
    held = {id(one.get(name)): mapping(one, name) for one in hosts}
    return [one for one in held.values() if one]
