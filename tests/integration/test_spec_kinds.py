"""Environments from a requirements.txt, from another tool's pylock.toml and from an explicit list, all the way: genuine
conda, the site's playbook, this machine as the node.

Needs a built embedded depot: its path in CONDAFLEET_TEST_DEPOT, else in build/DEPOT_PATH.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from installs import ROOT, depot_path
from uv import find_uv_bin

pytestmark = pytest.mark.integration
DEPOT = depot_path()


class Node:
    """This machine as a fleet of one, with everything below one folder."""

    def __init__(self, base: Path, depot: Path) -> None:
        self.base, self.depot = base, depot
        self.prefix = base / "mc"
        manifest = (depot / "manifest.json").read_bytes()
        glibc = json.loads(manifest)["glibc"]
        self.variables: dict[str, Any] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "depot_url": depot.as_uri(),
            "depot_sha256": hashlib.sha256(manifest).hexdigest(),
            "miniconda_distribution": "embedded",
            "miniconda_prefix": str(self.prefix),
            "environments_root": str(base / "root"),
            "environments_locks_dir": str(base / "locks"),
            "environments_targets": {"here": {"platform": "linux-64", "glibc": glibc}},
            "shell_init_system_root": str(base / "system"),
            "shell_init_mode": "off",
            "validation_enabled": False,
        }

    def provision(self, *environments: dict[str, Any]) -> str:
        inventory = self.base / "inventory"
        inventory.mkdir(exist_ok=True)
        hosts = {
            "node": {**self.variables, "environments_list": [{"targets": ["here"], **one} for one in environments]}
        }
        (inventory / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
        environ = {
            **os.environ,
            "HOME": str(self.base),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
        }
        command = [sys.executable, "-m", "ansible.cli.playbook", "-i", inventory / "hosts.json", ROOT / "site.yml"]
        done = subprocess.run(
            command, cwd=self.base, env=environ, capture_output=True, text=True, timeout=500, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, environment: str, *command: str) -> str:
        program = self.prefix / "envs" / environment / "bin" / command[0]
        return subprocess.run([program, *command[1:]], check=True, capture_output=True, text=True, cwd="/").stdout


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    if DEPOT is None:
        pytest.skip("no embedded depot: build one and name it in CONDAFLEET_TEST_DEPOT or build/DEPOT_PATH")
    return Node(tmp_path_factory.mktemp("n"), DEPOT)


def versions(said: str) -> dict[str, str]:
    return {one["name"]: one["version"] for one in json.loads(said)}


def test_each_kind_of_spec_becomes_an_environment(node: Node) -> None:
    specs = node.base / "inventory" / "specs"
    specs.mkdir(parents=True)
    six = next((node.depot / "wheels").glob("six-*.whl"))
    digest = hashlib.sha256(six.read_bytes()).hexdigest()
    version = six.name.split("-")[1]
    (specs / "requirements.txt").write_text(f"# as a project has it\n-c limits.txt\nsix \\\n  --hash=sha256:{digest}\n")
    (specs / "limits.txt").write_text(f"six=={version}\n")
    # What another tool makes of it, from the same wheels under URLs of its own.
    (specs / "asked.in").write_text("markdown-it-py\n")
    index = (node.depot / "simple").as_uri()
    command = [find_uv_bin(), "pip", "compile", "asked.in", "--format=pylock.toml", "-o", "pylock.toml", "--no-cache"]
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(node.base), "UV_NO_CONFIG": "1"}
    python = f"--python={sys.executable}"
    subprocess.run(
        [*command, python, f"--default-index={index}"], cwd=specs, env=environ, check=True, capture_output=True
    )
    node.provision(
        {"name": "req", "spec": "specs/requirements.txt"},
        {"name": "lock", "spec": "specs/pylock.toml"},
    )
    assert versions(node.run("req", "python", "-m", "pip", "list", "--format=json"))["six"] == version
    found = versions(node.run("lock", "python", "-m", "pip", "list", "--format=json"))
    assert {"markdown-it-py", "mdurl"} <= set(found)

    # An explicit list as conda itself writes it of the environment that stands now.
    conda = node.prefix / "bin/conda"
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(node.base)}
    asked = [conda, "list", "--explicit", "--md5", "--prefix", node.prefix / "envs/req"]
    listed = subprocess.run(asked, check=True, capture_output=True, text=True, env=environ).stdout
    assert "@EXPLICIT" in listed and "#" in listed.splitlines()[-1]
    (specs / "explicit.txt").write_text(listed)
    said = node.provision(
        {"name": "req", "spec": "specs/requirements.txt"},
        {"name": "lock", "spec": "specs/pylock.toml"},
        {"name": "list", "spec": "specs/explicit.txt"},
    )
    assert "looking up" in said and "conda specs" not in said
    records = [
        sorted(path.name for path in (node.prefix / "envs" / name / "conda-meta").glob("*.json"))
        for name in ("req", "list")
    ]
    assert records[0] == records[1]
    assert "six" not in versions(node.run("list", "python", "-m", "pip", "list", "--format=json"))
