# SPDX-License-Identifier: Apache-2.0
"""Nested mappings, as data comes out of Ansible: reading what may be missing, and putting two together. Pure."""

from __future__ import annotations

from typing import Any, Mapping


def at(data: Any, *path: str) -> dict[str, Any]:
    """Return the mapping at a path, or an empty one."""
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    return dict(data) if isinstance(data, Mapping) else {}


def merge(older: Mapping[str, Any], newer: Mapping[str, Any]) -> dict[str, Any]:
    """Return both, mapping by mapping; where both have a value, the newer one."""
    merged = dict(older)
    for key, value in newer.items():
        known = merged.get(key)
        merged[key] = merge(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return merged


def worst(found: list[str], order: tuple[str, ...], default: str) -> str:
    """Return the one of `found` that stands last in `order`; one that the order does not know is `default`."""
    ranked = [one if one in order else default for one in found]
    return max(ranked, key=order.index) if ranked else default
