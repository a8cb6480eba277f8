#!/usr/bin/env python3
"""A fleet of containers that behaves like a fleet of hosts: systemd, sshd, addresses of its own, no way out.

    fleet.py up NAME --node node1=bookworm --node node2=trixie [--depot DIR]
    fleet.py up NAME --image trixie --count 10
    fleet.py down NAME

Everything about fleet NAME lies in build/fleets/NAME/: key, known_hosts, inventory.yml, state.json. `down` ends what
state.json names and nothing else. In Python:

    with Fleet("bench", {f"node{i}": "bookworm" for i in range(10)}) as fleet: ...

The nodes' only network is a bridge without a route further; a depot is served on its gateway address. Host keys are
read through podman, so that ssh can check them from the first connection on.
"""

from __future__ import annotations

import argparse
import hashlib
import ipaddress
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

import engine
import images

ROOT = Path(__file__).resolve().parents[2]
FLEETS = ROOT / "build" / "fleets"
SUBNETS = [ipaddress.ip_network(f"10.213.{third}.0/24") for third in range(256)]  # podman's default is 10.88.0.0/16
SERVE = """
import sys, pathlib
from condafleet.depot.serve import serve
serve(pathlib.Path(sys.argv[1]), host=sys.argv[2], port=int(sys.argv[3]))
"""
# Containers are no cluster nodes: nothing may keep their host's clock, /dev/shm is 64 MiB unless told, and speed would
# cost half a minute on each, for figures of a machine that all share. A scenario's group_vars go before.
NOT_OF_CONTAINERS = {"host.clock": False, "host.shm": False, "speed.*": False, "train.speed": False}
READY = """
tries=0
until systemctl is-active --quiet ssh && [ -s /etc/ssh/ssh_host_ed25519_key.pub ]; do
  tries=$((tries + 1))
  if [ $tries -gt 300 ]; then systemctl --no-pager status ssh >&2; exit 1; fi
  sleep 0.2
done
cat /etc/ssh/ssh_host_ed25519_key.pub
"""


class Fleet:
    """Containers `{node name: image name}` on one network, with what is needed to reach them over SSH."""

    def __init__(
        self, name: str, nodes: dict[str, str], depot: Path | None = None, variables: Path | None = None
    ) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise engine.EngineError(f"NAME: {name!r} is not accepted. Accepted: letters, digits and '-'.")
        self.name = name
        self.nodes = nodes
        self.depot = depot
        self.variables = variables
        self.folder = FLEETS / name
        self.state: dict[str, Any] = self._load()

    # What others use

    @property
    def inventory(self) -> Path:
        """An inventory with literal host, user and key for each node (testinfra renders no templates)."""
        return self.folder / "inventory.yml"

    @property
    def key(self) -> Path:
        """The private key that opens root and alice on every node."""
        return self.folder / "id_ed25519"

    def address(self, node: str) -> str:
        """A node's address on the bridge."""
        return str(self.state["nodes"][node]["address"])

    def container(self, node: str) -> str:
        """The id of a node's container, for `podman exec`."""
        return str(self.state["nodes"][node]["id"])

    @property
    def depot_url(self) -> str:
        """Where the nodes find the depot."""
        return str(self.state["depot"]["url"])

    @property
    def depot_sha256(self) -> str:
        """The sha256 of the depot's manifest."""
        return str(self.state["depot"]["sha256"])

    def ssh(
        self, node: str, command: str, user: str = "root", timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command line on a node over SSH, without a terminal; `timeout` is in seconds."""
        return subprocess.run(
            ["ssh", *self.ssh_options(), f"{user}@{self.address(node)}", command],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def ssh_options(self) -> list[str]:
        """Options for ssh and scp: this fleet's key and known hosts, nothing of the user's."""
        return [
            "-F", "none", "-i", str(self.key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
            "-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}",
        ]  # fmt: skip

    def __enter__(self) -> Fleet:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def up(self) -> None:
        """Start all that is missing; a fleet that runs as declared is left as it is."""
        if self._runs_as_declared():
            return
        self.down()
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._make_key()
            self._make_network()
            for position, (node, image) in enumerate(self.nodes.items()):
                self._start(node, image, position)
            self._collect_host_keys()
            self._give_gateway_address()
            if self.depot is not None:
                self._serve(self.depot)
            self._write_inventory()
            if self.variables is not None:
                (self.folder / "group_vars").mkdir()
                shutil.copy(self.variables, self.folder / "group_vars" / "all.yml")
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """End and remove exactly what `up` made."""
        server = self.state.get("depot")
        if server and started_at(server["pid"]) == server["started"]:
            os.kill(server["pid"], signal.SIGTERM)
        known = [node["id"] for node in self.state.get("nodes", {}).values() if node.get("id")]
        stored = engine.podman("ps", "-aq", "--no-trunc").split() if known else []
        present = [found for found in known if found in stored]
        if present:
            engine.podman("rm", "--force", "--time=0", "--volumes", *present, timeout=120)
        network = self.state.get("network")
        if network and network["name"] in engine.podman("network", "ls", "--quiet").split():
            engine.podman("network", "rm", network["name"])
        self.state = {}
        if self.folder.is_dir():
            shutil.rmtree(self.folder)

    # How it is done

    def _load(self) -> dict[str, Any]:
        try:
            loaded: dict[str, Any] = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return loaded

    def _save(self) -> None:
        part = self.folder / ".state.json"
        part.write_text(json.dumps(self.state, indent=2) + "\n", encoding="utf-8")
        part.replace(self.folder / "state.json")

    def _runs_as_declared(self) -> bool:
        made = self.state.get("nodes", {})
        wanted = {node: images.tag(image) for node, image in self.nodes.items()}
        if not self.inventory.is_file() or {node: found["image"] for node, found in made.items()} != wanted:
            return False
        if self.depot is not None:
            server = self.state.get("depot", {})
            manifest = hashlib.sha256((self.depot / "manifest.json").read_bytes()).hexdigest()
            if server.get("sha256") != manifest or started_at(server["pid"]) != server["started"]:
                return False
        running = engine.podman("ps", "-q", "--no-trunc").split()
        return all(found["id"] in running for found in made.values())

    def _make_key(self) -> None:
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"fleet {self.name}", "-f", str(self.key)],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=True,
        )  # fmt: skip

    def _make_network(self) -> None:
        taken = engine.podman("network", "ls", "--format", "{{.Name}}").split()
        used = json.loads(engine.podman("network", "inspect", *taken)) if taken else []
        nets = [ipaddress.ip_network(subnet["subnet"]) for one in used for subnet in one.get("subnets") or []]
        routes = subprocess.run(["ip", "-4", "route"], capture_output=True, text=True, timeout=30, check=True).stdout
        nets += [ipaddress.ip_network(line.split()[0]) for line in routes.splitlines() if line[0].isdigit()]
        free = [subnet for subnet in SUBNETS if not any(net.version == 4 and subnet.overlaps(net) for net in nets)]
        if not free:
            raise engine.EngineError("no subnet is free in 10.213.0.0/16. Next: end fleets with fleet.py down NAME.")
        # By chance: an address that was just given up may still have an ssh control master.
        subnet = random.choice(free)
        name = f"condafleet-{self.name}-{os.getpid()}"
        self.state = {"network": {"name": name, "subnet": str(subnet), "gateway": str(subnet[1])}, "nodes": {}}
        self._save()
        engine.podman("network", "create", "--internal", "--disable-dns", f"--subnet={subnet}", name)

    def _start(self, node: str, image: str, position: int) -> None:
        network = self.state["network"]
        address = str(ipaddress.ip_network(network["subnet"])[10 + position])
        tag = images.tag(image)
        if not engine.podman("images", "--quiet", tag).strip():
            raise engine.EngineError(f"image {image} is missing. Next: run tests/containers/setup.sh {image} as root.")
        made = engine.podman(
            "create", "--systemd=always", f"--hostname={node}", f"--network={network['name']}", f"--ip={address}",
            f"--label=condafleet.fleet={self.name}", "--shm-size=1g",
            # As on a host, root may look into every process.
            "--cap-add=SYS_PTRACE", tag,
        ).strip()  # fmt: skip
        self.state["nodes"][node] = {"id": made, "image": tag, "address": address}
        self._save()
        engine.podman("cp", f"{self.key}.pub", f"{made}:/etc/ssh/authorized_keys")
        engine.podman("start", made)

    def _collect_host_keys(self) -> None:
        lines = []
        for node in self.state["nodes"].values():
            kind, key = engine.podman("exec", node["id"], "sh", "-c", READY, timeout=90).split()[:2]
            lines.append(f"{node['address']} {kind} {key}\n")
        (self.folder / "known_hosts").write_text("".join(lines), encoding="utf-8")

    def _give_gateway_address(self) -> None:
        """podman leaves the bridge of an internal network without an address; the host needs one to reach the nodes."""
        network = self.state["network"]
        bridge = json.loads(engine.podman("network", "inspect", network["name"]))[0]["network_interface"]
        prefix = ipaddress.ip_network(network["subnet"]).prefixlen
        subprocess.run(
            ["ip", "address", "replace", f"{network['gateway']}/{prefix}", "dev", bridge],
            capture_output=True, timeout=30, check=True,
        )  # fmt: skip

    def _serve(self, depot: Path) -> None:
        manifest = depot / "manifest.json"
        if not manifest.is_file():
            raise engine.EngineError(
                f"depot: {depot} has no manifest.json. Next: condafleet depot build --embedded {depot}"
            )
        gateway = self.state["network"]["gateway"]
        with socket.create_server((gateway, 0)) as free:
            port = free.getsockname()[1]
        command = [sys.executable, "-c", SERVE, str(depot), gateway, str(port)]
        env = {**os.environ, "PYTHONPATH": f"{ROOT / 'python'}:{ROOT / 'collections'}"}
        log = self.folder / "depot.log"
        with log.open("w", encoding="utf-8") as heard:
            running = subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=heard, stderr=heard, start_new_session=True
            )
        url = f"http://{gateway}:{port}"
        self.state["depot"] = {
            "pid": running.pid, "started": started_at(running.pid), "url": url,
            "sha256": hashlib.sha256(manifest.read_bytes()).hexdigest(),
        }  # fmt: skip
        self._save()
        for _ in range(150):
            if running.poll() is not None:
                said = log.read_text(encoding="utf-8")
                raise engine.EngineError(f"the depot's server ended with rc {running.returncode}: {said}")
            try:
                with urllib.request.urlopen(f"{url}/manifest.json", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise engine.EngineError(f"{url}/manifest.json: no answer within 30 s; the server's words are in {log}")

    def _write_inventory(self) -> None:
        known = f"-o StrictHostKeyChecking=yes -o UserKnownHostsFile='{self.folder}/known_hosts'"
        common = f"-F none -o IdentitiesOnly=yes {known}"
        lines = ["---", "all:", "  vars:", f"    ansible_ssh_common_args: {json.dumps(common)}"]
        lines.append(f"    validation_checks: {json.dumps(NOT_OF_CONTAINERS)}")
        if "depot" in self.state:
            lines += [f"    depot_url: {self.depot_url}", f"    depot_sha256: {self.depot_sha256}"]
        lines.append("  hosts:")
        for name, node in self.state["nodes"].items():
            lines += [
                f"    {name}:",
                f"      ansible_host: {node['address']}",
                "      ansible_user: root",
                f"      ansible_ssh_private_key_file: {json.dumps(str(self.key))}",
            ]
        self.inventory.write_text("\n".join(lines) + "\n", encoding="utf-8")


def started_at(pid: int) -> str | None:
    """When a process started, in the kernel's words, so that a pid that was given again is not mistaken for it."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return None
    return None if words[0] == "Z" else words[19]


def declared(options: argparse.Namespace) -> dict[str, str]:
    """The nodes that the command line asks for."""
    nodes = dict(one.partition("=")[::2] for one in options.node)
    nodes.update({f"node{number:02d}": options.image for number in range(1, options.count + 1)})
    wrong = [f"{node}={image}" for node, image in nodes.items() if image not in images.IMAGES or not node]
    if wrong or not nodes:
        value = wrong[0] if wrong else "no node"
        raise engine.EngineError(
            f"--node: {value} is not accepted. Accepted: NAME=IMAGE, of {', '.join(images.IMAGES)}."
        )
    return nodes


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description="A fleet of containers over SSH")
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="start a fleet and print its inventory's path")
    up.add_argument("name")
    up.add_argument("--node", action="append", default=[], metavar="NAME=IMAGE")
    up.add_argument("--image", default="bookworm", help="image of the nodes that --count asks for")
    up.add_argument("--count", type=int, default=0, help="so many nodes more: node01, node02, …")
    up.add_argument("--depot", type=Path, help="serve this depot on the bridge")
    up.add_argument("--vars", type=Path, metavar="FILE", help="variables for all nodes, put beside the inventory")
    down = verbs.add_parser("down", help="end a fleet")
    down.add_argument("name")
    options = parser.parse_args(argv)
    if options.verb == "down":
        Fleet(options.name, {}).down()
        return 0
    fleet = Fleet(options.name, declared(options), options.depot, options.vars)
    fleet.up()
    print(fleet.inventory)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except engine.EngineError as error:
        sys.exit(str(error))
