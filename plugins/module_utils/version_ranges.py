# Copyright condafleet maintainers
# SPDX-License-Identifier: Apache-2.0
"""Whether a version lies in a range, by conda's notation or the Python index's: their numbers alone count. Pure."""

from __future__ import annotations

import re
from typing import Optional, Sequence, Tuple

_PART = re.compile(r"^(===|==|!=|>=|<=|~=|>|<|=)?\s*(\d+(?:\.\d+)*)(.*)$")


def lies_in(version: str, text: str) -> Optional[bool]:
    """Whether `3.11.9` lies in `>=3.11,<3.12.0a0`, `3.10.*|3.11.*` or `~=3.9`; None where that can't be told.

    What follows the numbers (`a0`, `rc1`) does not count, so that a doubt is never a refusal.
    """
    has = numbers(version)
    if not has:
        return None
    answers = [_all(has, one) for one in text.split("|")]
    return True if True in answers else None if None in answers else False


def numbers(version: str) -> Tuple[int, ...]:
    """`2.36` → (2, 36); an epoch or anything behind the numbers is left out."""
    found = re.match(r"^v?(?:\d+!)?(\d+(?:\.\d+)*)", version.strip())
    return tuple(map(int, found.group(1).split("."))) if found else ()


def _all(has: Sequence[int], text: str) -> Optional[bool]:
    # What stands behind a blank is a build.
    parts = [one.strip() for one in re.sub(r"(?<=[\d*a-z])\s+[^,<>=!~]*", "", text).split(",")]
    answers = [_one(has, part) for part in parts if part and part != "*"]
    return False if False in answers else None if None in answers else True


def _one(has: Sequence[int], part: str) -> Optional[bool]:
    found = _PART.match(part)
    if not found:
        return None
    operator, wants, rest = found.group(1) or "=", tuple(map(int, found.group(2).split("."))), found.group(3)
    begins = tuple(has[: len(wants)]) == wants
    if operator in ("==", "===", "!=") and not rest.startswith(".*"):
        same = _padded(has, wants) == _padded(wants, has)
        return same if operator != "!=" else not same
    if operator in ("=", "==", "===", "!="):
        return begins if operator != "!=" else not begins
    mine, theirs = _padded(has, wants), _padded(wants, has)
    if operator == "~=":
        return mine >= theirs and tuple(has[: len(wants) - 1]) == wants[:-1]
    return {">=": mine >= theirs, "<=": mine <= theirs, ">": mine > theirs, "<": mine < theirs}[operator]


def _padded(one: Sequence[int], other: Sequence[int]) -> Tuple[int, ...]:
    return tuple(one) + (0,) * (max(len(one), len(other)) - len(one))
