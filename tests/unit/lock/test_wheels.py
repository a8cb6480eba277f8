"""What uv is asked."""

from pathlib import Path

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import projects
from condafleet.errors import LockError
from condafleet.lock import wheels
from condafleet.lock.sources import Sources

DEPOT = Sources(
    channels=["file:///d/channel"], index="file:///d/simple", depot_url="file:///d", origins={"https://c.invalid/": ""}
)
CPU = {"platform": "linux-64", "glibc": "2.36"}


@pytest.mark.parametrize(
    ("cuda", "backend"),
    [
        (None, "cpu"),
        ("11.8", "cu118"),
        ("12.0", "cu126"),
        ("12.4", "cu126"),
        ("12.6", "cu126"),
        ("12.7", "cu126"),
        ("12.8", "cu128"),
        ("12.9", "cu128"),
        ("13.0", "cu130"),
        ("13.2", "cu132"),
        ("13.1", "cu130"),
        ("14.0", "cu132"),
    ],
)
def test_torch_backend_follows_the_least_cuda(cuda, backend):
    assert wheels.torch_backend(cuda) == backend


def test_a_cuda_older_than_any_build_is_an_error():
    with pytest.raises(LockError, match=r"cuda '10\.2' is older than any build of PyTorch"):
        wheels.torch_backend("10.2")


@pytest.mark.parametrize(
    ("definition", "platform"),
    [
        (CPU, "x86_64-manylinux_2_36"),
        ({"platform": "linux-64", "glibc": "2.30"}, "x86_64-manylinux_2_28"),
        ({"platform": "linux-aarch64", "glibc": "2.41"}, "aarch64-manylinux_2_40"),
    ],
)
def test_platform_is_the_newest_that_the_glibc_satisfies(definition, platform):
    assert wheels.uv_platform(definition) == platform


def test_with_a_depot_uv_is_given_its_index_and_no_other():
    command = wheels.uv_command(Path("/s"), CPU, "3.11.9", DEPOT, {})
    assert "--default-index=file:///d/simple" in command
    assert "--only-binary=:all:" in command
    assert not [word for word in command if word.startswith("--torch-backend")]


def test_upstream_uv_keeps_its_default_index_and_chooses_torch_by_target():
    command = wheels.uv_command(Path("/s"), {**CPU, "cuda": "12.6"}, "3.11.9", Sources(channels=["conda-forge"]), {})
    assert "--torch-backend=cu126" in command
    assert [word for word in command if "index" in word] == ["--index-strategy=first-index"]


def test_declared_indexes_come_first_and_one_that_has_pytorch_is_where_it_comes_from(tmp_path):
    (tmp_path / "with" / "torch").mkdir(parents=True)
    without, having = (tmp_path / "without").as_uri(), (tmp_path / "with").as_uri()
    command = wheels.uv_command(Path("/s"), CPU, "3.11.9", Sources(channels=[], indexes=[without]), {})
    assert command[-3:] == [f"--index={without}", "--index-strategy=first-index", "--torch-backend=cpu"]
    command = wheels.uv_command(Path("/s"), CPU, "3.11.9", Sources(channels=[], indexes=[without, having]), {})
    assert command[-3:] == [f"--index={without}", f"--index={having}", "--index-strategy=first-index"]


def test_nothing_of_the_callers_settings_reaches_a_depots_solve():
    environ = {
        "HOME": "/h",
        "UV_EXTRA_INDEX_URL": "x",
        "UV_DEFAULT_INDEX": "x",
        "UV_FIND_LINKS": "x",
        "PIP_INDEX_URL": "x",
    }
    assert wheels.uv_environment(environ, DEPOT) == {"HOME": "/h", "UV_NO_CONFIG": "1"}
    upstream = wheels.uv_environment(environ, Sources(channels=[]))
    assert upstream == {"HOME": "/h", "UV_NO_CONFIG": "1", "UV_DEFAULT_INDEX": "x"}


@pytest.mark.parametrize(
    ("name", "depends", "project"),
    [
        ("pytorch", ["python >=3.11,<3.12.0a0"], "torch"),
        ("ruamel.yaml", ["python"], "ruamel-yaml"),
        ("matplotlib-base", ["python_abi 3.11.*"], "matplotlib"),
        ("zlib", ["libgcc"], None),
        ("python", ["python_abi"], None),
    ],
)
def test_conda_names_and_projects(name, depends, project):
    assert projects.project_of(name, depends) == project


def test_a_place_outside_the_depot_is_refused():
    assert DEPOT.canonical("file:///d/wheels/x.whl") == "https://c.invalid/wheels/x.whl"
    with pytest.raises(LockError, match=r"points to file:///etc/x\.whl, outside itself"):
        DEPOT.canonical("file:///etc/x.whl")


@pytest.mark.parametrize("hashes", [{"md5": "0" * 32}, {"sha512": "0" * 128}, {}])
def test_an_index_without_sha256_is_named_with_what_it_gives(hashes):
    entry = {
        "name": "Tool",
        "version": "1.0",
        "wheels": [{"url": "https://u:pw@i.example.com/f/tool-1.0-py3-none-any.whl"}],
    }
    entry["wheels"][0]["hashes"] = hashes
    definition = {"platform": "linux-64", "glibc": "2.28"}
    with pytest.raises(LockError, match=r"x: pip: tool 1\.0: its index gives .*no sha256 .*i\.example\.com") as caught:
        wheels._one_wheel("x", entry, definition, "3.11.9", Sources(channels=[]), None)
    assert "pw" not in str(caught.value) and next(iter(hashes), "no hash") in str(caught.value)
