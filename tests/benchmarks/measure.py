"""One command, measured: wall time, CPU seconds of the controller, CPU seconds of the nodes.

The controller's seconds are those of the command and of all its descendants. ssh's control masters outlive the
command as daemons; this process adopts them (PR_SET_CHILD_SUBREAPER), ends them and so gets their seconds as well.
Each run has control sockets of its own, so each pays for its connections and none finds another's.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
UNREACHABLE = 4  # what ansible-playbook returns where no task failed but a connection


class BenchmarkError(RuntimeError):
    """A run that can't be counted; the text says which and where its words are."""


class UnreachableError(BenchmarkError):
    """A run in which a connection broke; another try may do."""


@dataclass(frozen=True)
class Sample:
    """What one run cost, in seconds, and how busy the machine was when it began."""

    wall_s: float
    controller_cpu_s: float
    node_cpu_s: float
    load_1min: float


def measure(command: list[str], env: dict[str, str], log: Path, cgroups: list[Path], limit: float, cwd: Path) -> Sample:
    """Run `command` to its end (at most `limit` seconds), its words going to `log`; `cgroups` are the nodes'."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-ssh-", ignore_cleanup_errors=True) as sockets:
        nodes_before = sum(cpu_seconds(group) for group in cgroups)
        controller_before = children_seconds()
        adopt_orphans(True)
        try:
            started = time.monotonic()
            rc = run(command, {**env, "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets}, log, limit, cwd)
            wall = time.monotonic() - started
            end_masters(Path(sockets))
        finally:
            adopt_orphans(False)
        controller = children_seconds() - controller_before
        nodes = sum(cpu_seconds(group) for group in cgroups) - nodes_before
    if rc != 0:
        raise (UnreachableError if rc == UNREACHABLE else BenchmarkError)(
            f"{' '.join(command)}: rc {rc}; its words are in {log}"
        )
    return Sample(round(wall, 3), round(controller, 3), round(nodes, 3), round(load, 2))


def run(command: list[str], env: dict[str, str], log: Path, limit: float, cwd: Path) -> int:
    """Run `command` in a process group of its own, which is ended whole when the limit passes."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as heard:
        running = subprocess.Popen(
            command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=heard, stderr=heard, start_new_session=True
        )
        try:
            return running.wait(limit)
        except BaseException as stopped:
            os.killpg(running.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(10)
            if running.returncode is None:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()
            if isinstance(stopped, subprocess.TimeoutExpired):
                raise BenchmarkError(
                    f"{' '.join(command)}: not done within {limit:g} s; its words are in {log}"
                ) from None
            raise


def children_seconds() -> float:
    """CPU seconds of all descendants that have ended and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def adopt_orphans(wanted: bool) -> None:
    """Make this process the parent of its descendants' orphans, or no longer."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0) != 0:
        raise BenchmarkError(f"prctl: {os.strerror(ctypes.get_errno())}")


def end_masters(sockets: Path) -> None:
    """End the ssh control masters whose sockets lie in this folder, and collect what they used."""
    for path in sockets.iterdir():
        asked = subprocess.run(
            ["ssh", "-F", "none", "-S", str(path), "-O", "check", "master"],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        pid = int(asked.stderr.partition("pid=")[2].partition(")")[0] or 0)
        if not pid:
            continue
        os.kill(pid, signal.SIGTERM)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def cgroup_of(pid: int, container: str) -> Path:
    """The folder in which the kernel counts the CPU time of the container whose init is `pid`."""
    for line in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if "cpuacct" in controllers.split(","):
            root = Path("/sys/fs/cgroup/cpuacct")
        elif not controllers and Path("/sys/fs/cgroup/cpu.stat").exists():
            root = Path("/sys/fs/cgroup")
        else:
            continue
        # systemd sits in a group below the container's own, and the container's counts all of them.
        parts = path.strip("/").split("/")
        own = [number for number, part in enumerate(parts) if container in part]
        group = root.joinpath(*parts[: own[0] + 1] if own else parts)
        if (group / "cpuacct.usage").exists() or (group / "cpu.stat").exists():
            return group
    raise BenchmarkError(f"container {container[:12]}: no cgroup that counts CPU time was found for pid {pid}")


def cpu_seconds(group: Path) -> float:
    """CPU seconds that a cgroup has used so far (version 1: nanoseconds, version 2: microseconds)."""
    old = group / "cpuacct.usage"
    if old.exists():
        return int(old.read_text(encoding="ascii")) / 1e9
    for line in (group / "cpu.stat").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(" ")
        if name == "usage_usec":
            return int(value) / 1e6
    raise BenchmarkError(f"{group}/cpu.stat has no usage_usec")
