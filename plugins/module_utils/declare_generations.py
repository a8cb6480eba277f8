# SPDX-License-Identifier: Apache-2.0
"""The check of how long generations live: how many are kept, which always, what is removed, adopted, compared. Pure."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.condafleet.core.plugins.module_utils.declare_values import (
    boolean,
    list_of,
    one_of,
    truth,
    whole,
)
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError
from ansible_collections.condafleet.core.plugins.module_utils.generations import parse_name

MOST_KEPT = 100
LONGEST_SEARCH = 3600
VERIFY = ("quick", "full")


def check_generations(values: Mapping[str, Any], names: Sequence[str]) -> Dict[str, Any]:
    """{keep, pinned: [generation], purge, search_seconds, collect_shared, adopt: [environment], verify}. `names` are
    the declared environments."""
    return {
        "keep": whole("environments_keep", values.get("keep", 2), 0, MOST_KEPT),
        "pinned": [_generation(one) for one in _names("environments_pinned", values.get("pinned") or [])],
        "purge": _purge(values.get("purge", False), names),
        "search_seconds": whole("environments_search_seconds", values.get("search_seconds", 10), 1, LONGEST_SEARCH),
        "collect_shared": boolean("environments_collect_shared", values.get("collect_shared", False)),
        "adopt": _adopt(values.get("adopt") or [], names),
        "verify": one_of("environments_verify", values.get("verify", "quick"), VERIFY),
    }


def _purge(value: Any, names: Sequence[str]) -> bool:
    asked = boolean("environments_purge", value)
    if asked and not names:
        raise InputError(
            "environments_purge",
            "true with an empty environments_list",
            "true where at least one environment is declared: an empty list is mostly a file that was not found",
            "declare what is to stay, or remove everything with the playbook uninstall",
        )
    return asked


def _names(variable: str, value: Any) -> List[str]:
    return [str(one) for one in list_of(variable, value, "a list of names")]


def _generation(name: str) -> str:
    if not parse_name(name):
        raise InputError(
            "environments_pinned", name, "names of generations, such as pytorch-0123456789ab-1", "correct it"
        )
    return name


def _adopt(value: Any, names: Sequence[str]) -> List[str]:
    said = truth(value)
    if said is not None:
        return list(names) if said else []
    asked = _names("environments_adopt", value)
    for name in asked:
        if name not in names:
            raise InputError(
                "environments_adopt",
                name,
                "true, or names of declared environments: %s" % (", ".join(names) or "none is declared"),
                "declare it in environments_list, or correct the name",
            )
    return asked
