"""The specs that come with the role environments: in normal form, solved from the depot, and from a real Python index.

The last needs the index's URL in CONDAFLEET_TEST_INDEX; it reads metadata, a few MB, and downloads no wheel. conda's
part is solved from a channel of bare records then.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from ansible_collections.condafleet.core.plugins.module_utils import lockfile, lockspec
from condafleet.errors import LockError
from condafleet.lock import LockState, lock_all

sys.path.insert(0, str(Path(__file__).parents[2] / "containers"))
from private_index import Site

FOLDER = Path(__file__).parents[3] / "roles/environments/files/environments"
DEFAULTS = yaml.safe_load((FOLDER.parents[1] / "defaults/main.yml").read_text())
TARGETS = DEFAULTS["environments_targets"]
DEPOT = os.environ.get("CONDAFLEET_TEST_DEPOT")
INDEX = os.environ.get("CONDAFLEET_TEST_INDEX")
needs_index = pytest.mark.skipif(not INDEX, reason="no Python index given: set CONDAFLEET_TEST_INDEX to its URL")

CPU = ("linux-64-cpu", "linux-aarch64-cpu")
CUDA12 = ("linux-64-cuda12", "linux-aarch64-cuda12")
CUDA13 = ("linux-64-cuda13", "linux-aarch64-cuda13")
# Each spec with the targets that it is for, and the wheel that shows that it is the right one.
SPECS: dict[str, tuple[tuple[str, ...], str]] = {
    "pytorch": ((*CPU, *CUDA12, *CUDA13), "torch"),
    "tensorflow": (CPU, "tensorflow"),
    "tensorflow-cuda": (("linux-64-cuda12", "linux-64-cuda13"), "nvidia-cudnn-cu12"),
    "jax": (CPU, "jaxlib"),
    "jax-cuda12": (CUDA12, "jax-cuda12-plugin"),
    "jax-cuda13": (CUDA13, "jax-cuda13-plugin"),
    "keras-torch": ((*CPU, *CUDA12, *CUDA13), "torch"),
    "keras-tensorflow": (CPU, "tensorflow"),
    "keras-tensorflow-cuda": (("linux-64-cuda12", "linux-64-cuda13"), "nvidia-cudnn-cu12"),
    "keras-jax": (CPU, "jaxlib"),
    "keras-jax-cuda12": (CUDA12, "jax-cuda12-plugin"),
    "keras-jax-cuda13": (CUDA13, "jax-cuda13-plugin"),
}
# Their builds are on PyTorch's own index, which this test does without: the default index has one for CUDA 13.
ONLY_FROM_PYTORCH = {(name, target) for name in ("pytorch", "keras-torch") for target in CUDA12}
ALL = [(name, target) for name, (targets, _) in SPECS.items() for target in targets]


def wheels(state: LockState) -> dict[str, str]:
    pair = yaml.safe_load(state.conda_lock.read_text()), tomllib.loads(state.pylock.read_text())
    return {one.name: one.version for one in lockfile.parse(*pair).packages if one.manager == "pip"}


def entry(name: str, target: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "spec": str(FOLDER / f"{name}.yml"), "targets": [target], **more}


def test_there_is_a_test_for_each_and_each_says_what_it_is() -> None:
    assert sorted(SPECS) == sorted(path.stem for path in FOLDER.glob("*"))
    for name in SPECS:
        document = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
        spec = lockspec.normalise(name, document)
        assert (document["name"], spec["channels"]) == (name, ["conda-forge"])
        # pip: a node without uv installs the wheels by it. python: what the role takes for other kinds too.
        assert spec["conda"] == ["pip", f"python {DEFAULTS['environments_python']}"]
        backend = name.split("-")[1] if name.startswith("keras-") else None
        assert spec["variables"] == ({"KERAS_BACKEND": backend} if backend else {})


@pytest.mark.skipif(not DEPOT, reason="no depot given: set CONDAFLEET_TEST_DEPOT to its folder")
@pytest.mark.parametrize("name", ["pytorch", "tensorflow", "keras-torch", "keras-tensorflow"])
def test_the_depot_has_what_the_cpu_needs(name: str, tmp_path: Path) -> None:
    targets = {
        "cpu": {"platform": "linux-64", "glibc": "2.36"},
        "gpu": {"platform": "linux-64", "glibc": "2.36", "cuda": "12.0"},
    }
    depot = {"url": Path(str(DEPOT)).as_uri()}
    (state,) = lock_all([entry(name, "cpu")], targets, tmp_path, depot=depot)
    found = wheels(state)
    assert found.get("torch", "").endswith("+cpu") or "tensorflow-cpu" in found
    assert ("keras" in found) == (name != "pytorch")
    with pytest.raises(LockError, match=r"target 'gpu' has CUDA 12\.0, but gets a CPU build: t"):
        lock_all([entry(name, "gpu")], targets, tmp_path, depot=depot)


@pytest.fixture
def channel(made: Any) -> str:
    """Pythons and pip for both platforms, as records that hold nothing."""
    made.repodata = {subdir: {} for subdir in ("linux-64", "linux-aarch64", "noarch")}
    for subdir in ("linux-64", "linux-aarch64"):
        for version in ("3.12.12", "3.13.9"):
            made.conda("python", version, subdir=subdir)
    made.conda("pip", "26.3", "pyh_0", ["python"], subdir="noarch")
    made.write()
    return str((made.root / "channel").as_uri())


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The index's page of torch alone, as a site's mirror has it: so that PyTorch's own index need not be reached."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", str(INDEX))
    page = httpx.get(f"{INDEX}/torch/", headers={"Accept": "text/html"}, follow_redirects=True, timeout=60)
    with Site({"/simple/torch/": page.raise_for_status().content}) as site:
        yield f"{site.url}/simple"


@needs_index
@pytest.mark.parametrize(("name", "target"), ALL)
def test_each_solves_for_each_of_its_targets(name: str, target: str, channel: str, index: str, tmp_path: Path) -> None:
    declared = entry(name, target, channels=[channel], indexes=[index])
    if (name, target) in ONLY_FROM_PYTORCH:
        # It has no build for CUDA 12 any more: better an error than what no driver of the target runs.
        with pytest.raises(LockError, match="gets a build for CUDA 13"):
            lock_all([declared], TARGETS, tmp_path)
        return
    (state,) = lock_all([declared], TARGETS, tmp_path)
    found = wheels(state)
    shows = SPECS[name][1]
    if name.endswith("tensorflow") and target == "linux-64-cpu":
        shows = "tensorflow-cpu"
    assert shows in found, found
    assert found.get("keras", "").startswith("3.") or not name.startswith(("keras", "tensorflow"))


@needs_index
@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("tensorflow", "linux-64-cuda12"),
        ("jax", "linux-64-cuda13"),
        ("keras-jax", "linux-aarch64-cuda12"),
        ("keras-tensorflow", "linux-64-cuda12"),
        ("tensorflow-cuda", "linux-aarch64-cuda12"),
        ("jax-cuda13", "linux-64-cuda12"),
    ],
)
def test_the_wrong_one_for_a_target_is_an_error(
    name: str, target: str, channel: str, index: str, tmp_path: Path
) -> None:
    with pytest.raises(LockError, match=r"gets a (CPU build|build for CUDA 13)"):
        lock_all([entry(name, target, channels=[channel], indexes=[index])], TARGETS, tmp_path)
