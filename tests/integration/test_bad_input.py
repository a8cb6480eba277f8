"""Bad input, each as its user would meet it: one clear error from the whole run, and nothing changed on the node.

Every case runs playbooks/site.yml against this machine over a local connection, with a scratch prefix.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).parents[2]
DEPOT = os.environ.get("CONDAFLEET_TEST_DEPOT", "")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not (Path(DEPOT) / "manifest.json").is_file(), reason="CONDAFLEET_TEST_DEPOT names no depot"),
]

SMALL = {"name": "small", "spec": {"conda": ["python"]}, "targets": ["linux-64-cpu"], "frameworks": []}


@dataclass
class Node:
    """A scratch fleet of one: everything that a run may touch lies below `top`."""

    top: Path
    interpreter: str = sys.executable
    variables: dict[str, Any] = field(default_factory=dict)

    def run(self, **changes: Any) -> tuple[int, str]:
        """Run site.yml with these variables changed (None takes one away); return the exit code and all it printed."""
        variables = {**self.variables, **changes}
        variables = {key: value for key, value in variables.items() if value is not None}
        interpreter = variables.pop("ansible_python_interpreter", self.interpreter)
        (self.top / "inventory.json").write_text(
            json.dumps(
                {
                    "all": {
                        "hosts": {"node1": {"ansible_connection": "local", "ansible_python_interpreter": interpreter}},
                        "vars": variables,
                    }
                }
            )
        )
        done = subprocess.run(
            ["ansible-playbook", "site.yml", "-i", str(self.top / "inventory.json")],
            cwd=REPO,
            capture_output=True,
            text=True,
            timeout=240,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "4000"},
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def found(self) -> set[str]:
        """Return what lies where the run would have put things (its temporary folder left out)."""
        return {
            str(path.relative_to(self.top))
            for path in self.top.rglob("*")
            if path.relative_to(self.top).parts[0] not in ("tmp", "inventory.json")
        }


def digest_of_manifest(depot: Path) -> str:
    import hashlib

    return hashlib.sha256((depot / "manifest.json").read_bytes()).hexdigest()


@pytest.fixture
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    top = tmp_path_factory.mktemp("b")  # short: it stands in the first line of scripts
    node = Node(top)
    node.variables = {
        "ansible_remote_tmp": str(top / "tmp"),
        "depot_url": f"file://{DEPOT}",
        "depot_sha256": digest_of_manifest(Path(DEPOT)),
        "miniconda_distribution": "embedded",
        "miniconda_prefix": str(top / "miniconda3"),
        "shell_init_system_root": str(top / "system"),
        "environments_root": str(top / "root"),
        "environments_locks_dir": str(top / "locks"),
        "environments_list": [SMALL],
        "validation_enabled": False,
    }
    return node


def environment(**changes: Any) -> list[dict[str, Any]]:
    return [{**SMALL, **changes}]


# case: (variables changed, what the error must say)
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "distribution": ({"miniconda_distribution": "miniforgge"}, ["miniconda_distribution", "miniforgge", "miniforge"]),
    "version": (
        {"miniconda_distribution": "miniforge", "miniconda_version": "1.2.3"},
        ["miniconda_version", "1.2.3", "Next:"],
    ),
    "prefix relative": ({"miniconda_prefix": "opt/miniconda3"}, ["miniconda_prefix", "opt/miniconda3", "absolute"]),
    "prefix too long": ({"miniconda_prefix": "/opt/" + "x" * 130}, ["miniconda_prefix", "xxx", "Next:"]),
    "prefix with a space": ({"miniconda_prefix": "/opt/mini conda"}, ["miniconda_prefix", "/opt/mini conda", "space"]),
    "framework": ({"environments_list": environment(frameworks=["caffe"])}, ["environments_list", "caffe", "torch"]),
    "target": ({"environments_list": environment(targets=["linux-64-tpu"])}, ["linux-64-tpu", "linux-64-cpu"]),
    "duplicate names": ({"environments_list": [SMALL, SMALL]}, ["environments_list", "small", "once"]),
    "missing spec": (
        {"environments_list": environment(spec="environments/nowhere.yml")},
        ["environments/nowhere.yml", "Next:"],
    ),
    "unsatisfiable spec": (
        {"environments_list": environment(spec={"conda": ["python", "no-such-package-anywhere"]})},
        ["small", "no-such-package-anywhere"],
    ),
    "unsatisfiable pip part": (
        {"environments_list": environment(spec={"conda": ["python", "pip"], "pip": ["torch==0.0.1"]})},
        ["small", "torch==0.0.1"],
    ),
    "depot unreachable": ({"depot_url": "http://127.0.0.1:9/depot"}, ["depot_url", "http://127.0.0.1:9/depot"]),
    "depot sha256 of another": ({"depot_sha256": "0" * 64}, ["depot_sha256", "0" * 64]),
    "embedded without a depot": ({"depot_url": None, "depot_sha256": None}, ["depot_url", "Next:"]),
    "terms of service": (
        {"miniconda_channels": ["defaults"]},
        ["miniconda_tos", "defaults"],
    ),
    "glibc too old": (
        {
            "environments_targets": {"linux-64-future": {"platform": "linux-64", "glibc": "9.99"}},
            "environments_list": environment(targets=["linux-64-future"]),
        },
        ["glibc", "9.99"],
    ),
    "Python missing": ({"ansible_python_interpreter": "/nowhere/python3"}, ["/nowhere/python3", "3.8"]),
}


@pytest.mark.parametrize("case", CASES)
def test_one_clear_error_and_nothing_changed(node: Node, case: str) -> None:
    changes, told = CASES[case]
    before = node.found()
    code, output = node.run(**changes)
    assert code != 0, output
    missing = [text for text in told if text not in output]
    assert not missing, f"the error does not say {missing}:\n{output}"
    assert "Traceback" not in output
    assert {name for name in node.found() - before if not name.startswith("locks")} == set()


def test_prefix_that_is_no_installation(node: Node) -> None:
    precious = node.top / "miniconda3" / "thesis.tex"
    precious.parent.mkdir()
    precious.write_text("all of it")
    code, output = node.run()
    assert code != 0
    assert "miniconda_prefix" in output
    assert str(precious.parent) in output
    assert precious.read_text() == "all of it"
    assert node.found() - {name for name in node.found() if name.startswith("locks")} == {
        "miniconda3",
        "miniconda3/thesis.tex",
    }


def test_unsupported_architecture(node: Node) -> None:
    # A real answer of platform.machine(): the kernel tells a 32-bit personality what it asks for.
    wrapper = node.top / "tmp" / "python-i686"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec setarch i686 {sys.executable} "$@"\n')
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    code, output = node.run(ansible_python_interpreter=str(wrapper))
    assert code != 0
    assert "i686" in output
    assert "x86_64" in output
    assert {name for name in node.found() if not name.startswith("locks")} == set()


def test_python_too_old(node: Node) -> None:
    # No Python as old as this can be had here: one that says it is 3.6, to Ansible's own check on the node.
    site = node.top / "tmp" / "old"
    site.mkdir(parents=True)
    (site / "sitecustomize.py").write_text(
        "import collections, sys\n"
        "V = collections.namedtuple('version_info', 'major minor micro releaselevel serial')\n"
        "sys.version_info = V(3, 6, 8, 'final', 0)\n"
    )
    wrapper = site / "python3.6"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={site} exec {sys.executable} "$@"\n')
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    code, output = node.run(ansible_python_interpreter=str(wrapper))
    assert code != 0
    assert "ansible_python_interpreter" in output
    assert "3.8" in output
    assert {name for name in node.found() if not name.startswith("locks")} == set()


def test_damaged_installer_is_never_run(node: Node) -> None:
    depot = node.top / "tmp" / "depot"
    depot.mkdir(parents=True)
    source = Path(DEPOT)
    for name in ("channel", "wheels", "simple", "datasets"):
        (depot / name).symlink_to(source / name)
    (depot / "manifest.json").write_bytes((source / "manifest.json").read_bytes())
    manifest = json.loads((source / "manifest.json").read_text())
    entry = manifest["installers"][0]
    damaged = depot / entry["path"]
    damaged.parent.mkdir()
    content = bytearray((source / entry["path"]).read_bytes())
    content[-1000] ^= 1
    damaged.write_bytes(bytes(content))
    code, output = node.run(depot_url=f"file://{depot}")
    assert code != 0
    assert entry["sha256"] in output
    assert "sha256" in output
    assert not (node.top / "miniconda3").exists()


def test_plain_directory_in_the_place_of_an_environment(node: Node) -> None:
    mine = node.top / "miniconda3" / "envs" / "small"
    code, output = node.run(environments_list=[])
    assert code == 0, output
    mine.mkdir(parents=True)
    (mine / "notes.txt").write_text("kept")
    code, output = node.run()
    assert code != 0
    assert str(mine) in output
    assert "directory" in output
    assert (mine / "notes.txt").read_text() == "kept"
    assert not any((node.top / "root" / "generations").glob("*"))


def test_no_inventory() -> None:
    done = subprocess.run(
        ["ansible-playbook", "site.yml"],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=60,
        env={
            **{name: value for name, value in os.environ.items() if name != "ANSIBLE_INVENTORY"},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        check=False,
    )
    assert done.returncode != 0
    assert "-i inventories/local" in done.stdout
