#!/usr/bin/env python3
"""Faults that are real ones, put into single nodes of a fleet: few CPUs, a link with a delay.

    hinder.py share FLEET NODE OTHER…      what NODE has in /opt, for others too: no fault, but nodes that are alike
    hinder.py cpus FLEET NODE 0.5          so many CPUs' time (the cgroup's quota, v1 or v2); 0 for no quota
    hinder.py delay FLEET NODE 25          so many milliseconds each way, between the bridge and the node

The kernel's own netem is not built into every host's kernel, so a process of ours forwards frames between the node's
end of its link and the bridge. It ends by itself when the node is removed. Both need root.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import json
import os
import re
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

import engine
from fleet import Fleet

PERIOD = 100_000
# <linux/if_packet.h>. With the header, frames that the kernel has not cut into packets yet go through as they are.
SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
SO_RCVBUFFORCE = 33
ETH_P_ALL = 3
OUTGOING = 4
ROOM = 1 << 17
LONGEST_SECONDS = 3600.0
# System calls have the same numbers everywhere since these.
OPEN_TREE, MOVE_MOUNT = 428, 429
AT_FDCWD, OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH = -100, 1, 4


def main(argv: list[str]) -> int:
    what, name, node, *values = argv
    fleet = Fleet(name, {})
    if what == "share":
        share(fleet, node, values)
        return 0
    pid = int(engine.podman("inspect", "--format", "{{.State.Pid}}", fleet.container(node)))
    if what == "cpus":
        limit_cpus(pid, float(values[0]))
    else:
        delay_link(fleet, pid, float(values[0]) / 1000)
    return 0


def share(fleet: Fleet, node: str, others: list[str]) -> None:
    """Give other nodes what stands in /opt of one: the environments as a mount of the same files, the rest copied."""
    apart = "condafleet/generations"
    left_out = [f"--exclude=./condafleet/{name}" for name in ("generations", "pkgs", "uv-cache", "wheels", "jobs")]
    packed = ["podman", "exec", fleet.container(node), "tar", "--create", "--directory=/opt", *left_out, "."]
    archive = fleet.folder / "opt.tar"
    with archive.open("wb") as stream:
        subprocess.run(packed, stdout=stream, timeout=120, check=True, env=engine.environment())
    described = "{{.GraphDriver.Data.MergedDir}} {{.State.Pid}}"
    merged = engine.podman("inspect", "--format", described, fleet.container(node)).split()[0]
    for other in others:
        unpacked = ["podman", "exec", "-i", fleet.container(other), "sh", "-c", f"tar -x -C /opt && mkdir /opt/{apart}"]
        with archive.open("rb") as stream:
            subprocess.run(unpacked, stdin=stream, timeout=120, check=True, env=engine.environment())
        pid = int(engine.podman("inspect", "--format", "{{.State.Pid}}", fleet.container(other)))
        mount_into(pid, f"{merged}/opt/{apart}", f"/opt/{apart}")
    archive.unlink()


def mount_into(pid: int, source: str, target: str) -> None:
    """Mount a folder of this host at a path of another process's mounts, from where it can't be reached by name."""
    library = ctypes.CDLL(None, use_errno=True)
    tree = library.syscall(OPEN_TREE, AT_FDCWD, source.encode(), OPEN_TREE_CLONE)
    if tree < 0:
        raise engine.EngineError(f"{source} can't be mounted: {os.strerror(ctypes.get_errno())}")
    with Path(f"/proc/{pid}/ns/mnt").open("rb") as namespace:
        child = os.fork()
        if child == 0:
            done = library.setns(namespace.fileno(), 0) == 0 and (
                library.syscall(MOVE_MOUNT, tree, b"", AT_FDCWD, target.encode(), MOVE_MOUNT_F_EMPTY_PATH) == 0
            )
            os._exit(0 if done else ctypes.get_errno() or 1)
    os.close(tree)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        raise engine.EngineError(f"{source} can't be mounted at {target} of process {pid}: {os.strerror(status)}")


def limit_cpus(pid: int, cpus: float) -> None:
    """Set the quota of the cgroup that the container was started in, or take it away."""
    quota = round(cpus * PERIOD)
    # Of the container, whatever its init has made below.
    pattern = re.compile(r"(.*/libpod-[0-9a-f]{64}(\.scope)?)(/.*)?")
    for line in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines():
        _number, controllers, path = line.split(":", 2)
        found = pattern.fullmatch(path)
        folder = found.group(1) if found else path
        if "cpu" in controllers.split(","):
            place = Path("/sys/fs/cgroup/cpu" + folder)
            (place / "cpu.cfs_period_us").write_text(str(PERIOD), encoding="ascii")
            (place / "cpu.cfs_quota_us").write_text(str(quota or -1), encoding="ascii")
            return
        place = Path("/sys/fs/cgroup" + folder) / "cpu.max"
        if not controllers and place.exists():
            place.write_text(f"{quota or 'max'} {PERIOD}", encoding="ascii")
            return
    raise engine.EngineError(f"process {pid} is in no cgroup whose CPU time can be limited")


def delay_link(fleet: Fleet, pid: int, seconds: float) -> None:
    """Take the node's link off the bridge, and put a forwarder between the two."""
    inside = run("nsenter", f"--target={pid}", "--net", "ip", "-o", "link", "show", "eth0")
    index = int(re.findall(r"eth0@if(\d+)", inside)[0])
    links = {one["ifindex"]: one for one in json.loads(run("ip", "-j", "link", "show"))}
    link, bridge = links[index]["ifname"], links[index]["master"]
    near, far = f"cfd{index}a", f"cfd{index}b"
    run("ip", "link", "add", near, "type", "veth", "peer", "name", far)
    run("ip", "link", "set", link, "nomaster")
    for one in (link, near, far):
        # The host itself is not to answer there.
        Path(f"/proc/sys/net/ipv6/conf/{one}/disable_ipv6").write_text("1", encoding="ascii")
        run("ip", "link", "set", one, "arp", "off", "up", "promisc", "on")
    run("ip", "link", "set", near, "master", bridge)
    # The bridge has learnt where the node was.
    run("ip", "link", "set", near, "arp", "on")
    ends = open_end(link), open_end(far)
    log = fleet.folder / "delay.log"
    if os.fork() == 0:
        os.setsid()
        with log.open("wb") as heard, Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
            os.dup2(heard.fileno(), 1)
            os.dup2(heard.fileno(), 2)
        try:
            forward(*ends, seconds)
        finally:
            subprocess.run(["ip", "link", "delete", near], check=False)
            os._exit(0)


def open_end(link: str) -> socket.socket:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    end.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    end.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    end.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
    end.bind((link, ETH_P_ALL))
    end.setblocking(False)
    return end


def forward(one: socket.socket, other: socket.socket, seconds: float) -> None:
    """Hand each frame on, so many seconds after it came; until an end is gone."""
    waiting: dict[socket.socket, collections.deque[tuple[float, bytes]]] = {
        one: collections.deque(), other: collections.deque()
    }  # fmt: skip
    targets = {one: other, other: one}
    until = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < until:
        due = min((queue[0][0] for queue in waiting.values() if queue), default=time.monotonic() + 1)
        select.select([one, other], [], [], max(0.0, due - time.monotonic()))
        for source, queue in waiting.items():
            with contextlib.suppress(BlockingIOError):
                while True:
                    frame, address = source.recvfrom(ROOM)
                    if address[2] != OUTGOING:
                        queue.append((time.monotonic() + seconds, frame))
        now = time.monotonic()
        for source, queue in waiting.items():
            while queue and queue[0][0] <= now:
                # A frame that does not go out is lost, as on any link.
                with contextlib.suppress(BlockingIOError):
                    targets[source].send(queue.popleft()[1])


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (engine.EngineError, subprocess.CalledProcessError) as error:
        sys.exit(f"{error}: {getattr(error, 'stderr', '')}")
