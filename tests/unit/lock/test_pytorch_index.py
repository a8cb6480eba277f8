"""A site's own builds of PyTorch's projects beside PyTorch's index: each project from the first that has it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from condafleet.errors import LockError
from condafleet.lock import pytorch
from condafleet.lock.indexes import index_options
from condafleet.lock.sources import upstream
from condafleet.lock.wheels import solve_wheels

sys.path.insert(0, str(Path(__file__).parents[2] / "containers"))
from private_index import Site

TARGET = {"platform": "linux-64", "glibc": "2.36"}
PYTHON = {"name": "python", "version": "3.11.9", "depends": []}


@pytest.fixture
def default(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The default index, with newer versions of everything."""
    with Site({}) as site:
        for name in ("torch", "torchvision", "torchaudio", "helper"):
            site.add_wheel(name, "99.0")
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{site.url}/simple")
        yield site


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """PyTorch's own index, which has copies of other projects too."""
    with Site({}) as site:
        site.add_wheel("torch", "2.0", ["helper"])
        site.add_wheel("torchvision", "5.0", ["torch"])
        site.add_wheel("torchaudio", "5.0", ["torch"])
        site.add_wheel("helper", "0.1")
        monkeypatch.setattr(pytorch, "PLACE", f"{site.url}/simple")
        yield site


@pytest.fixture
def own() -> Iterator[Site]:
    with Site({}) as site:
        yield site


def solved(own: Site, *asked: str) -> dict[str, str]:
    """{project: where it comes from, and its version}."""
    sources = upstream([], [f"{own.url}/simple"])
    found = solve_wheels("e", "t", TARGET, {"pip": list(asked)}, [PYTHON], sources, 60)
    return {one["name"]: f"{one['url'].split('/files/')[0]} {one['version']}" for one in found}


@pytest.mark.parametrize(("built", "other"), [("torchvision", "torchaudio"), ("torchaudio", "torchvision")])
def test_a_site_s_own_build_is_taken_and_torch_is_pytorch_s(
    default: Site, theirs: Site, own: Site, built: str, other: str
) -> None:
    own.add_wheel(built, "1.0", ["torch"])
    assert solved(own, "torchvision", "torchaudio") == {
        built: f"{own.url} 1.0",
        other: f"{theirs.url} 5.0",
        "torch": f"{theirs.url} 2.0",
        # What else PyTorch's index has is not taken from there.
        "helper": f"{default.url} 99.0",
    }
    assert not [path for path, _, _ in theirs.asked if built in path]
    assert not [path for path, _, _ in default.asked if "torch" in path]


def test_a_version_that_only_the_site_has_is_found(default: Site, theirs: Site, own: Site) -> None:
    own.add_wheel("torchvision", "1.0", ["torch"])
    assert solved(own, "torchvision==1.0")["torchvision"] == f"{own.url} 1.0"
    with pytest.raises(LockError, match=r"torchvision==5\.0"):
        solved(own, "torchvision==5.0")


def test_whichever_of_the_family_a_site_has_uv_does_not_ask_pytorch_s_for_all(
    theirs: Site, own: Site, tmp_path: Path
) -> None:
    for project in ("torchaudio", "torchao", "xformers"):
        own.pages = {f"/simple/{project}/": b""}
        made = tmp_path / project / "pytorch"
        options = index_options(upstream([], [f"{own.url}/simple"]), "cu128", {}, tmp_path / project)
        assert options == [f"--index={own.url}/simple", f"--index={made.as_uri()}", "--index-strategy=first-index"]
        assert {path.name for path in made.iterdir()} == {"torch", "torchvision", "torchaudio"} - {project}


def test_pytorch_s_index_that_does_not_answer_is_not_replaced(default: Site, theirs: Site, own: Site) -> None:
    own.add_wheel("torchvision", "1.0", ["torch"])
    theirs.accepted, theirs.refusal = ("nobody",), 500
    with pytest.raises(LockError, match=r"environments_indexes: .*/torch/ can't be read: it answers 500.*Nothing was"):
        solved(own, "torchvision")
    theirs.server.server_close()
    with pytest.raises(LockError, match=r"environments_indexes: .* can't be read: .*Nothing was written"):
        solved(own, "torchvision")
    assert not default.asked


def test_an_index_that_does_not_say_whether_it_has_one_of_them_ends_the_solve(own: Site, tmp_path: Path) -> None:
    own.redirects["/simple/torchvision/"] = "/simple/torchvision/"
    with pytest.raises(LockError, match=r"environments_indexes: .*/torchvision/ can't be read"):
        index_options(upstream([], [f"{own.url}/simple"]), "cu128", {}, tmp_path)
