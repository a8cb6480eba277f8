"""nvidia-ml-py of a depot: fetched once, held to its sha256, and imported by a child from the wheel alone."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pynvml
import pytest

from ansible_collections.condafleet.core.plugins.module_utils import bounded_call, gpu_asked, nvml_tool
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.nvml_tool import ensure_nvml

ROOT = Path(__file__).parents[3]
WHEEL = "wheels/nvidia_ml_py-13.0-py3-none-any.whl"
Depot = tuple[str, dict[str, Any]]


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A depot with a wheel of the genuine module: (URL, the manifest's tools)."""
    path = tmp_path / "depot" / WHEEL
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(str(pynvml.__file__), "pynvml.py")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return (tmp_path / "depot").as_uri(), {"nvidia-ml-py": {"any": {"version": "13", "path": WHEEL, "sha256": digest}}}


def test_it_is_fetched_once_and_kept_below_root(depot: Depot, tmp_path: Path) -> None:
    url, tools = depot
    wheel = ensure_nvml(str(tmp_path / "root"), tools, url)
    assert wheel == nvml_tool.nvml_path(str(tmp_path / "root"), tools["nvidia-ml-py"]["any"])
    assert (tmp_path / "root" / "tools").is_dir()
    (tmp_path / "depot" / WHEEL).unlink()
    assert ensure_nvml(str(tmp_path / "root"), tools, url) == wheel


def test_a_damaged_one_is_fetched_again(depot: Depot, tmp_path: Path) -> None:
    url, tools = depot
    wheel = Path(str(ensure_nvml(str(tmp_path / "root"), tools, url)))
    wheel.write_bytes(b"something else")
    assert ensure_nvml(str(tmp_path / "root"), tools, url) == str(wheel)
    assert zipfile.is_zipfile(wheel)


def test_another_file_than_the_controller_named_is_not_used(depot: Depot, tmp_path: Path) -> None:
    url, tools = depot
    (tmp_path / "depot" / WHEEL).write_bytes(b"something else")
    with pytest.raises(FleetError, match=r"sha256 is [0-9a-f]{64}, expected"):
        ensure_nvml(str(tmp_path / "root"), tools, url)


def test_without_a_depot_nothing_is_fetched(depot: Depot, tmp_path: Path) -> None:
    url, tools = depot
    root = str(tmp_path / "root")
    assert ensure_nvml(root, None, url) is None
    assert ensure_nvml(root, {"uv": {}}, url) is None
    assert ensure_nvml(root, tools, None) is None
    assert not Path(root).exists()


def test_a_rehearsal_writes_nothing_and_uses_what_is_there(depot: Depot, tmp_path: Path) -> None:
    url, tools = depot
    root = str(tmp_path / "root")
    assert ensure_nvml(root, tools, url, may_fetch=False) is None
    assert not Path(root).exists()
    wheel = ensure_nvml(root, tools, url)
    assert ensure_nvml(root, tools, url, may_fetch=False) == wheel


def test_a_child_imports_it_from_the_wheel(depot: Depot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, tools = depot
    wheel = ensure_nvml(str(tmp_path / "root"), tools, url)
    library = tmp_path / "libnvidia-ml.so.1"
    # By its soname the loader finds the one that is loaded already.
    named = ["-Wl,-soname,libnvidia-ml.so.1", "-o", str(library), str(ROOT / "tests/gpus/nvml.c")]
    subprocess.run(["cc", "-shared", "-fPIC", *named], check=True)
    monkeypatch.setenv("CONDAFLEET_GPUS", str(ROOT / "tests/gpus/healthy"))
    former = list(sys.path)

    def child() -> dict[str, Any]:
        ctypes.CDLL(str(library))
        del sys.modules["pynvml"]
        told = gpu_asked._probe(wheel)
        return {**told, "from": sys.modules["pynvml"].__file__}

    told = bounded_call.in_child(child, 60, "NVML")
    assert told["from"] == f"{wheel}/pynvml.py"
    assert [gpu["name"] for gpu in told["gpus"]] == ["NVIDIA H100 80GB HBM3"] * 2
    assert sys.path == former
