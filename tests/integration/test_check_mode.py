"""What a run does is what check mode has promised: the same keys, packages and differences, in every state of a node.

A genuine conda builds genuine environments, by the modules as the nodes run them. Needs a built embedded depot: its
path in CONDAFLEET_TEST_DEPOT, else in build/DEPOT_PATH.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from installs import depot_path, packages_of

from ansible_collections.condafleet.core.plugins.module_utils.observation import observe
from ansible_collections.condafleet.core.plugins.module_utils.plan import lines, plan
from ansible_collections.condafleet.core.plugins.modules import (
    conda_environment,
    conda_facts,
    environments_audit,
    environments_collection,
    environments_removal,
)

pytestmark = pytest.mark.integration

DEPOT = depot_path()
CONDA = ("python", "pip", "setuptools", "wheel", "packaging")
STATES = ("fetched", "built", "tested", "current")
CHECKS = ["python -c 'import six'"]
# Progress of steps, and the lock that they hold: no part of what a node is.
OF_A_RUN = ("progress", "jobs", "lock", "scratch")
# What differs from one run to the next, of the same work.
MEASURED = {"bytes", "seconds", "uv", "freed_bytes", "archives", "installer", "smoke_test", "checks"}

Run = Callable[..., dict[str, Any]]


class Node:
    """A node, the keys that each kind of call has returned, and what there is to be installed."""

    def __init__(self, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert DEPOT is not None
        self.base, self.capsys = base, capsys
        self.prefix, self.root = str(base / "mc"), str(base / "root")
        self.keys: dict[tuple[str, ...], set[str]] = {}
        self.manifest = json.loads((DEPOT / "manifest.json").read_text())
        whole = [package.to_dict() for package in packages_of(DEPOT, CONDA, "six")]
        self.locks = {"a": whole, "b": [package for package in whole if package["name"] != "six"]}

    def install(self) -> None:
        assert DEPOT is not None
        installer = next((DEPOT / "installers").glob("*.sh"))
        home = {**os.environ, "HOME": str(self.base)}
        subprocess.run(["bash", installer, "-b", "-p", self.prefix], check=True, capture_output=True, env=home)

    def call(self, module: Any, check: bool, **options: Any) -> dict[str, Any]:
        arguments = {"prefix": self.prefix, "root": self.root, **options}
        with (
            patch_module_args({**arguments, "_ansible_check_mode": check, "_ansible_diff": True}),
            pytest.raises(SystemExit),
        ):
            module.main()
        result: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        assert not result.get("failed"), result
        kind = (module.__name__.rpartition(".")[2], str(options.get("state", "")))
        self.same_keys(kind, result)
        for inner in ("details", "packages"):
            if inner in result:
                self.same_keys((*kind, inner), result[inner])
        return result

    def same_keys(self, kind: tuple[str, ...], result: dict[str, Any]) -> None:
        """Every call of a kind returns the same keys as the first, whatever it found and did."""
        keys = set(result) - {"invocation", "warnings"}
        assert self.keys.setdefault(kind, keys) == keys, f"{kind}: {sorted(self.keys[kind] ^ keys)}"

    def environment(self, state: str, digest: str, check: bool = False, **options: Any) -> dict[str, Any]:
        assert DEPOT is not None
        given = {
            "state": state, "name": "x", "target": "linux-64-cpu", "digest": digest * 64,
            "packages": self.locks[digest], "variables": {"WHICH": digest}, "depot_url": DEPOT.as_uri(),
            "depot_origins": self.manifest["origins"], "tools": self.manifest["tools"], "checks": CHECKS,
        }  # fmt: skip
        return self.call(conda_environment, check, **{**given, **options})

    def plan(self, digest: str, adopt: bool = False) -> dict[str, Any]:
        """The plan of the node, as the action makes it: the same keys whatever it finds."""
        seen = observe(self.prefix, self.root, adopt=["x"] if adopt else [])
        self.same_keys(("observed",), seen)
        locked = {"digest": digest * 64, "packages": self.locks[digest]}
        part = {
            "declared": [{"name": "x", "targets": ["t"], "checks": CHECKS}],
            "targets": {"t": {"platform": seen["node"]["platform"]}},
            "locks": {"x": {"t": locked}},
        }
        outcome = plan(seen, {"environments": part})
        self.same_keys(("plan",), outcome)
        self.same_keys(("plan", "environment"), outcome["environments"]["x"])
        return outcome

    def snapshot(self) -> dict[str, Any]:
        """Names, kinds and times of everything on the node."""
        found = {}
        for path in sorted(self.base.rglob("*")):
            parts = path.relative_to(self.base).parts
            if len(parts) > 1 and parts[0] == "root" and parts[1] in OF_A_RUN:
                continue
            status = path.lstat()
            # An archive's time says when it was looked at last.
            timeless = path.is_dir() or parts[:2] in (("root", "pkgs"), ("root", "wheels"))
            found["/".join(parts)] = (status.st_mode, status.st_ino, 0 if timeless else status.st_mtime_ns)
        return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if DEPOT is None:
        pytest.skip("no embedded depot: build one and name it in CONDAFLEET_TEST_DEPOT or build/DEPOT_PATH")
    return tmp_path_factory.mktemp("n")


def told(result: dict[str, Any]) -> dict[str, Any]:
    """What a result says, without what is measured."""
    details = {key: value for key, value in (result.get("details") or {}).items() if key not in MEASURED}
    left = {key: value for key, value in result.items() if key not in MEASURED | {"invocation", "warnings", "details"}}
    return {**left, "details": details}


def both(node: Node, run: Run) -> dict[str, Any]:
    """Promise it in check mode, which changes nothing; do it, as promised; do it again, which changes nothing more."""
    before = node.snapshot()
    promised = run(check=True)
    assert node.snapshot() == before, "check mode changed the node"
    done = run(check=False)
    assert told(done) == told(promised)
    moved = sorted({name for name, _dummy in before.items() ^ node.snapshot().items()})
    assert bool(moved) == done["changed"], moved[:5]
    return done


def test_a_node_gets_what_check_mode_promised(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = Node(installed, capsys)
    names = sorted(package["name"] for package in node.locks["a"])

    # Nothing yet, not even a conda: every step says what it would do, and the plan does so package by package.
    for state in STATES:
        promised = node.environment(state, "a", check=True)
        assert promised["changed"], state
        assert promised["generation"] == f"x-{'a' * 12}-1", state
        if state in ("built", "current"):
            assert sorted(one["name"] for one in promised["packages"]["added"]) == names
    first = node.plan("a")
    assert [one["name"] for one in first["environments"]["x"]["packages"]["added"]] == [
        package["name"] for package in sorted(node.locks["a"], key=lambda one: (one["manager"], one["name"]))
    ]
    assert [line.split()[1] for line in lines(first)[1][1:]] == names
    for module in (conda_facts, environments_audit, environments_removal):
        assert node.call(module, True)["changed"] is False
    assert node.call(environments_collection, True, declared=["x"])["changed"] is False
    assert not (installed / "root").exists()

    node.install()
    promised = node.environment("built", "a", check=True)
    for state in STATES:
        done = both(node, lambda state=state, **how: node.environment(state, "a", **how))
        assert done["changed"], state
        if state == "built":
            assert told(done) == told(promised), "promised before anything was fetched"
        again = both(node, lambda state=state, **how: node.environment(state, "a", **how))
        assert (again["changed"], again["diff"]) == (False, {}), state
    assert node.plan("a")["environments"]["x"]["action"] == "none"

    # Another lock: one package less.
    gone = next(one for one in node.locks["a"] if one["name"] == "six")
    entry = node.plan("b")["environments"]["x"]
    assert (entry["action"], [one["name"] for one in entry["packages"]["removed"]]) == ("build", ["six"])
    for state in STATES:
        done = both(node, lambda state=state, **how: node.environment(state, "b", **{"checks": [], **how}))
        if state in ("built", "current"):
            assert [one["name"] for one in done["packages"]["removed"]] == ["six"], state
        if state == "built":
            assert done["diff"]["prepared"] == f"- six {gone['version']}\n"

    # Back to the former one.
    back = {"generation": f"x-{'a' * 12}-1", "why": "rollback"}
    done = both(node, lambda **how: node.call(conda_environment, state="current", name="x", **back, **how))
    assert [one["name"] for one in done["packages"]["added"]] == ["six"]
    assert done["details"]["before"] == f"x-{'b' * 12}-1"

    audit = both(node, lambda **how: node.call(environments_audit, **how))
    assert sorted(audit["environments"]) == ["base", "x"]

    # Somebody makes an environment in its place, which is adopted and given back.
    link = installed / "mc/envs/x"
    link.unlink()
    conda = installed / "mc/bin/conda"
    command = [conda, "create", "-y", "-q", "--offline", "--override-channels", "-c", f"{DEPOT}/channel", "-n", "x"]
    subprocess.run([*command, "packaging"], check=True, capture_output=True, env={"HOME": str(installed)})
    entry = node.plan("a", adopt=True)["environments"]["x"]
    assert (entry["action"], entry["adopt"]) == ("switch", str(link))
    done = both(node, lambda **how: node.environment("current", "a", adopt=True, **how))
    assert done["packages"] == entry["packages"]
    assert "six" in [one["name"] for one in done["packages"]["added"]], "python itself came with packaging"
    assert "made by hand, moved to" in done["diff"]["prepared"]
    done = both(
        node, lambda **how: node.call(conda_environment, state="current", name="x", generation="adopted", **how)
    )
    assert done["details"]["restored"] == str(installed / "mc.d/adopted-envs/x-1")
    both(node, lambda **how: node.environment("current", "a", adopt=True, **how))

    # What is surplus goes, then all.
    collected = both(node, lambda **how: node.call(environments_collection, declared=["x"], keep=0, **how))
    assert collected["removed"] == [f"x-{'b' * 12}-1"]
    both(node, lambda **how: node.call(environments_collection, declared=["x"], keep=0, **how))
    collected = both(node, lambda **how: node.call(environments_collection, declared=[], keep=0, purge=True, **how))
    assert collected["purged"] == ["x"]
    removed = both(node, lambda **how: node.call(environments_removal, **how))
    assert removed["removed"]
    assert not link.is_symlink()
    assert (link / "conda-meta").is_dir()
    both(node, lambda **how: node.call(environments_removal, **how))
