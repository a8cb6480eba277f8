"""What the tests of this scenario share: the nodes, and how something is made wrong on one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "containers"))

import engine
import scenario

GPUS = scenario.ROOT / "tests" / "gpus"
DRIVER = "570.86.15"
MODULE = "/proc/driver/nvidia"
LIBRARIES, PROGRAMS = "/usr/lib/x86_64-linux-gnu", "/usr/local/bin"
# Something that a kernel always has to say: a log without it is not kept.
QUIET = [{"hours": 40, "text": "Linux version 6.1.0-18-amd64"}]
# The journal of a container has no messages of the kernel, and /dev/kmsg is not there. In journalctl's form short-unix.
JOURNAL = """#!/bin/sh
case "$*" in
  *--since*) awk -v since="$(echo "$*" | sed 's/.*--since=@//')" '$1 >= since' /var/log/kernel-messages ;;
  *) cat /var/log/kernel-messages ;;
esac
"""


def container(node: str) -> str:
    return scenario.fleet().container(node)


def run_inside(node: str, script: str) -> None:
    """A shell's words, run by the node itself."""
    engine.podman("exec", container(node), "sh", "-ec", script)


def write(node: str, path: str, text: str, mode: str = "644") -> None:
    engine.podman("exec", "-i", container(node), "sh", "-ec", f"cat > {path}; chmod {mode} {path}", stdin=text)


def set_gpus(node: str, lines: list[str]) -> None:
    text = (GPUS / "healthy").read_text(encoding="utf-8") + "\n".join(lines) + "\n"
    write(node, "/etc/condafleet-gpus", text)


def set_log(node: str, messages: list[dict[str, Any]]) -> None:
    now = time.time()
    lines = [f"{now - 3600 * one['hours']:.6f} {node} kernel: {one['text']}\n" for one in messages]
    write(node, "/var/log/kernel-messages", "".join(lines))


def disk() -> str:
    """MAJOR:MINOR of the whole disk that containers lie on."""
    device = Path("/var/lib").stat().st_dev
    place = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    whole = place.parent if (place / "partition").exists() else place
    return (whole / "dev").read_text(encoding="utf-8").strip()


def limit(node: str, what: str, amount: float | None) -> None:
    """Let the node's cgroup have so many CPUs, bytes of memory, or bytes a second of the disk; None for all of it."""
    pid = engine.podman("inspect", "--format", "{{.State.Pid}}", container(node)).strip()
    controller = {"cpus": "cpu", "memory": "memory", "disk": "blkio"}[what]
    for line in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines():
        number, controllers, path = line.split(":", 2)
        # systemd in the node has put its first process one level below what the engine made.
        folder = Path(f"/sys/fs/cgroup/{controllers}{path.removesuffix('/init.scope')}")
        if number == "0" and (folder / "cpu.max").exists():
            share = "max" if amount is None else f"{int(amount * 100000)}"
            told = "max" if amount is None else str(int(amount))
            file, text = {
                "cpus": ("cpu.max", f"{share} 100000"),
                "memory": ("memory.max", told),
                "disk": ("io.max", f"{disk()} rbps={told}"),
            }[what]
        elif controller in controllers.split(","):
            file, text = {
                "cpus": ("cpu.cfs_quota_us", "-1" if amount is None else f"{int(amount * 100000)}"),
                "memory": ("memory.limit_in_bytes", str(int(amount or -1))),
                "disk": ("blkio.throttle.read_bps_device", f"{disk()} {int(amount or 0)}"),
            }[what]
        else:
            continue
        (folder / file).write_text(text, encoding="utf-8")
        return
    raise AssertionError(f"this machine has no cgroup of {controller} for {node}")


def driver_files(folder: Path) -> Path:
    """The stand-ins for what NVIDIA's driver installs, as they lie on a node: a folder to be copied to its root."""
    libraries, programs = folder / LIBRARIES.lstrip("/"), folder / PROGRAMS.lstrip("/")
    libraries.mkdir(parents=True)
    programs.mkdir(parents=True)
    library = libraries / f"libnvidia-ml.so.{DRIVER}"
    flags = ["-std=gnu11", "-shared", "-fPIC", "-O1", "-Wl,-soname,libnvidia-ml.so.1"]
    subprocess.run(["cc", *flags, "-o", library, GPUS / "nvml.c"], check=True)
    (libraries / "libnvidia-ml.so.1").symlink_to(library.name)
    for name in ("nvidia-smi", "dcgmi"):
        shutil.copy(GPUS / name, programs)
    (programs / "journalctl").write_text(JOURNAL, encoding="utf-8")
    (programs / "journalctl").chmod(0o755)
    return folder


def give_gpus(node: str, files: Path) -> None:
    """Let a node have the stand-ins: kernel module, libraries and tools of one driver, and two healthy GPUs."""
    engine.podman("cp", f"{files}/.", f"{container(node)}:/")
    said = f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {DRIVER}  Thu Jan  1 00:00:00 UTC 2026"
    script = f"mount -t tmpfs tmpfs /proc/driver; mkdir -p {MODULE}; echo '{said}' > {MODULE}/version; ldconfig"
    scenario.inside(node, "sh", "-ec", f"[ -d {MODULE} ] || {{ {script}; }}")
    set_gpus(node, [])
    set_log(node, QUIET)


def take_gpus(node: str) -> None:
    scenario.inside(node, "sh", "-ec", f"[ ! -d {MODULE} ] || umount /proc/driver")
    run_inside(
        node,
        f"cd {PROGRAMS}; rm -f nvidia-smi dcgmi journalctl {LIBRARIES}/libnvidia-ml.so* /etc/condafleet-gpus; ldconfig",
    )


@contextlib.contextmanager
def in_environment(node: str, source: Path, beside: str = "") -> Iterator[None]:
    """A file of Python in the node's environment, imported at every start, with a text beside it."""
    find = "cd /opt/miniconda3/envs/pytorch/lib/python3*/site-packages; "
    folder = engine.podman("exec", container(node), "sh", "-ec", find + "pwd -P").strip()
    name = source.stem
    try:
        write(node, f"{folder}/{name}.py", source.read_text(encoding="utf-8"))
        write(node, f"{folder}/{name}.txt", beside)
        write(node, f"{folder}/{name}.pth", f"import {name}\n")
        yield
    finally:
        run_inside(node, f"cd {folder}; rm -rf {name}.* __pycache__/{name}.*")


def wrong_library(node: str, what: str) -> contextlib.AbstractContextManager[None]:
    """An environment whose PyTorch does something wrong."""
    return in_environment(node, scenario.ROOT / "molecule" / "health" / "files" / "wrong_library.py", what)


@contextlib.contextmanager
def cuda(node: str, files: Path) -> Iterator[None]:
    """A node with an environment, whose PyTorch finds GPUs."""
    try:
        give_gpus(node, files)
        with in_environment(node, GPUS / "cuda_of_cpus.py"):
            yield
    finally:
        take_gpus(node)


def wrong_data(node: str, how: str) -> dict[str, Any]:
    """A declaration of MNIST files on the node, which are not right; the hashes of shuffled ones are theirs."""
    depot = json.loads(Path(os.environ["CONDAFLEET_TEST_DEPOT"], "manifest.json").read_text(encoding="utf-8"))
    files = depot["datasets"]["mnist"]["files"]
    hashes = {one["name"]: one["sha256"] for one in files}
    labels = next(one for one in files if one["name"].startswith("train-labels"))
    run_inside(node, "mkdir -p /srv/mnist")
    for one in files:
        content = Path(os.environ["CONDAFLEET_TEST_DEPOT"], one["path"]).read_bytes()
        if one is labels:
            head, values = content[:8], list(content[8:])
            random.Random(7).shuffle(values)  # noqa: S311
            content = head + bytes(values)
            if how == "shuffled":
                hashes[one["name"]] = hashlib.sha256(content).hexdigest()
        local = Path(os.environ.get("TMPDIR", "/tmp"), f"health-{os.getpid()}")
        local.write_bytes(content)
        engine.podman("cp", str(local), f"{container(node)}:/srv/mnist/{one['name']}")
        local.unlink()
    return {"path": "/srv/mnist", "sha256": hashes}


@contextlib.contextmanager
def dead_mount(node: str, folder: str) -> Iterator[None]:
    """A file system at `folder` that never answers."""
    pid = engine.podman("inspect", "--format", "{{.State.Pid}}", container(node)).strip()
    program = [sys.executable, str(GPUS / "dead_mount.py"), pid, folder]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "mounted\n"
            yield
        finally:
            server.terminate()
            server.wait(30)
