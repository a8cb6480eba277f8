"""Which nodes stand apart, in fleets small and large."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.condafleet.core.plugins.module_utils import fleet_limits

NAMES = [f"n{number}" for number in range(40)]


def even(count: int, spread: float = 0.01) -> dict[str, float]:
    """Values around 100, with a seed, so that the same come each time."""
    source = random.Random(7)
    return {name: 100 * (1 + source.uniform(-spread, spread)) for name in NAMES[:count]}


@pytest.mark.parametrize("count", [3, 4, 5, 8, 10, 40])
def test_a_lone_slow_node_is_found_however_few_there_are(count: int) -> None:
    """Three sigma could not find it below eleven: a lone z-score is at most (n-1)/√n."""
    values = {**even(count), "n1": 50.0}
    assert list(fleet_limits.outliers(values, "higher", 3.5, 10)) == ["n1"]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_of_two_nobody_can_say_which_is_odd(count: int) -> None:
    values = dict(list({"n0": 100.0, "n1": 10.0}.items())[:count])
    assert fleet_limits.outliers(values, "higher", 3.5, 10) == {}


def test_a_very_even_fleet_condemns_nobody_for_noise() -> None:
    values = {**dict.fromkeys(NAMES[:9], 100.0), "n9": 97.0}
    assert fleet_limits.outliers(values, "higher", 3.5, 10) == {}
    assert list(fleet_limits.outliers(values, "higher", 3.5, 2)) == ["n9"]


def test_a_noisy_fleet_widens_its_band() -> None:
    values = {**even(20, spread=0.3), "n20": 75.0}
    assert fleet_limits.outliers(values, "higher", 3.5, 10) == {}


@pytest.mark.parametrize(("better", "found"), [("higher", []), ("lower", ["n1"]), ("same", ["n1"])])
def test_only_the_bad_side_counts(better: str, found: list[str]) -> None:
    values = {**even(8), "n1": 200.0}
    assert list(fleet_limits.outliers(values, better, 3.5, 10)) == found


def test_with_few_values_the_gap_is_doubled_and_said() -> None:
    values = {"a": 100.0, "b": 100.0, "c": 85.0}
    assert fleet_limits.outliers(values, "higher", 3.5, 10) == {}
    (found,) = fleet_limits.outliers({**values, "c": 75.0}, "higher", 3.5, 10).values()
    assert found.source == "median of 3: 100, ± 20 %, as for few values"


@given(st.lists(st.floats(min_value=1, max_value=1e6), min_size=3, max_size=60))
def test_most_are_never_condemned(values: list[float]) -> None:
    found = fleet_limits.outliers({str(number): value for number, value in enumerate(values)}, "same", 3.5, 10)
    assert 2 * len(found) <= len(values)


def test_who_differs_from_most_is_odd_and_without_most_nobody_is() -> None:
    assert fleet_limits.odd_ones({"a": "8", "b": "8", "c": "7"}) == {"c": "8"}
    assert fleet_limits.odd_ones({"a": "8", "b": "7"}) == {}
    assert fleet_limits.odd_ones({"a": "8", "b": "8", "c": "7", "d": "7"}) == {}


def test_a_curve_that_leaves_the_band_is_named_with_its_epoch() -> None:
    curves = {name: [0.31, 0.15, 0.11] for name in NAMES[:4]}
    curves["n4"] = [0.31, 0.15, 0.19]
    (said,) = fleet_limits.curve_outliers(curves, 3.5, 10)["n4"]
    assert said.startswith("epoch 3: 0.19, the others' band is 0.099 to 0.121")
    assert list(fleet_limits.curve_outliers(curves, 3.5, 10)) == ["n4"]
