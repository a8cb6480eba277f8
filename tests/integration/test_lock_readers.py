"""A lock is read, and installed, by the tools whose formats it is in: conda-lock, py-rattler, uv, pip, and conda.

conda's own lockfile plugin needs a conda of 25.9 or newer, which the Python index does not have: docs/locks.md says
what it was tried with. Needs a built embedded depot: its path in CONDAFLEET_TEST_DEPOT, else in build/DEPOT_PATH.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from images import CACHE
from installs import depot_path
from uv import find_uv_bin

from ansible_collections.condafleet.core.plugins.module_utils import environment_states as states
from ansible_collections.condafleet.core.plugins.module_utils import lockfile, projects
from ansible_collections.condafleet.core.plugins.module_utils.environment_request import Request
from condafleet.lock import lock_all
from condafleet.lock.files import read_pair

pytestmark = pytest.mark.integration

DEPOT = depot_path()
TARGETS = {"linux-64-cpu": {"platform": "linux-64", "glibc": "2.36"}}
SPEC = {"conda": ["python", "packaging", "tqdm"], "pip": ["jinja2", "six"], "variables": {"A": "1"}}
# In a process of its own: py-rattler may abort while the interpreter ends, after the work was done.
RATTLER = """
import asyncio, os, sys
import rattler
((_, environment),) = rattler.LockFile.from_path(sys.argv[1]).environments()
(platform,) = environment.platforms()
records = environment.conda_repodata_records_for_platform(platform)
work = rattler.install(records=records, target_prefix=sys.argv[2], cache_dir=sys.argv[3], show_progress=False)
asyncio.run(work)
os._exit(0)
"""


@dataclass(frozen=True)
class Locked:
    """A lock of condafleet's as it was made, and the same pair with the depot's real place for tools to fetch from."""

    lock: lockfile.Lock
    conda_lock: Path
    pylock: Path
    local_conda_lock: Path
    local_pylock: Path
    origins: dict[str, str]
    tools: dict[str, object]

    def named(self, manager: str) -> dict[str, str]:
        return {package.name: package.version for package in self.lock.packages if package.manager == manager}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Locked:
    if DEPOT is None:
        pytest.skip("no embedded depot: build one and name it in CONDAFLEET_TEST_DEPOT or build/DEPOT_PATH")
    base = tmp_path_factory.mktemp("locked")
    entry = {"name": "small", "spec": SPEC, "targets": list(TARGETS)}
    (state,) = lock_all([entry], TARGETS, base / "locks", depot={"url": DEPOT.as_uri()})
    manifest = json.loads((DEPOT / "manifest.json").read_text())
    local = []
    for path, name in ((state.conda_lock, "conda-lock.yml"), (state.pylock, "pylock.toml")):
        text = path.read_text()
        for prefix, place in manifest["origins"].items():
            text = text.replace(prefix, f"{DEPOT.as_uri()}/{place}")
        assert "condafleet.invalid" not in text
        local.append(base / name)
        local[-1].write_text(text)
    return Locked(
        read_pair(state.conda_lock, state.pylock), state.conda_lock, state.pylock, *local,
        manifest["origins"], manifest["tools"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installed conda, the depot's own."""
    assert DEPOT is not None
    installer = next((DEPOT / "installers").glob("*.sh"))
    made = tmp_path_factory.mktemp("n") / "mc"
    run("bash", installer, "-b", "-p", made, home=made.parent)
    return made


def run(*command: object, home: Path, cwd: Path | None = None, fails: bool = False) -> str:
    """Run with a home of its own and none of this process's settings; what it said."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CONDA", "PIP_", "UV_", "PYTHON"))}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd or home, env={**kept, "HOME": str(home), "UV_NO_CONFIG": "1", "PIP_CONFIG_FILE": os.devnull},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode != 0) == fails, f"{command}: rc {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def tool(requirement: str) -> Path:
    """The folder of programs of a virtual environment with this tool, kept for the next run."""
    home = CACHE.parent / "lock-readers" / f"{requirement}-{sys.version_info.major}.{sys.version_info.minor}"
    if not (home / "whole").is_file():
        for command in (
            [find_uv_bin(), "venv", "--quiet", "--clear", "--python", sys.executable, str(home)],
            [find_uv_bin(), "pip", "install", "--quiet", "--python", str(home / "bin" / "python"), requirement],
        ):
            subprocess.run(command, timeout=300, check=True)
        (home / "whole").write_text("")
    return home / "bin"


def conda_packages(prefix: Path) -> list[tuple[str, str, str]]:
    """What conda's own records in a prefix name, version and build."""
    records = [json.loads(path.read_text()) for path in (prefix / "conda-meta").glob("*.json")]
    return sorted((record["name"], record["version"], record["build"]) for record in records)


def wheels(site: Path) -> dict[str, str]:
    """{name: version} of what is installed in a folder of Python packages."""
    found = (path.name.removesuffix(".dist-info").rsplit("-", 1) for path in site.glob("*.dist-info"))
    return {projects.normal_name(name): version for name, version in found}


def wheels_beside_conda(prefix: Path) -> dict[str, str]:
    (site,) = prefix.glob("lib/python3*/site-packages")
    conda = {projects.normal_name(name) for name, _, _ in conda_packages(prefix)}
    return {name: version for name, version in wheels(site).items() if name not in conda}


def test_conda_lock_parses_and_renders_it(locked: Locked, tmp_path: Path) -> None:
    programs = tool("conda-lock==4.0.3")
    asks = "import sys; from pathlib import Path; from conda_lock.lockfile import parse_conda_lock_file as parse; "
    asks += "print(sorted((p.manager, p.name, p.version, p.hash.sha256) for p in parse(Path(sys.argv[1])).package))"
    seen = run(programs / "python", "-c", asks, locked.conda_lock, home=tmp_path)
    conda = [package for package in locked.lock.packages if package.manager == "conda"]
    assert str(sorted((p.manager, p.name, p.version, p.sha256) for p in conda)) in seen
    run(programs / "conda-lock", "render", "--platform", "linux-64", "--kind", "explicit", locked.conda_lock,
        home=tmp_path)  # fmt: skip
    lines = (tmp_path / "conda-linux-64.lock").read_text().splitlines()
    assert sorted(line for line in lines if line.startswith("http")) == sorted(f"{p.url}#{p.md5}" for p in conda)


def test_all_who_install_it_install_the_same(locked: Locked, prefix: Path, tmp_path: Path) -> None:
    asked = sorted((p.name, p.version, p.build) for p in locked.lock.packages if p.manager == "conda")
    assert {"python", "packaging", "tqdm"} <= {name for name, _, _ in asked}

    # The embedded conda and uv, as condafleet has them work on a node.
    assert DEPOT is not None
    request = Request(
        name="small", prefix=str(prefix), root=str(tmp_path / "root"), target="linux-64-cpu",
        digest=lockfile.digest(locked.lock), packages=locked.lock.packages, variables=locked.lock.variables,
        depot_url=DEPOT.as_uri(), depot_origins=locked.origins, tools=locked.tools,
    )  # fmt: skip
    for state in (states.fetched, states.built, states.tested, states.current):
        state(request)
    ours = (prefix / "envs" / "small").resolve()
    assert conda_packages(ours) == asked
    assert wheels_beside_conda(ours) == locked.named("pip")

    # py-rattler, with uv for the other file.
    theirs = tmp_path / "rattler"
    run(sys.executable, "-c", RATTLER, locked.local_conda_lock, theirs, tmp_path / "cache", home=tmp_path)
    assert conda_packages(theirs) == asked
    run(find_uv_bin(), "pip", "install", "--offline", "--no-cache", "--python", theirs / "bin" / "python",
        "-r", locked.local_pylock, home=tmp_path)  # fmt: skip
    assert wheels_beside_conda(theirs) == locked.named("pip")
    said = run(theirs / "bin" / "python", "-c", "import jinja2, six, tqdm; print(six.__version__)", home=tmp_path)
    assert said.strip() == locked.named("pip")["six"]

    # conda-lock, which has the embedded conda do it.
    again = tmp_path / "conda-lock"
    run(tool("conda-lock==4.0.3") / "conda-lock", "install", "--conda", prefix / "bin" / "conda", "--prefix", again,
        locked.local_conda_lock, home=tmp_path)  # fmt: skip
    assert conda_packages(again) == asked


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_the_python_tools_install_the_pylock_and_hold_it_to_its_hashes(
    locked: Locked, tmp_path: Path, installer: str
) -> None:
    place = tmp_path / "site"
    uv = [find_uv_bin(), "pip", "install", "--offline", "--no-cache", "--target", place]
    pip = [sys.executable, "-m", "pip", "install", "--isolated", "--no-index", "--no-cache-dir", "--target", place]
    command = {"uv": uv, "pip": pip}[installer]
    wrong = tmp_path / "pylock.wrong.toml"
    text = locked.local_pylock.read_text()
    sha256 = next(package.sha256 for package in locked.lock.packages if package.name == "six")
    wrong.write_text(text.replace(sha256, "0" * 64))
    refused = run(*command, "-r", wrong, home=tmp_path, fails=True)
    assert "0" * 64 in refused
    assert sha256 in refused
    assert not (place / "six.py").exists()
    run(*command, "-r", locked.local_pylock, home=tmp_path)
    assert wheels(place) == locked.named("pip")


def test_pip_locks_in_the_same_format(locked: Locked, tmp_path: Path) -> None:
    """What `pip lock` writes is what this pylock.toml is, but for the one wheel of each project."""
    assert DEPOT is not None
    run(sys.executable, "-m", "pip", "lock", "--isolated", "--only-binary", ":all:", "--no-cache-dir",
        "--index-url", f"{DEPOT.as_uri()}/simple", "-o", "theirs.toml", "jinja2", "six", home=tmp_path)  # fmt: skip
    theirs = tomllib.loads((tmp_path / "theirs.toml").read_text())
    ours = tomllib.loads(locked.pylock.read_text())
    assert theirs["lock-version"] == ours["lock-version"]

    def hashes(document: dict[str, Any]) -> dict[str, list[Any]]:
        return {one["name"]: [wheel["hashes"] for wheel in one["wheels"]] for one in document["packages"]}

    assert hashes(theirs) == hashes(ours)
