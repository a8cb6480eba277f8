# SPDX-License-Identifier: Apache-2.0
"""For which GPUs the frameworks' builds hold code: a table from their publishers' own build scripts. Pure.

A build that stands in no row is not known, and what is not known stops nobody. Machine code (SASS) for X.Y runs on
X.Y and on newer ones of the same X; intermediate code (PTX) for X.Y runs on X.Y and everything newer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package
from ansible_collections.condafleet.core.plugins.module_utils.targets import version_key

# How people call what packages call otherwise.
NAMES = {"torch": "PyTorch", "tensorflow": "TensorFlow", "jax": "JAX"}


@dataclass(frozen=True)
class Build:
    """Releases `since` (included) to `before` (not included) for a CUDA version or major version, on one platform."""

    framework: str
    kind: str  # wheel or conda-forge
    since: str
    before: str
    cuda: str
    capabilities: str
    source: str
    platform: Optional[str] = None


# The branches after it, up to the row's end, say the same.
_MANYWHEEL = "https://github.com/pytorch/builder, release/%s: manywheel/build_cuda.sh"
# It has the newest releases alone: what it said of the former ones stands in 164471, 175253, 182849, 187075 and 194367.
_MATRIX = "https://github.com/pytorch/pytorch: RELEASE.md, PyTorch CUDA Support Matrix, pull request %d"
_AARCH64 = "https://github.com/pytorch/pytorch: .ci/aarch64_linux/aarch64_ci_build.sh, pull request %d"
# From 2.6 on the script stands in pytorch/pytorch. Where it was not read itself, who wrote it out for that release:
_OF_26 = "https://github.com/moi90/pytorch_compute_capabilities: table.md, what the builds of 2.6.0 hold"
_OF_27 = "https://github.com/mlverse/torch: pull request 1348, build_cuda.sh of PyTorch's release/2.7"
_OF_28 = "https://github.com/huggingface/kernel-builder: archs.nix, build_cuda.sh of PyTorch's release/2.8"
_OF_129 = "https://github.com/pytorch/pytorch: pull requests 172598 (without 7.0) and 188443 (2.12, 2.13)"
_OF_MAIN = "https://github.com/pytorch/pytorch, 00c7a380b836: .ci/manywheel/build_cuda.sh"
_TENSORFLOW = "https://github.com/tensorflow/tensorflow: .bazelrc, cuda_clang; release notes of 2.17"
_JAX = "https://github.com/jax-ml/jax, tags jax-v%s: .bazelrc"
_FEEDSTOCK = "https://github.com/conda-forge/%s-feedstock: recipe/%s"

# `+PTX` after the last one, as the scripts write it. From PyTorch 2.11 on it may be missing in releases (pull requests
# 175567, 188914), while RELEASE.md lists it: that would matter to GPUs newer than 12.x alone, and doubt stops nobody.
BUILDS: Tuple[Build, ...] = (
    # PyTorch's own wheels
    Build("torch", "wheel", "2.1", "2.4", "11.8", "3.7 5.0 6.0 7.0 7.5 8.0 8.6 9.0", _MANYWHEEL % "2.1", "linux-64"),
    Build("torch", "wheel", "2.1", "2.4", "12.1", "5.0 6.0 7.0 7.5 8.0 8.6 9.0", _MANYWHEEL % "2.1", "linux-64"),
    Build("torch", "wheel", "2.4", "2.6", "11.8", "3.7 5.0 6.0 7.0 7.5 8.0 8.6 9.0", _MANYWHEEL % "2.4", "linux-64"),
    Build("torch", "wheel", "2.4", "2.6", "12.1", "5.0 6.0 7.0 7.5 8.0 8.6 9.0", _MANYWHEEL % "2.4", "linux-64"),
    Build("torch", "wheel", "2.4", "2.6", "12.4", "5.0 6.0 7.0 7.5 8.0 8.6 9.0", _MANYWHEEL % "2.4", "linux-64"),
    Build("torch", "wheel", "2.6", "2.7", "11.8", "3.7 5.0 6.0 7.0 7.5 8.0 8.6 9.0", _OF_26, "linux-64"),
    Build("torch", "wheel", "2.6", "2.7", "12.4", "5.0 6.0 7.0 7.5 8.0 8.6 9.0", _OF_26, "linux-64"),
    Build("torch", "wheel", "2.6", "2.7", "12.6", "5.0 6.0 7.0 7.5 8.0 8.6 9.0", _OF_26, "linux-64"),
    Build("torch", "wheel", "2.7", "2.8", "11.8", "3.7 5.0 6.0 7.0 7.5 8.0 8.6 9.0", _OF_27, "linux-64"),
    Build("torch", "wheel", "2.7", "2.8", "12.6", "5.0 6.0 7.0 7.5 8.0 8.6 9.0", _OF_27, "linux-64"),
    # 7.0 was taken out for 2.7 (pull request 147607) and came back in 2.8 (157517), whose release notes say otherwise.
    Build("torch", "wheel", "2.7", "2.8", "12.8", "7.5 8.0 8.6 9.0 10.0 12.0+PTX", _OF_27, "linux-64"),
    Build("torch", "wheel", "2.8", "2.9", "12.6", "5.0 6.0 7.0 7.5 8.0 8.6 9.0", _OF_28, "linux-64"),
    Build("torch", "wheel", "2.8", "2.9", "12.8", "7.0 7.5 8.0 8.6 9.0 10.0 12.0", _OF_28, "linux-64"),
    Build("torch", "wheel", "2.8", "2.11", "12.9", "7.0 7.5 8.0 8.6 9.0 10.0 12.0+PTX", _OF_MAIN, "linux-64"),
    Build("torch", "wheel", "2.11", "2.14", "12.9", "7.5 8.0 8.6 9.0 10.0 12.0+PTX", _OF_129, "linux-64"),
    Build("torch", "wheel", "2.9", "2.15", "12.6", "5.0 6.0 7.0 7.5 8.0 8.6 9.0", _MATRIX % 197555, "linux-64"),
    Build("torch", "wheel", "2.9", "2.11", "12.8", "7.0 7.5 8.0 8.6 9.0 10.0 12.0", _MATRIX % 164471, "linux-64"),
    Build("torch", "wheel", "2.11", "2.12", "12.8", "7.5 8.0 8.6 9.0 10.0 12.0", _MATRIX % 175253, "linux-64"),
    Build("torch", "wheel", "2.9", "2.15", "13.0", "7.5 8.0 8.6 9.0 10.0 12.0+PTX", _MATRIX % 197555, "linux-64"),
    Build("torch", "wheel", "2.12", "2.15", "13.2", "7.5 8.0 8.6 9.0 10.0 12.0+PTX", _MATRIX % 197555, "linux-64"),
    Build("torch", "wheel", "2.9", "2.11", "12.6", "8.0 9.0", _AARCH64 % 163764, "linux-aarch64"),
    Build("torch", "wheel", "2.9", "2.11", "12.8", "8.0 9.0 10.0 12.0", _AARCH64 % 163764, "linux-aarch64"),
    Build("torch", "wheel", "2.11", "2.15", "12.6", "8.0 9.0", _MATRIX % 197555, "linux-aarch64"),
    Build("torch", "wheel", "2.11", "2.12", "12.8", "8.0 9.0 10.0 12.0", _MATRIX % 182849, "linux-aarch64"),
    Build("torch", "wheel", "2.11", "2.15", "13.0", "8.0 9.0 10.0 11.0 12.0+PTX", _MATRIX % 197555, "linux-aarch64"),
    Build("torch", "wheel", "2.12", "2.15", "13.2", "8.0 9.0 10.0 11.0 12.0+PTX", _MATRIX % 197555, "linux-aarch64"),
    # TensorFlow's own wheels
    Build("tensorflow", "wheel", "2.17", "2.22", "12", "6.0 7.0 8.0 8.9 9.0+PTX", _TENSORFLOW, "linux-64"),
    # JAX's own wheels (the version is the plugin's)
    Build("jax", "wheel", "0.4.30", "0.6.0", "12", "5.0 6.0 7.0 8.0 9.0+PTX", _JAX % "0.4.30 to 0.5.3"),
    Build("jax", "wheel", "0.6.0", "0.10.2", "12", "5.0 6.0 7.0 8.0 9.0 10.0 12.0+PTX", _JAX % "0.6.0 to 0.10.1"),
    Build("jax", "wheel", "0.10.2", "0.11.1", "12", "5.0 6.0 7.0 8.0 9.0 10.0 10.1 12.0+PTX", _JAX % "0.10.2, 0.11.0"),
    Build("jax", "wheel", "0.7.2", "0.10.2", "13", "7.5 8.0 9.0 10.0 12.0+PTX", _JAX % "0.7.2 to 0.10.1"),
    Build("jax", "wheel", "0.10.2", "0.11.1", "13", "7.5 8.0 9.0 10.0 11.0 12.0+PTX", _JAX % "0.10.2, 0.11.0"),
    # conda-forge
    Build(
        "torch", "conda-forge", "2.4", "2.5", "12.0", "5.0 6.0 6.1 7.0 7.5 8.0 8.6 8.9 9.0+PTX",
        _FEEDSTOCK % ("pytorch-cpu", "build.sh, branch v2.4.x"),
    ),
    Build(
        "torch", "conda-forge", "2.5", "2.7", "12.6", "5.0 6.0 6.1 7.0 7.5 8.0 8.6 8.9 9.0+PTX",
        _FEEDSTOCK % ("pytorch-cpu", "build.sh, branches v2.5.x, v2.6.x"),
    ),
    *(
        Build(
            "torch", "conda-forge", "2.7", "2.14", cuda, "5.0 6.0 7.0 7.5 8.0 8.6 9.0 10.0 12.0+PTX",
            _FEEDSTOCK % ("pytorch-cpu", "build.sh, branches v2.7.x to v2.12.x, main"), "linux-64",
        )
        for cuda in ("12.8", "12.9")
    ),
    Build(
        "torch", "conda-forge", "2.10", "2.14", "13.0", "7.5 8.0 8.6 9.0 10.0 11.0 12.0+PTX",
        _FEEDSTOCK % ("pytorch-cpu", "build.sh, branches v2.10.x to v2.12.x, main"),
    ),
    # 2.18.0 was built again with 10.0 and 12.0; the PTX of the former builds covers these too.
    Build(
        "tensorflow", "conda-forge", "2.15", "2.19", "12", "6.0 7.0 7.5 8.0 8.6 8.9 9.0+PTX",
        _FEEDSTOCK % ("tensorflow", "build_common.sh"),
    ),
    Build(
        "tensorflow", "conda-forge", "2.19", "2.20", "12", "6.0 7.0 7.5 8.0 8.6 8.9 9.0 10.0 12.0+PTX",
        _FEEDSTOCK % ("tensorflow", "build_common.sh"),
    ),
    Build(
        "jax", "conda-forge", "0.4.23", "0.7", "12", "6.0 7.0 7.5 8.0 8.6 8.9 9.0+PTX",
        _FEEDSTOCK % ("jaxlib", "build.sh"),
    ),
    Build(
        "jax", "conda-forge", "0.7", "0.10", "12", "6.0 7.0 7.5 8.0 8.6 8.9 9.0 10.0 12.0+PTX",
        _FEEDSTOCK % ("jaxlib", "build.sh"),
    ),
    Build(
        "jax", "conda-forge", "0.7.1", "0.10", "13", "7.5 8.0 8.6 8.9 9.0 10.0 11.0 12.0+PTX",
        _FEEDSTOCK % ("jaxlib", "build.sh"),
    ),
)  # fmt: skip

# The package of a framework in conda-forge, and the CUDA version in its build: `cuda129_mkl_py312h…_304`.
_CONDA = {"pytorch": "torch", "tensorflow-base": "tensorflow", "jaxlib": "jax"}
_CONDA_CUDA = re.compile(r"cuda_?(\d{2})(\d)")
_JAX_PLUGIN = re.compile(r"^jax-cuda(\d+)-plugin$")
_RUNTIME = re.compile(r"^nvidia-cuda-runtime(-cu\d+)?$")


def builds_of(packages: Iterable[Package]) -> List[Dict[str, str]]:
    """The GPU builds of frameworks in a lock: {framework, kind, version, cuda}; CPU builds are none."""
    packages = list(packages)
    runtime = next((p.version for p in packages if p.manager == "pip" and _RUNTIME.match(p.name)), "")
    found = []
    for package in packages:
        one = _conda(package) if package.manager == "conda" else _wheel(package, _two(runtime))
        if one:
            found.append({"framework": one[0], "kind": one[1], "version": package.version, "cuda": one[2]})
    return sorted(found, key=lambda one: (one["framework"], one["kind"]))


def row_of(build: Mapping[str, Any], platform: Optional[str]) -> Optional[Build]:
    """The table's row for a build, or None: then it can't be told what it runs on."""
    version, cuda = version_key(build["version"]), str(build["cuda"])
    for row in BUILDS:
        if (row.framework, row.kind) != (build["framework"], build["kind"]):
            continue
        if row.platform not in (None, platform) or row.cuda not in (cuda, cuda.partition(".")[0]):
            continue
        if version_key(row.since) <= version < version_key(row.before):
            return row
    return None


def runs_on(row: Build, capability: str) -> bool:
    """Whether a build has code for a GPU of this compute capability."""
    wanted = version_key(capability)
    for text in row.capabilities.split():
        have = version_key(text)
        if wanted >= have and (text.endswith("+PTX") or wanted[0] == have[0]):
            return True
    return False


def label(build: Mapping[str, Any]) -> str:
    """`PyTorch 2.11.0 for CUDA 13.0`."""
    name = NAMES.get(build["framework"], build["framework"])
    return "%s %s for CUDA %s" % (name, str(build["version"]).partition("+")[0], build["cuda"])


def _conda(package: Package) -> Optional[Sequence[str]]:
    framework = _CONDA.get(package.name)
    cuda = _CONDA_CUDA.search(package.build)
    if not framework or not cuda or "/conda-forge/" not in package.url:
        return None
    return framework, "conda-forge", "%s.%s" % cuda.groups()


def _wheel(package: Package, runtime: str) -> Optional[Sequence[str]]:
    plugin = _JAX_PLUGIN.match(package.name)
    if plugin:
        return "jax", "wheel", plugin.group(1)
    if package.name not in ("torch", "tensorflow"):
        return None
    local = package.version.partition("+")[2]
    marked = re.match(r"cu(\d{2})(\d)$", local)
    if marked:
        return package.name, "wheel", "%s.%s" % marked.groups()
    # A wheel of the default index says its CUDA only by the libraries that it comes with.
    return (package.name, "wheel", runtime) if runtime and not local else None


def _two(version: str) -> str:
    return ".".join(version.split(".")[:2])
