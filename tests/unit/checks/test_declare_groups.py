"""Which nodes are tried together, as it is declared: resolved, or one clear error."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.declare_groups import check_groups
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError


def test_what_is_not_said_is_the_default() -> None:
    defaults = {"group": "fleet", "address": None, "interface": None, "port": 29400, "pair_rounds": 3}
    assert check_groups({}) == defaults
    assert check_groups({"group": "", "address": "", "interface": "", "port": "29400", "pair_rounds": "3"}) == defaults


def test_what_is_declared_is_kept() -> None:
    values = {"group": "rack7", "address": "fd00::7", "interface": "ib0", "port": 20000, "pair_rounds": 5}
    assert check_groups(values) == values
    assert check_groups({"address": "node7.cluster"})["address"] == "node7.cluster"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"group": "rack 7"}, "validation_group: rack 7 is not accepted"),
        ({"group": ["rack7"]}, "validation_group: ['rack7'] is not accepted"),
        ({"address": "10.0.0.1/24"}, "validation_address: 10.0.0.1/24 is not accepted"),
        ({"address": "127.0.0.1"}, "validation_address: 127.0.0.1 is not accepted. Accepted: an IP address or a host"),
        ({"address": "0.0.0.0"}, "validation_address: 0.0.0.0 is not accepted"),  # noqa: S104
        ({"address": "localhost"}, "Next: name its own address, or leave it empty."),
        ({"interface": "a-very-long-name"}, "validation_interface: a-very-long-name is not accepted"),
        ({"interface": "eth0 eth1"}, "validation_interface: eth0 eth1 is not accepted"),
        ({"port": 80}, "validation_port: 80 is not accepted. Accepted: a whole number from 1024 to 65000"),
        ({"port": 65535}, "validation_port: 65535 is not accepted"),
        ({"pair_rounds": 0}, "validation_pair_rounds: 0 is not accepted"),
    ],
)
def test_one_clear_error(values: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as error:
        check_groups(values)
    assert said in str(error.value)
