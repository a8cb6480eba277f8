"""The tables of GPU models and of builds: names are found as drivers write them, and no row contradicts another."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import gpu_builds, gpu_models
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package
from ansible_collections.condafleet.core.plugins.module_utils.targets import version_key


def package(name: str, version: str, build: str = "", channel: str = "conda-forge") -> Package:
    manager = "conda" if build else "pip"
    url = f"https://conda.example.com/{channel}/linux-64/{name}-{version}-{build}.conda"
    return Package(
        manager, name, version, build, url if build else f"https://x.example.com/{name}", "a", None, 1, "f", ""
    )


@pytest.mark.parametrize(
    ("name", "model", "capability"),
    [
        ("Tesla V100-SXM2-32GB", "V100", "7.0"),
        ("NVIDIA A100-SXM4-80GB", "A100", "8.0"),
        ("NVIDIA A100 80GB PCIe", "A100", "8.0"),
        ("GRID A100-40C", "A100", "8.0"),
        ("NVIDIA H100 80GB HBM3", "H100", "9.0"),
        ("NVIDIA H200", "H200", "9.0"),
        ("NVIDIA GH200 480GB", "GH200", "9.0"),
        ("NVIDIA B200", "B200", "10.0"),
        ("NVIDIA B300 SXM6 AC", "B300", "10.3"),
        ("NVIDIA GeForce RTX 3080 Laptop GPU", "GeForce RTX 3080", "8.6"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", "GeForce RTX 4070", "8.9"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX PRO 6000 Blackwell", "12.0"),
        # Three cards whose names begin alike, and differ in their architecture.
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada", "8.9"),
        ("Quadro RTX 6000", "Quadro RTX 6000", "7.5"),
        ("NVIDIA RTX A6000", "RTX A6000", "8.6"),
        # What no row names is not guessed from what it resembles.
        ("NVIDIA A10G", None, None),
        ("NVIDIA H20", None, None),
        ("NVIDIA RTX 6000", None, None),
        ("NVIDIA Thing 9000", None, None),
        (None, None, None),
    ],
)
def test_a_gpu_is_known_by_its_driver_s_name(name: str | None, model: str | None, capability: str | None) -> None:
    assert gpu_models.model_of(name) == (model, capability)


def test_a_node_with_two_models_has_two_capabilities() -> None:
    gpus: list[dict[str, Any]] = [{"name": name} for name in ("NVIDIA L4", "Tesla T4", "Tesla T4", "NVIDIA X", None)]
    assert gpu_models.kinds(gpus) == {"L4": ("8.9", 1), "T4": ("7.5", 2)}


def test_every_row_names_its_source_and_each_model_stands_once() -> None:
    models = [model for _capability, source, names in gpu_models.MODELS for model in names if source.startswith("http")]
    assert len(models) == len(set(models)) == sum(len(names) for _capability, _source, names in gpu_models.MODELS)
    for row in gpu_builds.BUILDS:
        assert row.source.startswith("https://github.com/"), row
        assert version_key(row.since) < version_key(row.before), row
        listed = row.capabilities.replace("+PTX", "").split()
        assert listed == sorted(set(listed), key=version_key), row


def test_no_build_is_in_two_rows() -> None:
    for build in gpu_builds.BUILDS:
        for platform in ("linux-64", "linux-aarch64"):
            asked = {"framework": build.framework, "kind": build.kind, "version": build.since, "cuda": build.cuda}
            rows = [
                row
                for row in gpu_builds.BUILDS
                if (row.framework, row.kind, row.cuda) == (build.framework, build.kind, build.cuda)
                and row.platform in (None, platform)
                and version_key(row.since) <= version_key(build.since) < version_key(row.before)
            ]
            assert len(rows) <= 1, asked


@pytest.mark.parametrize(
    ("packages", "found"),
    [
        ([package("torch", "2.9.0+cu128")], [("torch", "wheel", "12.8")]),
        # As from the default index: the libraries beside it say which CUDA it was built with.
        ([package("torch", "2.9.0"), package("nvidia-cuda-runtime-cu12", "12.8.90")], [("torch", "wheel", "12.8")]),
        ([package("torch", "2.11.0"), package("nvidia-cuda-runtime", "13.0.96")], [("torch", "wheel", "13.0")]),
        ([package("torch", "2.9.0+cpu"), package("nvidia-cuda-runtime-cu12", "12.8.90")], []),
        ([package("tensorflow", "2.20.0")], []),
        (
            [package("tensorflow", "2.20.0"), package("nvidia-cuda-runtime-cu12", "12.5.82")],
            [("tensorflow", "wheel", "12.5")],
        ),
        ([package("jax-cuda13-plugin", "0.8.0"), package("jaxlib", "0.8.0")], [("jax", "wheel", "13")]),
        ([package("pytorch", "2.9.1", "cuda129_mkl_py312h1_303")], [("torch", "conda-forge", "12.9")]),
        ([package("pytorch", "2.9.1", "cpu_generic_py312h1_3")], []),
        ([package("pytorch", "2.9.1", "cuda129_mkl_py312h1_303", channel="ours")], []),
    ],
)  # fmt: skip
def test_gpu_builds_are_found_among_the_packages_of_a_lock(
    packages: list[Package], found: list[tuple[str, ...]]
) -> None:
    assert [(one["framework"], one["kind"], one["cuda"]) for one in gpu_builds.builds_of(packages)] == found


@pytest.mark.parametrize(
    ("build", "capability", "runs"),
    [
        (("torch", "wheel", "2.9.0+cu130", "13.0"), "7.0", False),  # V100, dropped by CUDA 13
        (("torch", "wheel", "2.9.0+cu128", "12.8"), "7.0", True),
        (("torch", "wheel", "2.11.0+cu128", "12.8"), "7.0", False),
        (("torch", "wheel", "2.9.0+cu126", "12.6"), "10.0", False),  # B200 needs sm_100, or intermediate code
        (("torch", "wheel", "2.9.0+cu128", "12.8"), "10.0", True),
        (("torch", "wheel", "2.9.0+cu128", "12.8"), "10.3", True),  # machine code runs on newer ones of its major
        (("torch", "wheel", "2.9.0+cu128", "12.8"), "8.9", True),
        (("torch", "wheel", "2.9.0+cu126", "12.6"), "6.1", True),
        (("tensorflow", "wheel", "2.20.0", "12.5"), "10.0", True),  # by intermediate code for 9.0
        (("tensorflow", "wheel", "2.20.0", "12.5"), "5.2", False),
        (("jax", "wheel", "0.8.0", "13"), "7.0", False),
        (("jax", "wheel", "0.8.0", "12"), "7.0", True),
        (("torch", "conda-forge", "2.13.0", "13.0"), "7.0", False),
        (("torch", "conda-forge", "2.13.0", "12.9"), "7.0", True),
        (("torch", "wheel", "2.13.0+cu130", "13.0"), "7.0", False),
        (("torch", "wheel", "2.13.0+cu126", "12.6"), "7.0", True),
        (("torch", "wheel", "2.14.0", "13.2"), "7.0", False),
        (("torch", "wheel", "2.14.1+cu132", "13.2"), "10.3", True),
        (("torch", "wheel", "2.15.0+cu132", "13.2"), "7.0", None),  # 12.6 is to end there, and no more is known
        (("torch", "wheel", "2.6.0+cu124", "12.4"), "6.1", True),
        (("torch", "wheel", "2.6.0+cu124", "12.4"), "10.0", False),
        (("torch", "wheel", "2.6.0+cu118", "11.8"), "3.7", True),
        (("torch", "wheel", "2.7.1", "12.6"), "7.0", True),
        (("torch", "wheel", "2.7.1+cu128", "12.8"), "7.0", False),  # taken out for this release alone
        (("torch", "wheel", "2.7.1+cu128", "12.8"), "12.0", True),
        (("torch", "wheel", "2.7.1+cu118", "11.8"), "10.0", False),
        (("torch", "wheel", "2.8.0+cu126", "12.6"), "6.1", True),
        (("torch", "wheel", "2.8.0+cu126", "12.6"), "10.0", False),
        (("torch", "wheel", "2.8.0+cu128", "12.8"), "6.1", False),
        (("torch", "wheel", "2.8.0+cu128", "12.8"), "7.0", True),
        (("torch", "wheel", "2.10.0+cu129", "12.9"), "7.0", True),
        (("torch", "wheel", "2.11.0+cu129", "12.9"), "7.0", False),
        (("torch", "wheel", "2.13.0+cu129", "12.9"), "12.1", True),
        (("torch", "wheel", "2.14.0+cu129", "12.9"), "7.0", None),  # not in its support matrix
        (("torch", "wheel", "2.7.0+cu124", "12.4"), "7.0", None),  # no such build was published
        (("torch", "wheel", "9.0.0+cu200", "20.0"), "7.0", None),
    ],
)
def test_what_a_build_runs_on(build: tuple[str, str, str, str], capability: str, runs: bool | None) -> None:
    asked = dict(zip(("framework", "kind", "version", "cuda"), build, strict=True))
    row = gpu_builds.row_of(asked, "linux-64")
    assert (None if row is None else gpu_builds.runs_on(row, capability)) == runs


@pytest.mark.parametrize(
    ("version", "cuda", "capability", "runs"),
    [
        ("2.9.0+cu128", "12.8", "9.0", True),
        ("2.10.0+cu128", "12.8", "7.5", False),  # T4G, which the builds for x86-64 run on
        ("2.9.1+cu126", "12.6", "10.0", False),
        ("2.8.0+cu129", "12.9", "9.0", None),  # whether 8.0 is in it could not be told
    ],
)
def test_what_a_wheel_for_aarch64_runs_on(version: str, cuda: str, capability: str, runs: bool | None) -> None:
    row = gpu_builds.row_of({"framework": "torch", "kind": "wheel", "version": version, "cuda": cuda}, "linux-aarch64")
    assert (None if row is None else gpu_builds.runs_on(row, capability)) == runs
