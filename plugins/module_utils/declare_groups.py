# SPDX-License-Identifier: Apache-2.0
"""What of the validation's declaration says which nodes are tried together, and by which addresses. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Dict, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils.declare_values import whole
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError

GROUP = re.compile(r"[\w.-]{1,64}")
ADDRESS = re.compile(r"[\w.:-]{1,253}")
ADDRESS_ACCEPTED = "an IP address or a host name by which other nodes reach this one"
# As the kernel has them: at most 15 bytes without a slash or a space.
INTERFACE = re.compile(r"[^\s/]{1,15}")


def check_groups(values: Mapping[str, Any]) -> Dict[str, Any]:
    """{group, address, interface (null: found out on the node), port, pair_rounds}.

    `values` are the role's variables without `validation_`. InputError names what is wrong.
    """
    return {
        "group": _word("validation_group", values.get("group", "fleet"), GROUP, "letters, digits, . _ -") or "fleet",
        "address": _address(values.get("address")),
        "interface": _word("validation_interface", values.get("interface"), INTERFACE, "an interface, such as eth0"),
        # The ports after it are the rounds' of pairs.
        "port": whole("validation_port", values.get("port", 29400), 1024, 65000),
        "pair_rounds": whole("validation_pair_rounds", values.get("pair_rounds", 3), 1, 100),
    }


def _address(value: Any) -> Optional[str]:
    found = _word("validation_address", value, ADDRESS, ADDRESS_ACCEPTED)
    try:
        number = ipaddress.ip_address(found or "")
    except ValueError:
        own = found == "localhost"
    else:
        own = number.is_loopback or number.is_unspecified or number.is_multicast
    if own:
        raise InputError("validation_address", value, ADDRESS_ACCEPTED, "name its own address, or leave it empty")
    return found


def _word(variable: str, value: Any, form: "re.Pattern[str]", accepted: str) -> Optional[str]:
    if value in (None, ""):
        return None
    if not isinstance(value, str) or not form.fullmatch(value):
        raise InputError(variable, value, accepted, "correct it")
    return value
