"""By which address others reach a node, by the kernel's tables: as they look, and this machine's own."""

from __future__ import annotations

import socket

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import node_address
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth1\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth1\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""


def test_the_default_route_with_the_least_metric_leads_out() -> None:
    assert node_address.default_interface(ROUTES) == "eth1"
    assert node_address.default_interface(ROUTES.splitlines()[0]) is None


def test_this_machine_has_a_loopback_and_what_the_system_says() -> None:
    known = node_address.addresses()
    assert ("lo", "127.0.0.1") in known
    assert {name for name, _address in known} <= {name for _index, name in socket.if_nameindex()}


def test_a_declared_address_has_its_interface() -> None:
    assert node_address.place("127.0.0.7", None) == ("127.0.0.7", "lo")
    assert node_address.place("192.0.2.77", "lo") == ("192.0.2.77", "lo"), "it may be translated on the way"


def test_without_a_route_the_first_interface_that_leads_out_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        node_address, "addresses", lambda: [("lo", "127.0.0.1"), ("ib0", "10.0.0.9"), ("ib1", "10.1.0.9")]
    )
    monkeypatch.setattr(node_address, "default_interface", lambda _routes: None)
    assert node_address.place(None, None) == ("10.0.0.9", "ib0")
    assert node_address.place(None, "ib1") == ("10.1.0.9", "ib1")


def test_a_name_that_is_the_node_itself_is_none_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Debian's /etc/hosts has it: the node's name is 127.0.1.1 there, and something else for all others."""
    known = {"n1": ["127.0.1.1"], "n2": ["127.0.1.1", "10.0.0.9"]}
    monkeypatch.setattr(node_address, "_resolved", known.__getitem__)
    monkeypatch.setattr(node_address, "addresses", lambda: [("lo", "127.0.0.1"), ("ib0", "10.0.0.9")])
    with pytest.raises(
        FleetError, match=r"n1 is 127\.0\.1\.1 on this node itself.*Name its IP address.*ib0 10\.0\.0\.9"
    ):
        node_address.place("n1", None)
    assert node_address.place("n2", None) == ("10.0.0.9", "ib0")


@pytest.mark.parametrize(
    ("address", "interface", "said"),
    [
        ("203.0.113.77", None, "validation_address: 203.0.113.77 .* is the address of no interface"),
        ("nosuch.invalid", None, "validation_address: nosuch.invalid can't be resolved on this node"),
        (None, "nosuch0", "validation_interface: nosuch0 is no interface with an address. This node has: lo"),
    ],
)
def test_what_can_not_be_told_is_said(address: str | None, interface: str | None, said: str) -> None:
    with pytest.raises(FleetError, match=said):
        node_address.place(address, interface)


def test_a_node_without_a_network_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_address, "addresses", lambda: [("lo", "127.0.0.1")])
    with pytest.raises(FleetError, match="no network interface with an address"):
        node_address.place(None, None)
