# SPDX-License-Identifier: Apache-2.0
"""Whether a framework in a lock can use the target's GPU. Pure.

A CUDA target with a CPU build, or with one for a CUDA that its drivers can't run, is an error before any node is asked.
"""

from __future__ import annotations

import re
from typing import Any, Iterable, List, Mapping, Optional, Set, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.errors import SpecError
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package

_CONDA_FRAMEWORKS = (
    "pytorch",
    "libtorch",
    "tensorflow",
    "tensorflow-base",
    "libtensorflow",
    "libtensorflow_cc",
    "jaxlib",
)
_CPU_BY_NAME = ("pytorch-cpu", "tensorflow-cpu")
_CONDA_GPU_BUILD = re.compile(r"cuda|gpu", re.IGNORECASE)
# NVIDIA's own wheels name the CUDA that they are for (-cu12), or have it as their version since CUDA 13.
_LIBRARY = re.compile(r"^nvidia-(?P<what>cublas|cuda-runtime|cuda-nvcc|cudnn)(-cu(?P<cuda>\d+))?$")
_JAX_PLUGIN = re.compile(r"^jax-cuda(?P<cuda>\d+)-(plugin|pjrt)$")
_LOCAL = re.compile(r"^cu(?:da)?(?P<cuda>1\d)")
# TensorFlow loads the first and runs the second for XLA: PyTorch brings the one only.
_FOR_TENSORFLOW = {"cudnn", "cuda-nvcc"}
_FOR_TORCH = {"cublas", "cuda-runtime", "cudnn"}


def check_cuda(where: str, target: str, definition: Mapping[str, Any], packages: Iterable[Package]) -> None:
    """SpecError where a target with CUDA would get a framework that can't use it. `where` is whose lock it is."""
    cuda = definition.get("cuda")
    if not cuda:
        return
    packages = list(packages)
    found = cpu_builds(packages)
    if found:
        package, advice = found[0]
        names = ", ".join("%s (%s)" % (_label(one), one.manager) for one, _dummy in found)
        raise SpecError(
            "%s: target %r has CUDA %s, but gets a CPU build: %s. Accepted: CUDA builds. Next: %s: %s, or use a target "
            "without cuda. Nothing was written." % (where, target, cuda, names, package.name, advice)
        )
    least = int(str(cuda).split(".", 1)[0])
    newer = [(one, major) for one in packages for major in [built_for(one)] if major and major > least]
    if newer:
        package, major = newer[0]
        raise SpecError(
            "%s: target %r has CUDA %s, but gets a build for CUDA %d, which a driver of the target may not run: %s. "
            "Accepted: builds for CUDA %d or older. Next: give the target a spec of its own (target_specs) that asks "
            "for such, or raise cuda of the target in environments_targets. Nothing was written."
            % (where, target, cuda, major, ", ".join(_label(one) for one, _dummy in newer[:3]), least)
        )


def cpu_builds(packages: Iterable[Package]) -> List[Tuple[Package, str]]:
    """The frameworks among the packages that can't use a GPU, each with what to ask for instead."""
    packages = list(packages)
    wheels = {package.name for package in packages if package.manager == "pip"}
    libraries = {found.group("what") for found in map(_LIBRARY.match, wheels) if found}
    if any(package.manager == "conda" and package.name == "cudnn" for package in packages):
        libraries |= _FOR_TENSORFLOW | _FOR_TORCH
    found = []
    for package in packages:
        advice = _conda_advice(package) if package.manager == "conda" else _pip_advice(package, wheels, libraries)
        if advice:
            found.append((package, advice))
    return found


def built_for(package: Package) -> Optional[int]:
    """The major version of CUDA that a wheel is for, None where it is for none, or says nothing about it."""
    if package.manager != "pip":
        return None
    library = _LIBRARY.match(package.name)
    if library:
        named = library.group("cuda")
        # cuDNN has a version of its own; the others, without a name, are of CUDA's.
        return int(named) if named else _major(package.version) if library.group("what") != "cudnn" else None
    plugin = _JAX_PLUGIN.match(package.name) or _LOCAL.match(package.version.partition("+")[2])
    return int(plugin.group("cuda")) if plugin else None


def _conda_advice(package: Package) -> Optional[str]:
    if package.name in _CPU_BY_NAME:
        return "drop %r from the spec" % package.name
    if package.name in _CONDA_FRAMEWORKS and not _CONDA_GPU_BUILD.search(package.build):
        return "ask for '%s * *cuda*' from a channel that has it" % package.name
    return None


def _pip_advice(package: Package, wheels: Set[str], libraries: Set[str]) -> Optional[str]:
    local = package.version.partition("+")[2]
    if package.name in _CPU_BY_NAME:
        return "ask for 'tensorflow[and-cuda]'"
    if package.name == "torch" and not local.startswith("cu") and (local or not libraries & _FOR_TORCH):
        return "solve from an index that has CUDA builds (the depot or index used has a CPU build)"
    if package.name == "tensorflow" and package.filename.endswith("_aarch64.whl") and not local:
        # Whatever its extra brings: what TensorFlow publishes for aarch64 is built without CUDA.
        return "use linux-64, or a build of your own (+cu…) from an index of yours: TensorFlow has none for aarch64"
    if package.name == "tensorflow" and not libraries >= _FOR_TENSORFLOW:
        return "ask for 'tensorflow[and-cuda]'"
    if package.name == "jaxlib" and "cuda" not in local and not any(_JAX_PLUGIN.match(name) for name in wheels):
        return "ask for 'jax[cuda12]' or 'jax[cuda13]'"
    return None


def _label(package: Package) -> str:
    return ("%s %s %s" % (package.name, package.version, package.build)).strip()


def _major(version: str) -> Optional[int]:
    first = version.split(".", 1)[0]
    return int(first) if first.isdigit() else None
