"""Counts the packets that a container sends to anyone but one address, DNS apart.

counters.py set CONTAINER GATEWAY    once
counters.py read CONTAINER           prints {"dns": packets, "elsewhere": packets, "depot": packets}
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "containers"))

import engine

KINDS = ("dns", "elsewhere", "depot")


def inside(container: str, *command: str) -> str:
    """Run a program of this machine in the network of a container."""
    pid = engine.podman("inspect", "--format", "{{.State.Pid}}", container).strip()
    return subprocess.run(
        ["nsenter", f"--target={pid}", "--net", *command], capture_output=True, text=True, timeout=60, check=True
    ).stdout


def set_rules(container: str, gateway: str) -> None:
    """DNS counts whomever it asks, this machine and the loopback too. Of IPv6 only what could carry a connection."""
    inside(container, "ip", "route", "replace", "default", "via", gateway)
    for program, addresses in (("iptables", [gateway]), ("ip6tables", [])):
        for kind in KINDS:
            inside(container, program, "-N", kind)
            inside(container, program, "-A", kind, "-j", "ACCEPT" if kind == "depot" else "DROP")
        for protocol in ("udp", "tcp"):
            inside(container, program, "-A", "OUTPUT", "-p", protocol, "--dport", "53", "-j", "dns")
        inside(container, program, "-A", "OUTPUT", "-o", "lo", "-j", "ACCEPT")
        for address in addresses:
            inside(container, program, "-A", "OUTPUT", "-d", address, "-j", "depot")
        for protocol in ("udp", "tcp") if program == "ip6tables" else ("all",):
            inside(container, program, "-A", "OUTPUT", "-p", protocol, "-j", "elsewhere")


def read(container: str) -> dict[str, int]:
    """The packets so far, of both protocols."""
    found = dict.fromkeys(KINDS, 0)
    for program in ("iptables", "ip6tables"):
        for kind in KINDS:
            rules = inside(container, program, "-vnxL", kind).splitlines()[2:]
            found[kind] += sum(int(line.split()[0]) for line in rules)
    return found


if __name__ == "__main__":
    if sys.argv[1] == "set":
        set_rules(*sys.argv[2:4])
    else:
        print(json.dumps(read(sys.argv[2])))
