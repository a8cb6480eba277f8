# SPDX-License-Identifier: Apache-2.0
"""Many nodes' names in few words: `node[01-12,20],login1`, as cluster tools write them. Pure."""

from __future__ import annotations

import re
from typing import Dict, Iterable, List, Set, Tuple

# The last number of a name's first label; of an address, the last number.
_LABEL = re.compile(r"^(?P<before>[^.]*?)(?P<number>\d+)(?P<after>[^.\d]*(?:\..*)?)$")
_ADDRESS = re.compile(r"^(?P<before>\d+\.\d+\.\d+\.)(?P<number>\d+)(?P<after>)$")


def folded(names: Iterable[str]) -> str:
    """The names in order, those that differ in one number as ranges."""
    series: Dict[Tuple[str, str], Set[str]] = {}
    alone: List[str] = []
    for name in set(names):
        found = _ADDRESS.match(name) or _LABEL.match(name)
        if found:
            series.setdefault((found.group("before"), found.group("after")), set()).add(found.group("number"))
        else:
            alone.append(name)
    parts = [(name, name) for name in alone]
    for (before, after), numbers in series.items():
        for width, values in _by_width(numbers).items():
            shown = ["%0*d" % (width, value) for value in values]
            text = shown[0] if len(values) == 1 else "[%s]" % _ranges(values, width)
            parts.append((before + shown[0] + after, before + text + after))
    return ",".join(text for _key, text in sorted(parts))


def without_name(name: str, text: str, instead: str) -> str:
    """A text with something else in the place of a node's name, where it stands as a word by itself.

    So `n1` is left in `n12`, and `local` in `/usr/local`; in `https://n1:8080/` it is the node.
    """
    return re.sub(r"(?<![\w.-])(?<![^/]/)%s(?![\w-])" % re.escape(name), lambda _found: instead, text)


def _by_width(numbers: Iterable[str]) -> Dict[int, List[int]]:
    """{width: numbers in order}. Of names like n01 … n12 all have the width 2, of n1 … n12 none has one."""
    numbers = list(numbers)
    padded = {len(number) for number in numbers if number.startswith("0") and len(number) > 1}
    found: Dict[int, List[int]] = {}
    for number in numbers:
        found.setdefault(len(number) if len(number) in padded else 0, []).append(int(number))
    return {width: sorted(values) for width, values in found.items()}


def _ranges(values: List[int], width: int) -> str:
    runs: List[List[int]] = []
    for value in values:
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ",".join(
        "%0*d" % (width, first) if first == last else "%0*d-%0*d" % (width, first, width, last) for first, last in runs
    )
