"""What is checked, as it is declared: resolved, or one clear error."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.declare_checks import check_checks
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError

ENVIRONMENTS = [
    {"name": "tensorflow", "frameworks": ["tensorflow"]},
    {"name": "pytorch", "frameworks": ["torch"]},
    {"name": "keras", "frameworks": ["keras-torch"]},
]


def test_what_is_not_said_is_the_default() -> None:
    assert check_checks({}) == {
        "level": "standard",
        "checks": {},
        "mounts": [],
        "xid_hours": 24,
        "speed_environment": None,
        "deviations": 4.0,
        "gap_percent": 10.0,
    }


def test_numbers_may_be_text_as_of_a_command_line() -> None:
    found = check_checks({"xid_hours": "2", "deviations": "3.5", "gap_percent": "5"})
    assert (found["xid_hours"], found["deviations"], found["gap_percent"]) == (2, 3.5, 5.0)


def test_speed_is_measured_in_the_first_environment_with_pytorch() -> None:
    assert check_checks({"environments": ENVIRONMENTS})["speed_environment"] == "pytorch"
    assert check_checks({"environments": ENVIRONMENTS[:1]})["speed_environment"] is None
    assert check_checks({"environments": ENVIRONMENTS[2:]})["speed_environment"] == "keras"
    named = {"environments": ENVIRONMENTS, "speed_environment": "tensorflow"}
    assert check_checks(named)["speed_environment"] == "tensorflow"


def test_a_check_that_is_switched_off_and_mounts_in_one_form() -> None:
    mounts = [{"path": "/data", "writable": "yes", "least_free_gib": "10"}, {"path": "/scratch"}]
    found = check_checks({"checks": {"speed.*": False}, "mounts": mounts})
    assert found["checks"] == {"speed.*": {"enabled": False}}
    assert found["mounts"] == [{"path": "/data", "writable": True, "least_free_gib": 10.0}, {"path": "/scratch"}]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"level": "quick"}, "validation_level: quick is not accepted. Accepted: smoke, standard, full"),
        ({"checks": {"gpu.cuont": False}}, "validation_checks: gpu.cuont is not accepted"),
        ({"checks": {"gpu.count": {"atleast": 8}}}, "validation_checks.gpu.count:"),
        ({"checks": {"gpu.count": {"least": "8"}}}, "validation_checks.gpu.count.least: 8 is not accepted"),
        ({"mounts": "/data"}, "validation_mounts: /data is not accepted. Accepted: a list of"),
        ({"mounts": [{"path": "data"}]}, "validation_mounts.path: data is not accepted. Accepted: an absolute path"),
        ({"mounts": [{"path": "/data", "free": 1}]}, "validation_mounts: {'path': '/data', 'free': 1} is not accepted"),
        ({"mounts": [{"path": "/d", "least_free_gib": "x"}]}, "validation_mounts (/d).least_free_gib: x"),
        ({"mounts": [{"path": "/d", "writable": "perhaps"}]}, "validation_mounts (/d).writable: perhaps"),
        ({"xid_hours": 0}, "validation_xid_hours: 0 is not accepted. Accepted: a whole number from 1 up"),
        ({"deviations": 0}, "validation_deviations: 0 is not accepted. Accepted: a number above 0"),
        ({"gap_percent": float("nan")}, "validation_gap_percent: nan is not accepted"),
        (
            {"environments": ENVIRONMENTS, "speed_environment": "jax"},
            "validation_speed_environment: jax is not accepted. Accepted: the name of an environment with PyTorch "
            "(tensorflow, pytorch, keras)",
        ),
    ],
)
def test_what_is_wrong_is_said(values: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as error:
        check_checks(values)
    assert str(error.value).startswith(said)
