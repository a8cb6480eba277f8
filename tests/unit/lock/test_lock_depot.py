"""The frameworks' locks from the embedded depot itself, where one is given."""

import json
import os
import shutil
import time
import tomllib
from pathlib import Path

import pytest
import yaml

from ansible_collections.condafleet.core.plugins.module_utils import lockfile, origins
from condafleet.lock import lock_all

DEPOT = os.environ.get("CONDAFLEET_TEST_DEPOT", "")
pytestmark = pytest.mark.skipif(not DEPOT, reason="no depot given: set CONDAFLEET_TEST_DEPOT to its folder")


@pytest.mark.parametrize(
    ("name", "pip", "expected"),
    [
        ("torch", ["torch"], {"torch"}),
        ("tensorflow", ["tensorflow-cpu"], {"tensorflow-cpu", "keras", "numpy"}),
        ("keras", ["keras", "torch"], {"keras", "torch", "numpy"}),
    ],
)
def test_frameworks_are_locked_from_the_depot(name, pip, expected, targets, tmp_path):
    depot = Path(DEPOT).resolve()
    manifest = json.loads((depot / "manifest.json").read_text())
    # python is what the depot was built with
    declared = {"name": name, "spec": {"conda": ["python"], "pip": pip}, "targets": ["linux-64-cpu"]}
    started = time.monotonic()
    (state,) = lock_all([declared], targets, tmp_path / "locks", depot={"url": depot.as_uri()})
    assert time.monotonic() - started < 60
    lock = lockfile.parse(yaml.safe_load(state.conda_lock.read_text()), tomllib.loads(state.pylock.read_text()))
    assert expected <= {package.name for package in lock.packages if package.manager == "pip"}
    for package in lock.packages:
        place = origins.rewrite(package.url, manifest["origins"], depot.as_uri())
        listed = manifest["files"][place.removeprefix(depot.as_uri() + "/")]
        assert listed["sha256"] == package.sha256
    # moved (by what a solve reads of it, the wheels themselves stay), the bytes are the same
    moved = tmp_path / "moved"
    moved.mkdir()
    for part in ("manifest.json", "channel", "simple"):
        (shutil.copytree if (depot / part).is_dir() else shutil.copy)(depot / part, moved / part)
    (moved / "wheels").symlink_to(depot / "wheels")
    (again,) = lock_all([declared], targets, tmp_path / "again", depot={"url": moved.as_uri()})
    assert again.conda_lock.read_bytes() == state.conda_lock.read_bytes()
    assert again.pylock.read_bytes() == state.pylock.read_bytes()
