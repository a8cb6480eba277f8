"""What is made of the samples, and that a shell which says something, or fails, is not counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import measure, shell_start


def test_differences_and_ratios_are_of_the_same_round() -> None:
    samples = {"bare": [0.001, 0.101], "static": [0.004, 0.104], "ours": [0.008, 0.108]}
    found = shell_start.figures(samples, "ours")
    assert found["median_ms"] == 58
    assert found["over_bare_ms"] == 7
    assert found["ratio_to_static"] == pytest.approx((2 + 0.108 / 0.104) / 2, abs=0.01)


def test_a_shell_that_speaks_or_fails_is_refused(tmp_path: Path) -> None:
    assert shell_start.timed(["sh", "-c", "true"], tmp_path) > 0
    for code in ("echo hello", "exit 3"):
        with pytest.raises(measure.BenchmarkError, match=code.split()[-1]):
            shell_start.timed(["sh", "-c", code], tmp_path)
