"""Why a node can't take a plan, from observations as conda_facts makes them.

Those of GPU nodes are written after what such nodes say; none of them was seen on a real one.
"""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.compatibility import refuse_missing_conda, unfit
from ansible_collections.condafleet.core.plugins.module_utils.lock_needs import archives_of, needs_of, room_for
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Lock, Package
from ansible_collections.condafleet.core.plugins.module_utils.plan import plan

ROOT = "/opt/condafleet"
TARGETS = {
    "cpu": {"platform": "linux-64", "glibc": "2.28"},
    "cuda12": {"platform": "linux-64", "glibc": "2.28", "cuda": "12.0"},
    "cuda13": {"platform": "linux-64", "glibc": "2.28", "cuda": "13.0"},
}
DIGEST = "a" * 64


def package(name: str, version: str, size: int | None = 100_000_000, build: str = "") -> Package:
    manager, filename = ("conda", f"{name}-{version}-{build}.conda") if build else ("pip", f"{name}-{version}.whl")
    return Package(manager, name, version, build, "https://x.example.com/" + filename, name, None, size, filename, "")


def locked(*packages: Package) -> dict[str, Any]:
    lock = Lock("x", "t", packages, {})
    short = [{"manager": p.manager, "name": p.name, "version": p.version, "build": p.build} for p in packages]
    return {"digest": DIGEST, "packages": short, "needs": needs_of(lock)}


LOCKS = {
    "x": {
        "cpu": locked(package("six", "1.17")),
        "cuda12": locked(package("torch", "2.9.0+cu128")),
        "cuda13": locked(package("torch", "2.9.0+cu130")),
    }
}


def node(gpus: list[str] | None = None, **changes: Any) -> dict[str, Any]:
    """A node with a driver for CUDA 13, and room."""
    made: dict[str, Any] = {
        "platform": "linux-64",
        "architecture": "x86_64",
        "libc": "glibc",
        "glibc": "2.36",
        "driver": "580.65.06",
        "cuda": "13.0",
        "driver_libraries": [{"name": "libnvidia-ml", "path": "/usr/lib/x", "version": "580.65.06"}],
        "gpus": [{"index": i, "name": name} for i, name in enumerate(gpus or [])],
        "free_bytes": {ROOT: 10**12},
        "free_inodes": {ROOT: 10**7},
    }
    return {**made, **changes}


def observed(of: dict[str, Any], cached: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "node": of,
        "root": {"path": ROOT, "refusal": None},
        "cache": {"pkgs": [one for one in cached if "conda" in one], "wheels": list(cached)},
        "installation": {"prefix": "/opt/miniconda3", "state": "present"},
        "environments": {},
        "generations": [],
        "validations": {},
        "modulefiles": None,
    }


def blocked(
    of: dict[str, Any], targets: list[str], target: str | None = None, cached: tuple[str, ...] = ()
) -> list[str]:
    """The sentences of the whole plan."""
    declared = [{"name": "x", "targets": targets, "frameworks": []}]
    part = {"declared": declared, "targets": TARGETS, "locks": LOCKS, "target": target}
    return list(plan(observed(of, cached), {"environments": part})["blocked"])


def test_a_node_that_is_as_it_should_be_is_stopped_by_nothing() -> None:
    assert blocked(node(["NVIDIA H100 80GB HBM3"] * 8), ["cuda13"]) == []


@pytest.mark.parametrize(
    ("of", "targets", "text"),
    [
        (node(platform="linux-aarch64", architecture="aarch64"), ["cpu"], "this node's architecture is aarch64"),
        (node(glibc="2.17"), ["cpu"], "it needs glibc 2.28 or newer, and this node has glibc 2.17"),
        (node(driver="535.183.06", cuda="12.2"), ["cuda13"], "this node's driver 535.183.06 supports CUDA 12.2"),
        (
            node(driver=None, cuda=None),
            ["cuda12"],
            "it needs a driver for CUDA 12.0 or newer, and this node has no driver",
        ),
        (
            node(["Tesla V100-SXM2-32GB"] * 4),
            ["cuda13"],
            "PyTorch 2.9.0 for CUDA 13.0 of target cuda13 is built for compute capability 7.5, 8.0, 8.6, 9.0, 10.0, "
            "12.0 and newer, and V100 has 7.0",
        ),
        # One strange GPU among good ones is named, and only that one.
        (node(["NVIDIA H100 80GB HBM3", "Tesla V100-PCIE-16GB"]), ["cuda13"], "and newer, and V100 has 7.0. Next"),
        (
            node(driver_libraries=[{"name": "libnvidia-ml", "path": "/usr/lib/x", "version": "590.44.01"}]),
            ["cuda12"],
            "kernel module is 580.65.06 and its libraries are 590.44.01, as after an update without a reboot",
        ),
        (
            node(free_bytes={ROOT: 300_000_000}),
            ["cpu"],
            "/opt/condafleet has 300 MB free, and x needs about 500 MB (100 MB to download, 400 MB unpacked",
        ),
        (node(free_inodes={ROOT: 1000}), ["cpu"], "has 1000 inodes free, and x needs about 13001"),
    ],
)
def test_each_reason_has_its_sentence_with_a_next_step(of: dict[str, Any], targets: list[str], text: str) -> None:
    (sentence,) = blocked(of, targets)
    assert text in sentence
    assert "Next: " in sentence


@pytest.mark.parametrize(
    ("of", "targets"),
    [
        (node(["NVIDIA Thing 9000"]), ["cuda13"]),  # a model that no table knows
        ({**node(), "gpus": [{"index": 0, "name": None}]}, ["cuda13"]),  # a container that sees device files only
        (node(["NVIDIA B200"]), ["cuda12"]),  # 10.0 is among what this build is for
        (node(["Tesla V100-SXM2-32GB"]), ["cpu"]),  # its GPU is not asked for
        (node(driver_libraries=[]), ["cuda13"]),
        (node(free_bytes={ROOT: None}, free_inodes={ROOT: None}), ["cpu"]),
        (node(free_bytes={}, free_inodes={}), ["cpu"]),
    ],
)
def test_what_can_t_be_told_stops_nobody(of: dict[str, Any], targets: list[str]) -> None:
    assert blocked(of, targets) == []


def test_where_the_target_is_declared_the_build_host_s_gpus_do_not_count() -> None:
    of = node(["Tesla V100-SXM2-32GB"], driver_libraries=[{"name": "libcuda", "path": "", "version": "1.2"}])
    assert len(blocked(of, ["cuda13"])) == 2
    assert blocked(of, ["cuda13"], target="cuda13") == []


def test_what_is_in_the_cache_needs_no_room() -> None:
    of = node(free_bytes={ROOT: 300_000_000})
    assert blocked(of, ["cpu"]) != []
    assert blocked(of, ["cpu"], cached=("six",)) == []


def test_a_node_with_nothing_to_build_needs_no_room_and_no_gpu() -> None:
    full = observed(node(["Tesla V100-SXM2-32GB"], free_bytes={ROOT: 0}))
    entry = {"action": "none", "target": "cuda13"}
    assert unfit(full, {"x": entry}, TARGETS, LOCKS) == []
    # What is only switched to is run there, and takes no room.
    (sentence,) = unfit(full, {"x": {**entry, "action": "switch"}}, TARGETS, LOCKS)
    assert "V100 has 7.0" in sentence


def test_a_lock_s_archives_come_back_from_their_text() -> None:
    packages = [package("six", "1.17", 11), package("python", "3.11.7", None, "h1_0")]
    found = archives_of(needs_of(Lock("x", "t", tuple(packages), {})))
    assert [tuple(one) for one in found] == [("pip", "six", 11), ("conda", "python-3.11.7-h1_0.conda", None)]


def test_room_counts_an_archive_of_two_environments_once_and_unpacking_apart() -> None:
    archives = archives_of(needs_of(Lock("x", "t", (package("python", "3.11.7", 10_000_000, "h1_0"),), {})))
    assert room_for([*archives, *archives], set()) == (10_000_000, 40_000_000, 1301)
    assert room_for(archives, {"python-3.11.7-h1_0.conda"}) == (0, 40_000_000, 1301)
    assert room_for(archives, {"python-3.11.7-h1_0.conda", "python-3.11.7-h1_0"}) == (0, 0, 0)


@pytest.mark.parametrize("action", ["build", "repair"])
def test_a_node_without_conda_is_stopped_before_it_downloads(action: str) -> None:
    observed = {"installation": {"prefix": "/opt/conda", "state": "absent"}}
    said = refuse_missing_conda(observed, {"x": {"action": action}})
    assert said and "no conda at /opt/conda" in said and "condafleet install" in said
    assert refuse_missing_conda(observed, {"x": {"action": "switch"}}) is None
    present = {"installation": {"prefix": "/opt/conda", "state": "present"}}
    assert refuse_missing_conda(present, {"x": {"action": action}}) is None


def test_a_plan_of_environments_alone_is_blocked_without_conda_and_one_before_which_it_comes_is_not() -> None:
    bare = {**observed(node()), "installation": {"prefix": "/opt/conda", "state": "absent"}}
    declared = [{"name": "x", "targets": ["cpu"], "frameworks": []}]
    part = {"declared": declared, "targets": TARGETS, "locks": LOCKS}
    (sentence,) = plan(bare, {"environments": part})["blocked"]
    assert "no conda at /opt/conda" in sentence
    assert plan(bare, {"environments": {**part, "conda_comes": True}})["blocked"] == []
