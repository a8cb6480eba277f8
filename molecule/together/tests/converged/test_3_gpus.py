"""Nodes whose GPUs or drivers do not fit, as far as files show it: those of a driver are laid under one node's /proc.

No real GPU is behind them. The lock names a build for CUDA 13, and nothing of it is ever fetched.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import scenario

NODE = "tg3"
LIBRARIES = "/usr/lib/x86_64-linux-gnu"
V100 = "Model: \t\t Tesla V100-SXM2-32GB\nGPU UUID: \t GPU-0\nBus Location: \t 0000:3b:00.0\nDevice Minor: \t 0\n"
SHA256 = "0" * 64
Driver = Callable[..., None]


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A declaration of one environment, by a pair of locks, for CUDA 13."""
    folder = tmp_path_factory.mktemp("gpus")
    url = "https://conda.example.com/linux-64/python-3.11.7-h1_0.conda"
    hashes = {"md5": "0" * 32, "sha256": SHA256}
    python = {"name": "python", "version": "3.11.7", "manager": "conda", "platform": "linux-64", "url": url}
    document = {"version": 1, "metadata": {}, "package": [{**python, "dependencies": {}, "hash": hashes}]}
    (folder / "gpu.conda-lock.yml").write_text(json.dumps(document), encoding="utf-8")
    (folder / "gpu.pylock.toml").write_text(
        'lock-version = "1.0"\n[[packages]]\nname = "torch"\nversion = "2.9.0+cu130"\n[[packages.wheels]]\n'
        f'url = "https://wheels.example.com/torch-2.9.0%2Bcu130-cp311-cp311-manylinux_2_28_x86_64.whl"\nsize = 1000\n'
        f'hashes = {{sha256 = "{SHA256}"}}\n',
        encoding="utf-8",
    )
    entry = {"name": "gpu", "spec": str(folder / "gpu.conda-lock.yml"), "targets": ["linux-64-cuda13"]}
    path = folder / "variables.json"
    path.write_text(json.dumps({"environments_list": [entry]}), encoding="utf-8")
    return f"--extra-vars=@{path}"


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    """Lay down a driver's files: the kernel module's version, one GPU, and the version of its libraries."""

    def write(module: str, libraries: str, gpu: str = V100) -> None:
        said = f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {module}  Thu Jan  1 00:00:00 UTC 2026"
        place = "/proc/driver/nvidia"
        scenario.inside(
            NODE, "sh", "-ec",
            f"[ -d {place} ] || mount -t tmpfs tmpfs /proc/driver; mkdir -p {place}/gpus/0000:3b:00.0; "
            f"echo '{said}' > {place}/version; printf '%b' '{gpu}' > {place}/gpus/0000:3b:00.0/information; "
            f"touch {LIBRARIES}/libnvidia-ml.so.{libraries}; "
            f"ln -sf libnvidia-ml.so.{libraries} {LIBRARIES}/libnvidia-ml.so.1",
        )  # fmt: skip

    return write


@pytest.mark.parametrize(
    ("module", "libraries", "sentence"),
    [
        (
            "535.183.06",
            "535.183.06",
            "it needs a driver for CUDA 13.0 or newer, and this node's driver 535.183.06 supports",
        ),
        ("580.65.06", "590.44.01", "kernel module is 580.65.06 and its libraries are 590.44.01"),
        ("580.65.06", "580.65.06", "environment 'gpu' has no code for this node's GPUs: PyTorch 2.9.0 for CUDA 13.0"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    driver: Driver, variables: str, module: str, libraries: str, sentence: str
) -> None:
    driver(module, libraries)
    done = scenario.play("condafleet.core.site", "--check", f"--limit={NODE}", variables)
    words = scenario.words(done)
    assert done.returncode == 2, words
    assert "environments_may_fail: 1 of 1 nodes can't take the plan" in words
    assert f"{NODE}: " in words
    assert sentence in words


def test_a_gpu_that_fits_is_not_stopped(driver: Driver, variables: str) -> None:
    driver("580.65.06", "580.65.06", V100.replace("Tesla V100-SXM2-32GB", "NVIDIA H100 80GB HBM3"))
    done = scenario.play("condafleet.core.site", "--check", f"--limit={NODE}", variables)
    assert done.returncode == 0, scenario.words(done)
