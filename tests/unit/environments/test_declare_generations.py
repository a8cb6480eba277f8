"""How long generations live: what is declared of it, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.declare_generations import check_generations
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError


def test_what_is_declared_where_nothing_is_said() -> None:
    assert check_generations({}, ["x"]) == {
        "keep": 2, "pinned": [], "purge": False, "search_seconds": 10, "collect_shared": False, "adopt": [],
        "verify": "quick",
    }  # fmt: skip


def test_a_purge_needs_something_that_stays() -> None:
    with pytest.raises(InputError, match=r"environments_purge: true with an empty environments_list is not accepted"):
        check_generations({"purge": True}, [])
    assert check_generations({"purge": True}, ["x"])["purge"] is True
    assert check_generations({"purge": False}, [])["purge"] is False


@pytest.mark.parametrize(
    ("adopt", "found"),
    [(True, ["x", "y"]), ("true", ["x", "y"]), (["y"], ["y"]), (False, []), ("no", []), (None, [])],
)
def test_adopt_is_names_or_all(adopt: Any, found: list[str]) -> None:
    assert check_generations({"adopt": adopt}, ["x", "y"])["adopt"] == found


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"keep": -1}, "environments_keep: -1 is not accepted. Accepted: a whole number from 0 to 100."),
        ({"pinned": "x-0123456789ab-1"}, "environments_pinned: x-0123456789ab-1 is not accepted. Accepted: a list"),
        ({"pinned": ["x"]}, "environments_pinned: x is not accepted. Accepted: names of generations"),
        (
            {"adopt": ["z"]},
            "environments_adopt: z is not accepted. Accepted: true, or names of declared",
        ),
        ({"adopt": "x"}, "environments_adopt: x is not accepted. Accepted: a list of names."),
        ({"verify": "deep"}, "environments_verify: deep is not accepted. Accepted: quick, full."),
        ({"search_seconds": 0}, "environments_search_seconds: 0 is not accepted. Accepted: a whole number from 1 to"),
        ({"collect_shared": "nfs"}, "environments_collect_shared: nfs is not accepted. Accepted: true, false."),
        ({"purge": "maybe"}, "environments_purge: maybe is not accepted. Accepted: true, false."),
    ],
)
def test_what_is_refused(values: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as caught:
        check_generations(values, ["x"])
    assert str(caught.value).startswith(text)
