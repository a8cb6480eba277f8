"""What the tests of this scenario share: a node where something is made wrong, and what the role finds there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "containers"))

import engine
import scenario

GPUS = scenario.ROOT / "tests" / "gpus"
TABLE = yaml.safe_load(Path(__file__).with_name("faults.yml").read_text(encoding="utf-8"))
DRIVER = "570.86.15"
SECOND = "GPU-22222222-2222-2222-2222-222222222222"
LIBRARIES = "/usr/lib/x86_64-linux-gnu"
RECORD = "/opt/condafleet/validation/node.json"
# Something that a kernel always has to say: a log without it is not kept.
QUIET = [{"hours": 40, "text": "Linux version 6.1.0-18-amd64"}]
# The journal of a container has no messages of the kernel, and /dev/kmsg is not there. In journalctl's form short-unix.
JOURNAL = """#!/bin/sh
case "$*" in
  *--since*) awk -v since="$(echo "$*" | sed 's/.*--since=@//')" '$1 >= since' /var/log/kernel-messages ;;
  *) cat /var/log/kernel-messages ;;
esac
"""
Findings = dict[tuple[str, str], dict[str, Any]]
Validate = Callable[..., tuple[Findings, str]]


def container(node: str) -> str:
    return scenario.fleet().container(node)


def run_inside(node: str, script: str) -> None:
    """A shell's words, run by the node itself."""
    engine.podman("exec", container(node), "sh", "-ec", script)


def write(node: str, path: str, text: str, mode: str = "644") -> None:
    engine.podman("exec", "-i", container(node), "sh", "-ec", f"cat > {path}; chmod {mode} {path}", stdin=text)


def set_gpus(lines: list[str]) -> None:
    text = (GPUS / "healthy").read_text(encoding="utf-8") + "\n".join(lines) + "\n"
    write("he-gpu", "/etc/condafleet-gpus", text)


def set_log(messages: list[dict[str, Any]]) -> None:
    now = time.time()
    lines = [f"{now - 3600 * one['hours']:.6f} he-gpu kernel: {one['text']}\n" for one in messages]
    write("he-gpu", "/var/log/kernel-messages", "".join(lines))


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


@pytest.fixture(scope="session")
def gpu_node(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The node with the stand-ins: kernel module, libraries and tools of one driver, and two healthy GPUs."""
    made = tmp_path_factory.mktemp("nvml") / f"libnvidia-ml.so.{DRIVER}"
    flags = ["-std=gnu11", "-shared", "-fPIC", "-O1", "-Wl,-soname,libnvidia-ml.so.1"]
    subprocess.run(["cc", *flags, "-o", made, GPUS / "nvml.c"], check=True)
    node = "he-gpu"
    places = {made: LIBRARIES, GPUS / "nvidia-smi": "/usr/local/bin", GPUS / "dcgmi": "/usr/local/bin"}
    for source, target in places.items():
        engine.podman("cp", str(source), f"{container(node)}:{target}/{source.name}")
    write(node, "/usr/local/bin/journalctl", JOURNAL, "755")
    run_inside(node, f"ln -sf libnvidia-ml.so.{DRIVER} {LIBRARIES}/libnvidia-ml.so.1; ldconfig")
    said = f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {DRIVER}  Thu Jan  1 00:00:00 UTC 2026"
    place = "/proc/driver/nvidia"
    scenario.inside(
        node, "sh", "-ec",
        f"[ -d {place} ] || mount -t tmpfs tmpfs /proc/driver; mkdir -p {place}; echo '{said}' > {place}/version",
    )  # fmt: skip
    set_gpus([])
    set_log(QUIET)
    return node


@contextlib.contextmanager
def wrong_library(node: str, what: str) -> Iterator[None]:
    """An environment whose PyTorch does something wrong."""
    find = "cd /opt/miniconda3/envs/pytorch/lib/python3*/site-packages; "
    folder = engine.podman("exec", container(node), "sh", "-ec", find + "pwd -P").strip()
    source = scenario.ROOT / "molecule" / "health" / "files" / "wrong_library.py"
    try:
        write(node, f"{folder}/wrong_library.py", source.read_text(encoding="utf-8"))
        write(node, f"{folder}/wrong_library.txt", what)
        write(node, f"{folder}/wrong_library.pth", "import wrong_library\n")
        yield
    finally:
        run_inside(node, f"cd {folder}; rm -rf wrong_library.* __pycache__/wrong_library.*")


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


@pytest.fixture
def validate(gpu_node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Validate:
    """The role on one node: {(check, subject): finding} as it keeps them there, and what it said."""
    # Limits of a session are those of its beginning: an earlier test's connection must not live on.
    monkeypatch.setenv("ANSIBLE_SSH_CONTROL_PATH_DIR", str(tmp_path / "c"))

    def run(node: str = gpu_node, fails: bool = False, **variables: Any) -> tuple[Findings, str]:
        checks = {**TABLE["checks"], **variables.pop("validation_checks", {})}
        path = tmp_path / "variables.json"
        path.write_text(json.dumps({"validation_enabled": True, **variables, "validation_checks": checks}))
        run_inside(node, f"rm -f {RECORD}")
        done = scenario.play("condafleet.core.validate", f"--limit={node}", f"--extra-vars=@{path}")
        said = scenario.words(done)
        assert done.returncode == (2 if fails else 0), said
        record = json.loads(engine.podman("exec", container(node), "cat", RECORD))
        return {(one["check"], one["subject"]): one for one in record["findings"]}, said

    return run
