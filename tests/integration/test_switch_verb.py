"""`condafleet stage` and `switch` as they are typed, and a purge beside another run: what stops them, and what goes.

Two nodes of this machine with generations that are made up, and a genuine lock of the embedded depot.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from installs import ROOT, depot_path, local_nodes

from ansible_collections.condafleet.core.plugins.module_utils.fingerprint import fingerprint
from ansible_collections.condafleet.core.plugins.module_utils.progress import node_lock
from ansible_collections.condafleet.core.plugins.module_utils.root_folder import mark_root

DEPOT = depot_path()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(DEPOT is None, reason="no embedded depot: name one in CONDAFLEET_TEST_DEPOT"),
]
NODES = ("n1", "n2")
OLD = "x-aaaaaaaaaaaa-1"


class Fleet:
    """Two nodes on which OLD is current, and another generation staged: that of the lock of what is declared."""

    def __init__(self, top: Path, locks: Path) -> None:
        assert DEPOT is not None
        self.top = top
        self.variables = {
            **local_nodes(DEPOT, top),
            "environments_prefix": f"{top}/{{{{ inventory_hostname }}}}/mini",
            "environments_root": f"{top}/{{{{ inventory_hostname }}}}/root",
            "environments_locks_dir": str(locks),
            "shell_init_system_root": f"{top}/{{{{ inventory_hostname }}}}/system",
            "environments_list": [{"name": "x", "spec": {"conda": ["python"]}, "targets": ["linux-64-cpu"]}],
        }
        self.new = ""

    def stage(self, digest: str) -> None:
        self.new = f"x-{digest[:12]}-1"
        for node in NODES:
            (self.top / node / "mini/envs").mkdir(parents=True)
            root = self.top / node / "root"
            root.mkdir()
            mark_root(str(root))
            self.make(node, OLD, OLD[2:14] + "0" * 52)
            self.make(node, self.new, digest)
            (self.top / node / "mini/envs/x").symlink_to(root / "generations" / OLD)

    def make(self, node: str, name: str, digest: str, later: int = 0) -> None:
        """A finished generation of so many seconds after now."""
        generation = self.top / node / "root/generations" / name
        (generation / "conda-meta").mkdir(parents=True)
        (generation / "etc/condafleet").mkdir(parents=True)
        (generation / "etc/condafleet/modulefile").write_text("#%Module1.0\n")
        receipt = {"digest": digest, "target": "linux-64-cpu", "packages": [], "frameworks": []}
        receipt["fingerprint"] = fingerprint(str(generation))
        (generation / ".condafleet.json").write_text(json.dumps(receipt))
        os.utime(generation / ".condafleet.json", (time.time() + later,) * 2)

    def kept(self, node: str) -> list[str]:
        return sorted(path.name for path in (self.top / node / "root/generations").iterdir())

    def run(self, *words: str) -> tuple[int, str]:
        """The exit status of `condafleet`, and all that it said, on one line."""
        inventory = self.top / "hosts.json"
        inventory.write_text(json.dumps({"all": {"hosts": {node: {} for node in NODES}, "vars": self.variables}}))
        done = subprocess.run(
            [sys.executable, "-m", "condafleet", words[0], "-i", str(inventory), *words[1:]],
            cwd=ROOT, capture_output=True, text=True, timeout=280, check=False, env={**os.environ, "COLUMNS": "4000"},
        )  # fmt: skip
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    def current(self) -> list[str]:
        links = [self.top / node / "mini/envs/x" for node in NODES]
        return [link.readlink().name if link.is_symlink() else "" for link in links]


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the lock, and its digest."""
    top = tmp_path_factory.mktemp("locked")
    fleet = Fleet(top, top / "locks")
    code, said = fleet.run("lock", "--json", str(top / "report.json"))
    assert code == 0, said
    locks: dict[str, Any] = json.loads((top / "report.json").read_text())["locks"]
    return top / "locks", str(locks["x"]["linux-64-cpu"]["digest"])


@pytest.fixture
def fleet(tmp_path_factory: pytest.TempPathFactory, locked: tuple[Path, str]) -> Fleet:
    # Short: it stands in the first line of scripts.
    fleet = Fleet(tmp_path_factory.mktemp("f"), locked[0])
    fleet.stage(locked[1])
    return fleet


def test_what_is_asked_to_be_solved_anew_hinders_no_switch(fleet: Fleet, locked: tuple[Path, str]) -> None:
    before = {path: path.read_bytes() for path in locked[0].glob("x/*")}
    fleet.variables["environments_update"] = True
    code, said = fleet.run("switch")
    assert code == 0, said
    assert fleet.current() == [fleet.new, fleet.new]
    assert {path: path.read_bytes() for path in locked[0].glob("x/*")} == before


@pytest.mark.parametrize("what", ["folder", "modulefile"])
def test_a_node_that_can_not_take_the_plan_keeps_all_from_switching(fleet: Fleet, what: str) -> None:
    # What somebody did since it was staged; it is staged all the same.
    link, modulefile = fleet.top / "n2/mini/envs/x", fleet.top / "n2/root/modulefiles/x"
    if what == "folder":
        link.unlink()
        (link / "conda-meta").mkdir(parents=True)
    else:
        modulefile.parent.mkdir()
        modulefile.write_text("#%Module\n")
        fleet.variables["environments_modulefiles"] = True
    code, said = fleet.run("switch")
    assert code == 1, said
    why = (
        f"{link} is a directory that was not made by condafleet"
        if what == "folder"
        else f"{modulefile.parent} can't be used"
    )
    assert why in said
    assert "environment x is not staged" not in said
    assert "1 of 2 nodes are not staged" in said
    assert "Nothing was switched, on any node." in said
    assert fleet.current() == [OLD, "" if what == "folder" else OLD]


def test_staging_makes_room_and_leaves_what_it_is_to_switch_to(fleet: Fleet) -> None:
    # Others have staged three locks since, and never switched; somebody asks for a purge of what is declared no more.
    staged = [f"x-{letter * 12}-1" for letter in "bcd"]
    for later, name in enumerate(staged, start=1):
        fleet.make("n1", name, name[2:14] + "0" * 52, later)
    fleet.make("n1", "y-aaaaaaaaaaaa-1", "a" * 64)
    gone = fleet.top / "n1/mini/envs/y"
    gone.symlink_to(fleet.top / "n1/root/generations/y-aaaaaaaaaaaa-1")
    fleet.variables["environments_purge"] = True
    code, said = fleet.run("stage")
    assert code == 0, said
    assert fleet.kept("n1") == sorted([OLD, fleet.new, *staged[1:], "y-aaaaaaaaaaaa-1"])
    assert fleet.kept("n2") == sorted([OLD, fleet.new])
    assert (fleet.current(), gone.is_symlink()) == ([OLD, OLD], True), "users see nothing"
    code, said = fleet.run("switch")
    assert code == 0, said
    assert fleet.kept("n1") == sorted([OLD, fleet.new, *staged[1:]])
    assert (fleet.current(), gone.is_symlink()) == ([fleet.new, fleet.new], False)


@pytest.fixture
def other_run(fleet: Fleet) -> Iterator[str]:
    """Another run that works on the first node for as long as the test lasts."""
    with node_lock(str(fleet.top / "n1/root"), "build y-bbbbbbbbbbbb-1"):
        yield f"process {os.getpid()} on "


def test_a_purge_waits_for_another_run_and_ends_with_a_clear_word(fleet: Fleet, other_run: str) -> None:
    # The playbooks wait for ten minutes.
    task = {
        "condafleet.core.environments_collection": {
            "prefix": "{{ environments_prefix }}",
            "root": "{{ environments_root }}",
            "declared": ["y"],
            "purge": True,
            "lock_timeout": 6,
        }
    }
    playbook = fleet.top / "purge.json"
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    inventory = fleet.top / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": {node: {} for node in NODES}, "vars": fleet.variables}}))
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), str(playbook)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "COLUMNS": "4000", "ANSIBLE_NOCOLOR": "1"},
    )  # fmt: skip
    assert time.monotonic() - began > 6
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 2, said
    root = fleet.top / "n1/root"
    assert f"n1: collection: wait for {other_run}" in said
    assert f"(build y-bbbbbbbbbbbb-1), which holds {root}" in said
    assert f"environments_purge: nothing was removed: environments_root: {root}/lock is held by {other_run}" in said
    assert "was not given back within 6 seconds. Next: wait until that has ended" in said
    # Where nobody was in the way, it has gone.
    assert fleet.current() == [OLD, ""]
    assert fleet.kept("n1") == sorted([OLD, fleet.new])
