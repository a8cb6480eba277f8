"""Wheels in an environment: uv and pip alike, by hash alone, nothing of root's own, nothing left by a failure."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from installs import depot_path, packages_of

from ansible_collections.condafleet.core.plugins.module_utils import environment_states as states
from ansible_collections.condafleet.core.plugins.module_utils import package_cache as cache
from ansible_collections.condafleet.core.plugins.module_utils.environment_request import Request
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

pytestmark = pytest.mark.integration

CONDA_PACKAGES = ("python", "pip", "setuptools", "wheel", "packaging")
DEPOT = depot_path()
BAD = 'raise SystemExit("taken from ~/.local")\n'


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Request]:
    """Conda packages and a wheel, declared for an installed conda; whoever builds has packages of their own."""
    if DEPOT is None:
        pytest.skip("no embedded depot: build one and name it in CONDAFLEET_TEST_DEPOT or build/DEPOT_PATH")
    base = tmp_path_factory.mktemp("w")
    installer = next((DEPOT / "installers").glob("*.sh"))
    environment = {**os.environ, "HOME": str(base)}
    subprocess.run(["bash", installer, "-b", "-p", base / "mc"], check=True, capture_output=True, env=environment)
    own = base / ".local" / "lib" / "python3.11" / "site-packages"
    (own / "pip").mkdir(parents=True)
    for name in ("six.py", "pip/__init__.py", "packaging.py", "usercustomize.py"):
        (own / name).write_text(BAD)
    manifest = json.loads((DEPOT / "manifest.json").read_text())
    former = {name: os.environ.get(name) for name in ("HOME", "PYTHONPATH", "PIP_INDEX_URL", "UV_DEFAULT_INDEX")}
    os.environ.update(
        HOME=str(base),
        PYTHONPATH=str(own),
        PIP_INDEX_URL="https://pip.example.com",
        UV_DEFAULT_INDEX="https://uv.example.com",
    )
    yield Request(
        name="x", prefix=str(base / "mc"), root=str(base / "root"), target="linux-64-cpu", digest="a" * 64,
        packages=packages_of(DEPOT, CONDA_PACKAGES, "six"), depot_url=DEPOT.as_uri(),
        depot_origins=manifest["origins"], tools=manifest["tools"],
    )  # fmt: skip
    for name, value in former.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def stage(request: Request) -> Path:
    for state in (states.fetched, states.built, states.tested):
        outcome = state(request)
    return Path(request.path(str(outcome.generation)))


def installed(generation: Path) -> dict[str, bytes]:
    """Every file of the wheel that both installers have to leave alike."""
    site = next(generation.glob("lib/python3*/site-packages"))
    names = ["six.py", *(f"six-1.17.0.dist-info/{name}" for name in ("METADATA", "WHEEL", "top_level.txt"))]
    return {name: (site / name).read_bytes() for name in names}


def test_uv_and_pip_leave_the_same(request_: Request) -> None:
    by_uv = stage(request_)
    by_pip = stage(replace(request_, digest="b" * 64, tools={}))
    assert installed(by_uv) == installed(by_pip)
    sites = [next(path.glob("lib/python3*/site-packages/six-*.dist-info/INSTALLER")) for path in (by_uv, by_pip)]
    assert [site.read_text().strip() for site in sites] == ["uv", "pip"]
    for path in (by_uv, by_pip):
        done = subprocess.run(
            [path / "bin" / "python", "-c", "import six, packaging; print(six.__file__, packaging.__file__)"],
            env={"PATH": "/usr/bin:/bin", "HOME": os.environ["HOME"]}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert [Path(word).is_relative_to(path) for word in done.stdout.split()] == [True, True]


@pytest.mark.parametrize("how", ["uv", "pip"])
def test_a_wheel_that_can_t_be_installed_leaves_nothing(request_: Request, how: str) -> None:
    wanted = replace(request_, name=how, digest=("c" if how == "uv" else "d") * 64)
    wanted = wanted if how == "uv" else replace(wanted, tools={})
    states.fetched(wanted)
    # Verified, and then a name that no wheel has: pip and uv refuse it.
    packages = [replace(one, name="seven") if one.manager == "pip" else one for one in wanted.packages]
    with pytest.raises(FleetError, match=f"{'uv pip' if how == 'uv' else 'pip'} install ended with 1"):
        states.built(replace(wanted, packages=packages))
    assert list((Path(wanted.root) / "generations").glob(f"{how}-*")) == []
    assert stage(wanted).is_dir()


def test_without_uv_and_pip_it_says_what_to_add(request_: Request) -> None:
    packages = [one for one in request_.packages if one.manager == "pip" or one.name == "python"]
    wanted = replace(request_, name="z", digest="e" * 64, tools={}, packages=packages)
    states.fetched(wanted)
    with pytest.raises(FleetError, match="neither uv on the node nor pip among the lock's conda packages"):
        states.built(wanted)


def test_damaged_archives_and_caches_are_had_anew(request_: Request) -> None:
    # Before the damage: a cache's files are hard-linked into what was built of them.
    whole = installed(stage(request_))
    for package in request_.packages:
        path = Path(cache.archive_path(request_.root, package))
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    unpacked = Path(cache.extracted_path(request_.root, next(p for p in request_.packages if p.name == "packaging")))
    module = next(unpacked.rglob("version.py"))
    module.write_text("damaged")
    for path in (Path(request_.root) / "uv-cache").rglob("six.py"):
        path.write_text("damaged")
    wanted = replace(request_, digest="f" * 64)
    with pytest.raises(FleetError, match=r"archives in .* can't be used \(.* differs from its sha256\)"):
        states.built(wanted)
    outcome = states.fetched(wanted)
    assert outcome.details["fetched"] == len(request_.packages)
    again = stage(wanted)
    assert installed(again) == whole
    assert "damaged" not in next(again.glob("lib/python3*/site-packages/packaging/version.py")).read_text()
