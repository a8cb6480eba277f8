# SPDX-License-Identifier: Apache-2.0
"""Nodes in pairs: which are to be tried together, round by round, and who is the culprit by what came of it. Pure."""

from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

Pair = Tuple[str, str]


class Verdict(NamedTuple):
    """`culprits` are {NODE: why}; of the `unclear` all pairs were bad, and nobody shows whose fault that is."""

    culprits: Dict[str, str]
    unclear: Dict[str, str]


def rounds(nodes: Sequence[str], most: int) -> List[List[Pair]]:
    """At most `most` rounds of disjoint pairs, so that all pairs of a round can run at once.

    The circle method: n - 1 rounds hold every pair once. Of an odd number one node pauses in each round.
    """
    ring: List[Optional[str]] = list(dict.fromkeys(nodes))
    if len(ring) % 2:
        ring.append(None)
    found = []
    for _dummy in range(min(most, len(ring) - 1)):
        half = len(ring) // 2
        pairs = zip(ring[:half], reversed(ring[half:]))
        found.append([(one, other) for one, other in pairs if one is not None and other is not None])
        # The first stays, the others go on by one.
        ring = [ring[0], ring[-1], *ring[1:-1]]
    return [pairs for pairs in found if pairs]


def judge(bad: Mapping[Pair, bool]) -> Verdict:
    """Who makes pairs bad: a node without one good pair, of which a partner has a good one with somebody else."""
    partners: Dict[str, Set[str]] = {}
    good: Set[str] = set()
    for (one, other), is_bad in bad.items():
        partners.setdefault(one, set()).add(other)
        partners.setdefault(other, set()).add(one)
        if not is_bad:
            good.update((one, other))
    culprits, unclear = {}, {}
    for node in sorted(set(partners) - good):
        cleared = sorted(partners[node] & good)
        count = len(partners[node])
        said = "its pair was bad" if count == 1 else "all its %d pairs were bad" % count
        if cleared:
            culprits[node] = "%s, and %s good with others" % (said, _were(cleared))
        else:
            unclear[node] = "%s, and no partner has a good one with others" % said
    return Verdict(culprits, unclear)


def _were(names: Sequence[str]) -> str:
    return "%s was" % names[0] if len(names) == 1 else "%s were" % " and ".join([", ".join(names[:-1]), names[-1]])
