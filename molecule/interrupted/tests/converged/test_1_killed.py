"""Builds are killed in every step; nothing unfinished ever shows, and one run builds what it would have built."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import engine
import pytest
import scenario

from ansible_collections.condafleet.core.plugins.action.conda_environment import read_lock

NODE = "in-killed"
KILLS = 20
# Of what `plain` has: enough for every step, and quick to build so often. uv needs no pip.
PACKAGES = ("python", "packaging", "six", "idna")
LOCKS = scenario.ROOT / "build" / "molecule" / "locks-interrupted-first" / "plain"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, seed: int) -> dict[str, Any]:
    """What campaign.py on the node tells."""
    depot = scenario.fleet()
    manifest = json.loads((Path(os.environ["CONDAFLEET_TEST_DEPOT"]) / "manifest.json").read_text(encoding="utf-8"))
    lock = read_lock({kind: str(LOCKS / name) for kind, name in (
        ("conda_lock", "linux-64-cpu.conda-lock.yml"), ("pylock", "linux-64-cpu.pylock.toml")
    )}, {})  # fmt: skip
    packages = [package for package in lock["packages"] if package["name"] in PACKAGES]
    request = {
        "prefix": "/opt/miniconda3", "root": "/opt/condafleet", "target": "linux-64-cpu", "packages": packages,
        "depot_url": depot.depot_url, "depot_origins": manifest["origins"], "tools": manifest["tools"],
        "lock_timeout": 30,
    }  # fmt: skip
    path = tmp_path_factory.mktemp("campaign") / "request.json"
    path.write_text(json.dumps(request), encoding="utf-8")
    engine.podman("cp", str(path), f"{depot.container(NODE)}:/var/tmp/request.json")
    done = depot.ssh(NODE, f"python3 /var/tmp/campaign.py /var/tmp/request.json {seed} {KILLS}", timeout=840)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    for one in found["rounds"]:
        print(one)
    return found


@pytest.mark.timeout(900)
def test_every_step_was_cut_short(told: dict[str, Any]) -> None:
    killed = [one for one in told["rounds"] if one["killed"]]
    assert len(killed) >= 20, told["rounds"]
    wanted = {
        "fetch", "uv", "verify", "clean up", "link", "wheels", "state", "compile", "permissions", "files list",
        "smoke test", "receipt", "switch", "collection",
    }  # fmt: skip
    assert {one["step"] for one in killed} >= wanted
    assert {one["who"] for one in killed} == {"step", "program"}


def test_nothing_unfinished_ever_showed(told: dict[str, Any]) -> None:
    assert [one for one in told["rounds"] if one["wrong"]] == []


def test_one_run_builds_what_would_have_been_built(told: dict[str, Any]) -> None:
    assert told["generation"][0] == told["generation"][1]
    assert told["same_fingerprint"]
    assert told["files"] > 1500
    assert told["different"] == []
    assert told["left"] == []
