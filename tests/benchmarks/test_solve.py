"""The made-up channel is what it says, a solve from it is real, and what can't be compared is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from . import measure, solve, synthetic_channel


@pytest.mark.parametrize("records", [500, 4000])
def test_a_channel_has_its_records_and_is_the_same_each_time(tmp_path: Path, records: int) -> None:
    about = synthetic_channel.write(tmp_path / "a", records, 7)
    assert about["records"] == records
    assert synthetic_channel.write(tmp_path / "b", records, 7) == about
    assert about["spec"] != synthetic_channel.write(tmp_path / "c", records, 8)["spec"]
    for platform in ("linux-64", "noarch"):
        texts = [(tmp_path / name / platform / "repodata.json").read_bytes() for name in "ab"]
        assert texts[0] == texts[1]
        held = json.loads(texts[0])["packages.conda"]
        assert held
        assert all(entry["subdir"] == platform for name, entry in held.items() if "python" not in name)


def test_each_variant_is_a_real_solve(tmp_path: Path) -> None:
    about = synthetic_channel.write(tmp_path / "small", 1000, 7)
    with solve.serving(tmp_path) as url:
        found = {
            variant: solve.solve(
                solve.request(f"{url}/small", about["spec"], tmp_path / "locks", variant), tmp_path / "cache"
            )
            for variant in solve.VARIANTS
        }
        assert {one.packages for one in found.values()} == {found["cold"].packages}
        assert found["cold"].packages > len(about["spec"])
        assert all(one.wall_s > 0.05 and one.cpu_s > 0.05 and one.peak_mib > 20 for one in found.values())
        with pytest.raises(measure.BenchmarkError, match="no-such-package"):
            solve.solve(
                solve.request(f"{url}/small", ["no-such-package"], tmp_path / "locks", "warm"), tmp_path / "cache"
            )


def test_ratios_are_of_the_same_round_and_different_answers_are_refused() -> None:
    small = [solve.Sample(1, 1, 50, 9), solve.Sample(10, 2, 50, 9)]
    large = [solve.Sample(2, 3, 100, 30), solve.Sample(20, 4, 150, 30)]
    about = {size: {"records": 1, "names": 1, "spec": []} for size in solve.SIZES}
    taken = {"large": dict.fromkeys(solve.VARIANTS, large), "small": dict.fromkeys(solve.VARIANTS, small)}
    found = solve.summary(about, taken, 2)["sizes"]["large"]
    assert (found["packages"], found["variants"]["warm"]["wall_s_ratio"]) == (30, 2)
    assert found["variants"]["warm"]["peak_mib_ratio"] == 2.5
    taken["large"] = {**taken["large"], "warm": [solve.Sample(2, 3, 100, 31), large[1]]}
    with pytest.raises(measure.BenchmarkError, match=r"large: one spec was solved to \[30, 31\] packages"):
        solve.summary(about, taken, 2)
