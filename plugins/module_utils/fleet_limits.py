# SPDX-License-Identifier: Apache-2.0
"""Limits that are learnt from the fleet: which nodes stand apart from others of their kind. Pure.

Robust figures alone: the median, and the median of the distances to it (MAD). A mean and its standard deviation are
pulled by the very nodes that are sought: a lone outlier's z-score cannot exceed (n-1)/√n, so three sigma never fire
below 11 values. Two conditions have to hold, or noise would condemn nodes of a fleet that is very even (MAD near 0): so
many deviations, and at least so many percent from the median.
"""

from __future__ import annotations

import statistics
from typing import Any, Dict, Hashable, List, Mapping, NamedTuple, Optional, Sequence

# Of a normal distribution, 1.4826 MADs are one standard deviation.
SIGMA = 1.4826
# Below, a median says nothing: of two nodes, either may be the odd one.
FEWEST = 3
# With three or four values the MAD itself is that of one or two nodes: only the distance in percent counts, doubled.
FEW = 5


class Band(NamedTuple):
    """What the fleet has shown: values from `low` to `high` are like the others'."""

    median: float
    low: float
    high: float
    count: int
    source: str


def band(values: Sequence[float], deviations: float, gap_percent: float) -> Optional[Band]:
    """The band of `values`, None where there are too few to say.

    `deviations` are in standard deviations as the MAD estimates them, `gap_percent` is the least distance from the
    median that counts, in percent of it.
    """
    if len(values) < FEWEST:
        return None
    median = statistics.median(values)
    spread = SIGMA * statistics.median(abs(value - median) for value in values) * deviations
    gap = abs(median) * gap_percent / 100.0
    width = 2 * gap if len(values) < FEW else max(spread, gap)
    said = "median of %d: %.4g, %s" % (
        len(values),
        median,
        "± %g %%, as for few values" % (2 * gap_percent)
        if len(values) < FEW
        else "± %g deviations by the MAD, at least %g %%" % (deviations, gap_percent),
    )
    return Band(median, median - width, median + width, len(values), said)


def outliers(values: Mapping[str, float], better: str, deviations: float, gap_percent: float) -> Dict[str, Band]:
    """{NAME: the band that it stands outside of}, on the bad side alone. `better` is `higher`, `lower` or `same`."""
    found = band(list(values.values()), deviations, gap_percent)
    if found is None:
        return {}
    below = [name for name, value in values.items() if value < found.low]
    above = [name for name, value in values.items() if value > found.high]
    # Where half of them stand apart there is nothing that they stand apart from.
    if 2 * len(below + above) >= len(values):
        return {}
    bad = {"higher": below, "lower": above, "same": below + above}[better]
    return {name: found for name in values if name in bad}


def odd_ones(values: Mapping[str, Hashable]) -> Dict[str, Any]:
    """{NAME: what most others have}: whose value differs from that of more than half; nothing without a majority."""
    counts: Dict[Hashable, int] = {}
    for value in values.values():
        counts[value] = counts.get(value, 0) + 1
    if len(values) < FEWEST:
        return {}
    common, count = max(counts.items(), key=lambda item: item[1])
    if 2 * count <= len(values):
        return {}
    return {name: common for name, value in values.items() if value != common}


def curve_outliers(
    curves: Mapping[str, Sequence[float]], deviations: float, gap_percent: float
) -> Dict[str, List[str]]:
    """{NAME: sentences}: curves (a figure for each epoch) that leave the band of the others at some epoch."""
    found: Dict[str, List[str]] = {}
    for epoch in range(max((len(curve) for curve in curves.values()), default=0)):
        values = {name: curve[epoch] for name, curve in curves.items() if len(curve) > epoch}
        for name, seen in outliers(values, "same", deviations, gap_percent).items():
            found.setdefault(name, []).append(
                "epoch %d: %.4g, the others' band is %.4g to %.4g (%s)"
                % (epoch + 1, values[name], seen.low, seen.high, seen.source)
            )
    return found
