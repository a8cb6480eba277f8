"""Whether a framework in a lock can use a GPU: a CUDA target with a CPU build is an error, before any node is asked."""

import re
from collections.abc import Iterable

from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package
from condafleet.errors import LockError

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
_CUDA_WHEEL = re.compile(r"^nvidia-(cublas|cuda-runtime|cudnn)(-cu\d+)?$")
_JAX_PLUGIN = re.compile(r"^jax-cuda\d+-(plugin|pjrt)$")


def cpu_builds(packages: Iterable[Package]) -> list[tuple[Package, str]]:
    """The frameworks among the packages that can't use a GPU, each with what to ask for instead."""
    packages = list(packages)
    wheels = {package.name for package in packages if package.manager == "pip"}
    conda = {package.name for package in packages if package.manager == "conda"}
    cuda_libraries = any(_CUDA_WHEEL.match(name) for name in wheels) or "cudnn" in conda
    found = []
    for package in packages:
        advice = _conda_advice(package) if package.manager == "conda" else _pip_advice(package, wheels, cuda_libraries)
        if advice:
            found.append((package, advice))
    return found


def check_cuda(environment: str, target: str, cuda: str | None, packages: Iterable[Package]) -> None:
    """Raise LockError where a target with CUDA would get a framework that can't use it."""
    found = cpu_builds(packages) if cuda else []
    if not found:
        return
    package, advice = found[0]
    names = ", ".join(f"{p.name} {p.version} {p.build}".rstrip() + f" ({p.manager})" for p, _ in found)
    raise LockError(
        f"environments_list: {environment}: target {target!r} has CUDA {cuda}, but gets a CPU build: {names}. "
        f"Accepted: CUDA builds. Next: {package.name}: {advice}, or use a target without cuda. Nothing was written."
    )


def _conda_advice(package: Package) -> str | None:
    if package.name in _CPU_BY_NAME:
        return f"drop {package.name!r} from the spec"
    if package.name in _CONDA_FRAMEWORKS and not _CONDA_GPU_BUILD.search(package.build):
        return f"ask for '{package.name} * *cuda*' from a channel that has it"
    return None


def _pip_advice(package: Package, wheels: set[str], cuda_libraries: bool) -> str | None:
    _, _, local = package.version.partition("+")
    if package.name in _CPU_BY_NAME:
        return "ask for 'tensorflow[and-cuda]'"
    if package.name == "torch" and not local.startswith("cu") and (local or not cuda_libraries):
        return "solve from an index that has CUDA builds (the depot or index used has a CPU build)"
    if package.name == "tensorflow" and not cuda_libraries:
        return "ask for 'tensorflow[and-cuda]'"
    if package.name == "jaxlib" and "cuda" not in local and not any(_JAX_PLUGIN.match(name) for name in wheels):
        return "ask for 'jax[cuda12]'"
    return None
