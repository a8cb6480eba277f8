"""What the tests of all Molecule scenarios share: the scenario's fleet, and runs of playbooks on it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import engine
from fleet import Fleet

ROOT = Path(__file__).parents[2]


def name() -> str:
    """The scenario's name."""
    return os.environ.get("MOLECULE_SCENARIO_NAME", "default")


def fleet() -> Fleet:
    """The scenario's nodes, as create.yml started them."""
    return Fleet(f"molecule-{name()}", {})


def inventories() -> list[str]:
    """The scenario's own inventory, and the one that tells how its nodes are reached, as options."""
    folders = ROOT / "molecule" / name() / "inventory", fleet().inventory
    return [f"--inventory={folder}" for folder in folders]


def inventory(folder: Path) -> Path:
    """Both in one folder, for what takes only one inventory."""
    made = folder / "inventory"
    shutil.copytree(ROOT / "molecule" / name() / "inventory", made)
    shutil.copy(fleet().inventory, made / "reach.yml")
    return made


def status(folder: Path) -> dict[str, Any]:
    """The hosts of `condafleet status`, as its report tells them. `folder` is for its files."""
    path = folder / "status.json"
    done = subprocess.run(
        ["condafleet", "status", "-i", str(inventory(folder)), "--json", str(path)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False,
        cwd=ROOT, env={**os.environ, "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "true"},
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stdout + done.stderr
    return dict(json.loads(path.read_text(encoding="utf-8"))["hosts"])


def play(playbook: str, *options: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a playbook on the scenario's nodes; `timeout` is in seconds."""
    return subprocess.run(
        ["ansible-playbook", *inventories(), *options, playbook],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT,
        # molecule asks for colours, which would stand between the words of the recap
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "true"},
    )  # fmt: skip


def words(done: subprocess.CompletedProcess[str]) -> str:
    """What a run said, in one line: Ansible folds long texts."""
    return " ".join((done.stdout + done.stderr).split())


def inside(node: str, *command: str) -> None:
    """Run a program of this machine in the mounts of a node, with rights that the node itself lacks."""
    pid = engine.podman("inspect", "--format", "{{.State.Pid}}", fleet().container(node)).strip()
    subprocess.run(["nsenter", f"--target={pid}", "--mount", *command], timeout=60, check=True)


def sha256(path: Path) -> str:
    """The sha256 of a file on the controller."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
