"""Whose limit counts, and what a wrong declaration is told."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import check_limits, gpu_figures
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import CHECKS, LEVELS
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Limit
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError

H200 = "NVIDIA H200"


def limit(name: str, declared: dict[str, Any], model: str | None = None) -> Limit | None:
    return check_limits.asked("full", check_limits.check_declared(declared), model)[name].limit


def test_each_level_has_all_of_the_levels_below() -> None:
    names = [set(check_limits.asked(level, {})) for level in LEVELS]
    assert names[0] < names[1] < names[2]
    assert names[2] == {check.name for check in CHECKS}


def test_the_sites_word_goes_before_the_models_figure_and_that_before_the_catalog() -> None:
    assert limit("speed.memory", {}) is None
    figure = limit("speed.memory", {}, H200)
    assert figure == Limit(least=3840.0, source="80 % of the 4800 GB/s of NVIDIA's H200 data sheet")
    own = limit("speed.memory", {"speed.*": {"least": 4000}}, H200)
    assert own == Limit(least=4000, source="validation_checks")
    assert limit("gpu.ecc", {}) == Limit(most=0, source="any uncorrected error has ended a job, or corrupted one")


def test_a_name_goes_before_a_pattern_wherever_it_stands() -> None:
    declared = {"speed.memory": {"least": 1}, "speed.*": {"least": 2}}
    found = limit("speed.memory", declared)
    assert found is not None
    assert found.least == 1


def test_what_is_switched_off_is_not_asked_and_what_is_named_is_asked_at_any_level() -> None:
    assert "gpu.ecc" not in check_limits.asked("standard", check_limits.check_declared({"gpu.*": False}))
    assert "host.shm" not in check_limits.asked("smoke", {})
    assert "host.shm" in check_limits.asked("smoke", check_limits.check_declared({"host.shm": {"enabled": True}}))


@pytest.mark.parametrize(
    ("check", "declared", "value"),
    [
        ("gpu.cuda", 12.8, "12.8"),  # YAML makes a number of it
        ("gpu.persistence", True, "on"),  # and a boolean of on
        ("gpu.persistence", False, "off"),
        ("gpu.count", "8", 8),  # as templates and -e give it
        ("gpu.mig", False, False),
        ("host.cpus", "1.5", 1.5),
    ],
)
def test_what_a_site_means_is_what_a_check_finds(check: str, declared: Any, value: Any) -> None:
    found = limit(check, {check: {"equal": declared}})
    assert found is not None
    assert found.complaint(value, "") is None
    assert found.complaint("something else", "")


def test_no_limit_that_is_accepted_breaks_a_check() -> None:
    """Whatever a check finds, a text or a number: an accepted limit can be held against it."""
    for check in CHECKS:
        value = "x16 gen5" if check.name in check_limits.TEXTS else 3
        for key in check_limits.BOUNDS:
            try:
                found = limit(check.name, {check.name: {key: 1}})
            except InputError:
                continue
            assert found is not None
            found.complaint(value, "")


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ([], "validation_checks: [] is not accepted"),
        ({"gpu.eccs": {"most": 1}}, "validation_checks: gpu.eccs is not accepted. Accepted: a check's name"),
        ({"gpu.ecc": {"max": 1}}, "validation_checks.gpu.ecc: {'max': 1} is not accepted"),
        ({"gpu.ecc": {"most": "none"}}, "validation_checks.gpu.ecc.most: none is not accepted. Accepted: a number"),
        ({"gpu.ecc": {"enabled": "no"}}, "validation_checks.gpu.ecc.enabled: no is not accepted"),
        ({"gpu.ecc": {}}, "validation_checks.gpu.ecc: {} is not accepted"),
        ({"gpu.ecc": {"timeout": 0}}, "validation_checks.gpu.ecc.timeout: 0 is not accepted. Accepted: seconds"),
        ({"gpu.pcie": {"least": 16}}, "validation_checks.gpu.pcie.least: 16 is not accepted. Accepted: equal for"),
        ({"gpu.*": {"least": 1}}, "validation_checks.gpu.*.least: 1 is not accepted. Accepted: equal for gpu.model"),
        ({"gpu.xid": {"most": 3}}, "validation_checks.gpu.xid.most: 3 is not accepted. Accepted: no limit for gpu.xid"),
        ({"gpu.count": {"equal": "all"}}, "validation_checks.gpu.count.equal: all is not accepted. Accepted: a number"),
        # What a template without a value gives is no word for "no limit".
        (
            {"gpu.count": {"equal": None}},
            "validation_checks.gpu.count.equal: an empty value is not accepted. Accepted: a value",
        ),
        (
            {"gpu.count": {"least": None}},
            "validation_checks.gpu.count.least: an empty value is not accepted. Accepted: a number",
        ),
        (
            {"gpu.power": {"least": 700, "most": 500}},
            "validation_checks.gpu.power: {'least': 700, 'most': 500} is not accepted. Accepted: a least that is not",
        ),
        ({"gpu.mig": {"equal": "off "}}, "validation_checks.gpu.mig.equal: off  is not accepted. Accepted: true or"),
    ],
)
def test_a_wrong_declaration_is_told_what_is_accepted(declared: Any, said: str) -> None:
    with pytest.raises(InputError) as refused:
        check_limits.check_declared(declared)
    assert refused.value.message.startswith(said)


def test_limits_complain_with_value_bound_and_source() -> None:
    one = Limit(least=48, source="somebody")
    assert one.complaint(48, "GB/s") is None
    assert one.complaint(21.237, "GB/s") == "it is 21.24 GB/s, less than 48 (somebody)"
    assert Limit(most=0, source="s").complaint(3, "errors") == "it is 3 errors, more than 0 (s)"
    assert Limit(equal=8, source="s").complaint(7, "GPUs") == "it is 7 GPUs, not 8 (s)"


def test_what_is_no_number_at_all_is_outside() -> None:
    assert Limit(least=1, source="s").complaint(float("nan"), "GB/s")
    assert Limit(most=1, source="s").complaint(float("nan"), "GB/s")


@pytest.mark.parametrize(
    ("name", "check", "least"),
    [
        ("NVIDIA H100 80GB HBM3", "speed.allreduce", 460),
        ("NVIDIA H100 80GB HBM3", "speed.matmul.bf16", 642.9),
        ("NVIDIA H100 PCIe", "speed.matmul.bf16", None),
        ("NVIDIA H100 PCIe", "speed.memory", 1600),
        ("NVIDIA H200 NVL", "speed.allreduce", None),
        ("NVIDIA A100-SXM4-40GB", "speed.memory", 1244),
        ("NVIDIA A100-SXM4-80GB", "speed.p2p", 238),
        ("Tesla V100-SXM2-32GB", "speed.h2d", 9),
        ("NVIDIA A100-SXM4-40GB", "speed.matmul.fp8", None),
        ("NVIDIA GeForce RTX 4090", "speed.memory", None),
    ],
)
def test_figures_by_the_drivers_names(name: str, check: str, least: float | None) -> None:
    found = gpu_figures.figure_of(name, check)
    assert (found.least if found else None) == least
    assert found is None or found.source


def test_every_figure_is_for_a_check_that_there_is() -> None:
    names = {check.name for check in CHECKS}
    for pattern in gpu_figures.known():
        model = pattern.replace("\\b", "").replace(".*", " ")
        assert gpu_figures.figures(model), pattern
        assert set(gpu_figures.figures(model)) <= names


@pytest.mark.parametrize(
    ("model", "check", "seen"),
    [
        # The best of many shapes (stas00/ml-engineering, maximum achievable FLOPS): a floor is well below it.
        ("NVIDIA H100 80GB HBM3", "speed.matmul.fp8", 1402.6),
        ("NVIDIA H200", "speed.matmul.fp8", 1453.4),
        ("NVIDIA B200", "speed.matmul.fp8", 3432.5),
        ("NVIDIA H100 80GB HBM3", "speed.matmul.bf16", 794.5),
        ("NVIDIA B200", "speed.matmul.bf16", 1745.0),
    ],
)
def test_a_floor_leaves_room_below_the_best_that_was_seen(model: str, check: str, seen: float) -> None:
    figure = gpu_figures.figure_of(model, check)
    assert figure is not None
    assert 0.6 * seen < figure.least < 0.85 * seen


def test_memory_that_keeps_its_ecc_in_itself_has_a_lower_floor() -> None:
    for model, peak in (("NVIDIA L4", 300), ("NVIDIA L40S", 864), ("NVIDIA A10", 600)):
        figure = gpu_figures.figure_of(model, "speed.memory")
        assert figure is not None
        assert figure.least == round(peak * gpu_figures.GDDR_SHARE, 1) and "65 % of the" in figure.source


@pytest.mark.parametrize("part", ["NVIDIA A10-4Q", "NVIDIA L4-24C", "NVIDIA A30-1-6C"])
def test_a_part_of_a_gpu_is_not_held_to_the_whole_ones_figures(part: str) -> None:
    assert gpu_figures.figures(part) == {}
    assert gpu_figures.figures(part.partition("-")[0])
