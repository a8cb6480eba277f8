"""Whether the frameworks of a lock can use the target's GPU."""

from dataclasses import replace

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import cuda_builds
from ansible_collections.condafleet.core.plugins.module_utils.errors import SpecError
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package


def pip(name, version="1"):
    return Package("pip", name, version, "", "https://x.invalid/x.whl", "0" * 64, None, None, "x.whl", "")


def conda(name, build):
    return Package("conda", name, "2.5", build, "https://x.invalid/x.conda", "0" * 64, "0" * 32, None, "x", "linux-64")


@pytest.mark.parametrize(
    "packages",
    [
        [pip("torch", "2.7.1+cpu")],
        [pip("torch", "2.7.1")],
        [pip("torch", "2.7.1+cpu"), pip("nvidia-cublas-cu12")],
        [pip("torch", "2.7.1+rocm6.3")],
        [pip("tensorflow-cpu"), pip("nvidia-cudnn-cu12")],
        [pip("tensorflow")],
        # PyTorch's libraries are not all that TensorFlow needs.
        [pip("tensorflow"), pip("torch"), pip("nvidia-cudnn-cu12"), pip("nvidia-cublas-cu12")],
        [pip("tensorflow"), pip("keras")],
        [pip("jaxlib"), pip("jax"), pip("keras")],
        [pip("jaxlib", "0.4.30")],
        [conda("pytorch", "cpu_generic_py311_0")],
        [conda("pytorch", "py3.11_cpu_0")],
        [conda("tensorflow-base", "cpu_py311_0")],
        [conda("jaxlib", "cpu_py311_0")],
        [conda("pytorch-cpu", "cpu_0")],
    ],
)
def test_cpu_builds_for_cuda_are_an_error_that_names_them(packages):
    with pytest.raises(SpecError, match=rf"'gpu' has CUDA 12\.8, but gets a CPU build: {packages[0].name} ") as caught:
        cuda_builds.check_cuda("environments_list: x", "gpu", {"cuda": "12.8"}, packages)
    assert f"Next: {packages[0].name}: " in str(caught.value)
    cuda_builds.check_cuda("environments_list: x", "cpu", {}, packages)


@pytest.mark.parametrize(
    "packages",
    [
        [pip("torch", "2.7.1+cu126")],
        [pip("torch", "2.7.1"), pip("nvidia-cublas-cu12")],
        [pip("torch", "2.13.0"), pip("nvidia-cublas", "12.9.1")],
        [pip("tensorflow"), pip("nvidia-cudnn-cu12"), pip("nvidia-cuda-nvcc-cu12")],
        [pip("keras"), pip("tensorflow"), pip("nvidia-cudnn-cu12"), pip("nvidia-cuda-nvcc-cu12")],
        [pip("jaxlib"), pip("jax-cuda12-plugin")],
        [conda("pytorch", "cuda126_py311_0")],
        [conda("pytorch", "gpu_cuda118py311_0")],
        [conda("pytorch", "py3.11_cuda12.1_cudnn8.9.2_0")],
        [conda("numpy", "py311_0")],
    ],
)
def test_cuda_builds_pass(packages):
    cuda_builds.check_cuda("environments_list: x", "gpu", {"cuda": "12.8"}, packages)


def test_tensorflow_for_aarch64_is_a_cpu_build_whatever_its_extra_brings():
    libraries = [pip("nvidia-cudnn-cu12"), pip("nvidia-cuda-nvcc-cu12")]
    published = replace(
        pip("tensorflow", "2.21.0"), filename="tensorflow-2.21.0-cp313-cp313-manylinux_2_27_aarch64.whl"
    )
    with pytest.raises(SpecError, match=r"gets a CPU build: tensorflow 2\.21\.0"):
        cuda_builds.check_cuda("environments_list: x", "gpu", {"cuda": "12.8"}, [published, *libraries])
    own = replace(published, version="2.21.0+cu12")
    cuda_builds.check_cuda("environments_list: x", "gpu", {"cuda": "12.8"}, [own, *libraries])


@pytest.mark.parametrize(
    "packages",
    [
        [pip("torch", "2.15.0"), pip("nvidia-cublas", "13.4.1.3"), pip("nvidia-cudnn-cu13", "9.26")],
        [pip("torch", "2.15.0+cu130")],
        [pip("jaxlib"), pip("jax-cuda13-plugin"), pip("jax-cuda13-pjrt")],
        [pip("jaxlib", "0.4.30+cuda13.cudnn9")],
        [pip("tensorflow"), pip("nvidia-cuda-nvcc", "13.5"), pip("nvidia-cudnn-cu13")],
    ],
)
def test_a_build_for_a_newer_cuda_than_the_targets_is_an_error(packages):
    with pytest.raises(
        SpecError, match=r"'old' has CUDA 12\.0, but gets a build for CUDA 13.*target_specs.*Nothing was"
    ):
        cuda_builds.check_cuda("environments_list: x", "old", {"cuda": "12.0"}, packages)
    cuda_builds.check_cuda("environments_list: x", "new", {"cuda": "13.0"}, packages)


def test_an_older_build_runs_on_a_newer_driver():
    packages = [pip("tensorflow"), pip("nvidia-cudnn-cu12", "9.28"), pip("nvidia-cuda-nvcc-cu12", "12.9")]
    cuda_builds.check_cuda("environments_list: x", "new", {"cuda": "13.0"}, packages)
