"""`condafleet lock` over a fleet whose nodes declare different environments, and none of which can be reached.

Needs a built embedded depot: its path in CONDAFLEET_TEST_DEPOT, else in build/DEPOT_PATH.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from installs import depot_path

pytestmark = pytest.mark.integration

DEPOT = depot_path()


class Site:
    """An inventory of two kinds of nodes, and what the command says of it."""

    def __init__(self, folder: Path, depot: Path) -> None:
        self.folder = folder
        digest = hashlib.sha256((depot / "manifest.json").read_bytes()).hexdigest()
        self.common = {"depot_url": depot.as_uri(), "depot_sha256": digest, "miniconda_distribution": "embedded"}
        self.cpu = {"name": "small", "spec": {"conda": ["python"], "pip": ["six"]}, "targets": ["linux-64-cpu"]}
        self.gpu = {"name": "other", "spec": {"conda": ["python"]}, "targets": ["linux-64-cpu", "linux-64-cuda12"]}

    def lock(self, *words: str, code: int = 0) -> tuple[dict[str, Any], str]:
        """The locks by `--json`, and all that was said."""
        nodes = {f"gpu{number}": {"ansible_host": f"192.0.2.{number}"} for number in (1, 2)}
        children = {
            "cpu": {"hosts": {"cpu1": {"ansible_host": "192.0.2.9"}}, "vars": {"environments_list": [self.cpu]}},
            "gpu": {"hosts": nodes, "vars": {"environments_list": [self.cpu, self.gpu]}},
        }
        inventory = self.folder / "hosts.json"
        inventory.write_text(json.dumps({"all": {"vars": self.common, "children": children}}))
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "condafleet", "lock", "-i", str(inventory), "--json", str(report), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        said = " ".join((done.stdout + done.stderr).split())
        assert done.returncode == code, said
        return (json.loads(report.read_text())["locks"] if report.exists() else {}), said

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.glob("locks/*/*")}


def states(locks: dict[str, Any]) -> dict[str, str]:
    return {f"{name} {target}": one["state"] for name, targets in locks.items() for target, one in targets.items()}


def test_locks_are_made_checked_and_compared(tmp_path: Path) -> None:
    if DEPOT is None:
        pytest.skip("no embedded depot: build one and name it in CONDAFLEET_TEST_DEPOT or build/DEPOT_PATH")
    site = Site(tmp_path, DEPOT)
    _, said = site.lock("--check", code=3)
    assert "small linux-64-cpu unlocked there is none yet" in said
    assert site.files() == {}

    locks, said = site.lock("other", "--target", "linux-64-cuda12")
    assert states(locks) == {"other linux-64-cuda12": "made"}
    assert "solving 1 of them, for 3600 s at most" in said
    locks, _ = site.lock()
    assert states(locks) == {
        "small linux-64-cpu": "made", "other linux-64-cpu": "made", "other linux-64-cuda12": "reused",
    }  # fmt: skip
    assert site.lock("--check")[0]["small"]["linux-64-cpu"]["digest"] == locks["small"]["linux-64-cpu"]["digest"]

    before = site.files()
    site.cpu["spec"] = {"conda": ["python", "tqdm"], "pip": []}
    _, said = site.lock("--check", code=3)
    assert "the spec changed: conda adds tqdm, pip drops six" in said
    locks, said = site.lock("--check", "--diff", code=3)
    assert [line.split()[0::2] for line in locks["small"]["linux-64-cpu"]["changes"]] == [
        ["six", "is", "(pip)"], ["tqdm", "is", "(conda)"],
    ]  # fmt: skip
    assert "small for linux-64-cpu: six" in said
    assert site.files() == before
    locks, said = site.lock("small", "--upgrade", "python")
    assert states(locks) == {"small linux-64-cpu": "made"}
    assert [line.split()[0] for line in locks["small"]["linux-64-cpu"]["changes"]] == ["six", "tqdm"]
    locks, said = site.lock("--upgrade", "tqdm")
    assert (states(locks)["small linux-64-cpu"], locks["small"]["linux-64-cpu"]["changes"]) == ("reused", [])
    assert "tqdm to be upgraded, as asked nothing" in said

    before = site.files()
    for words, message in (
        (["typo"], "environments: 'typo' is no environment. Accepted: other, small."),
        (["small", "--target", "linux-64-cuda12"], "targets: 'linux-64-cuda12' is no target of small."),
        (["--upgrade", "nupmy"], "upgrade: 'nupmy' is no package of any lock."),
        (["--update", "typo"], "update: 'typo' is no environment. Accepted: other, small."),
    ):
        _, said = site.lock(*words, code=2)
        assert message in said
    assert site.files() == before
