# SPDX-License-Identifier: Apache-2.0
"""By which address and network interface other nodes reach this one, by the kernel's own tables."""

from __future__ import annotations

import array
import fcntl
import ipaddress
import socket
import struct
from typing import List, NamedTuple, Optional, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

SIOCGIFCONF = 0x8912
# Of an entry of that table: the name, and the whole of it, in bytes.
NAME, ENTRY = 16, 40
GATEWAY = 0x2
LOOPBACK = "lo"
Found = Tuple[str, str]


class Place(NamedTuple):
    """Where others reach this node, and the interface that has this address."""

    address: str
    interface: str


def place(address: Optional[str], interface: Optional[str]) -> Place:
    """What was declared, and for what was not what the node has; FleetError where that can't be told."""
    known = addresses()
    if interface and interface not in [name for name, _dummy in known]:
        raise FleetError(
            "validation_interface: %s is no interface with an address. This node has: %s." % (interface, _listed(known))
        )
    if not address:
        return _own(known, interface)
    numbers = _resolved(address)
    outside = [number for number in numbers if not ipaddress.ip_address(number).is_loopback]
    if not outside and address not in numbers:
        # As where /etc/hosts names a node 127.0.1.1: by what others make of that name, nobody is met.
        raise FleetError(
            "validation_address: %s is %s on this node itself, by which no other node reaches it. "
            "Name its IP address; this node has %s." % (address, ", ".join(numbers), _listed(known))
        )
    numbers = outside or numbers
    if interface:
        return Place(numbers[0], interface)
    for number in numbers:
        for name, own in known:
            if own == number or (name == LOOPBACK and ipaddress.ip_address(number).is_loopback):
                return Place(number, name)
    raise FleetError(
        "validation_address: %s (%s) is the address of no interface; this node has %s. "
        "Where it is translated on the way, validation_interface has to be set."
        % (address, ", ".join(numbers), _listed(known))
    )


def addresses() -> List[Found]:
    """[(interface, address)] of all interfaces that are up, IPv4 first. Link-local ones reach nobody by themselves."""
    found = [(name, text) for name, text in [*_ipv4(), *_ipv6()] if not ipaddress.ip_address(text).is_link_local]
    return list(dict.fromkeys(found))


def default_interface(routes: str) -> Optional[str]:
    """The interface of the default route with the least metric, by the text of /proc/net/route."""
    rows = [line.split() for line in routes.splitlines()[1:]]
    fit = [
        (int(row[6]), row[0])
        for row in rows
        if len(row) > 7 and row[1] == "00000000" and row[7] == "00000000" and int(row[3], 16) & GATEWAY
    ]
    return min(fit)[1] if fit else None


def _own(known: List[Found], interface: Optional[str]) -> Place:
    wanted = interface or default_interface(files.read_text("/proc/net/route") or "")
    outside = [one for one in known if one[0] != LOOPBACK]
    for name, address in [one for one in known if one[0] == wanted] or outside:
        return Place(address, name)
    raise FleetError("this node has no network interface with an address (validation_address)")


def _resolved(address: str) -> List[str]:
    try:
        return list(dict.fromkeys(str(entry[4][0]) for entry in socket.getaddrinfo(address, None)))
    except OSError as error:
        raise FleetError("validation_address: %s can't be resolved on this node: %s" % (address, error)) from None


def _listed(known: List[Found]) -> str:
    return ", ".join("%s %s" % one for one in known) or "none"


def _ipv4() -> List[Found]:
    room = array.array("B", bytes(ENTRY * 1024))
    start, length = room.buffer_info()
    asked = bytearray(struct.pack("iP", length, start))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket.fileno(), SIOCGIFCONF, asked)
    filled = struct.unpack("iP", asked)[0]
    found = []
    for at in range(0, filled, ENTRY):
        entry = room[at : at + ENTRY].tobytes()
        name = entry[:NAME].split(b"\0")[0].decode("utf-8", "replace")
        # A further address of an interface may have a label after its name, `eth0:1`.
        found.append((name.split(":")[0], socket.inet_ntoa(entry[NAME + 4 : NAME + 8])))
    return found


def _ipv6() -> List[Found]:
    found = []
    for line in (files.read_text("/proc/net/if_inet6") or "").splitlines():
        words = line.split()
        if len(words) == 6:
            found.append((words[5], str(ipaddress.IPv6Address(bytes.fromhex(words[0])))))
    return found
