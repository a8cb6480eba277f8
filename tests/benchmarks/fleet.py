"""The nodes of a benchmark: containers of tests/containers, with what is needed to measure them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "bookworm"
sys.path.insert(0, str(ROOT / "tests" / "containers"))  # its files are scripts that import each other by short name

import engine  # noqa: E402
import fleet as containers  # noqa: E402
import images  # noqa: E402

from . import measure  # noqa: E402


def make(count: int, depot: Path | None) -> containers.Fleet:
    """So many Debian 12 nodes, not started yet; what they need is installed where it is missing."""
    if not shutil.which("podman") or not engine.podman("images", "--quiet", images.tag(IMAGE)).strip():
        subprocess.run([str(ROOT / "tests" / "containers" / "setup.sh"), IMAGE], timeout=1800, check=True)
    return containers.Fleet("bench", {f"node{number:02d}": IMAGE for number in range(1, count + 1)}, depot)


def cgroups(fleet: containers.Fleet) -> list[Path]:
    """Where the kernel counts the CPU time of each node."""
    ids = [fleet.container(node) for node in fleet.nodes]
    found = json.loads(engine.podman("inspect", *ids))
    return [measure.cgroup_of(one["State"]["Pid"], one["Id"]) for one in found]


def engine_version() -> str:
    """podman's version and the runtime that it uses."""
    told: dict[str, Any] = json.loads(engine.podman("version", "--format", "json"))
    runtime = engine.podman("info", "--format", "{{.Host.OCIRuntime.Name}}").strip()
    return f"podman {told['Client']['Version']}, {runtime}"
