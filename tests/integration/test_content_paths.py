"""The same content from a clone, a Galaxy tarball, a wheel and an editable install: each is found, and is the one used.

Each place gets a home of its own, so that nothing else on this machine can be what is found.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import engine
import fleet as containers
import images
import pytest
from installs import ROOT, environment, install, new_venv, pip_cache, run

SMOKE = ROOT / "tests" / "integration" / "smoke.yml"
PARTS = ("plugins/", "roles/", "playbooks/")

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def play(python: Path, cwd: Path, home: Path, *words: object, **more: str) -> str:
    """ansible-playbook as `python` finds it; twice verbose, so that each task tells the file it comes from."""
    return run([python, "-m", "ansible", "playbook", "-vv", *words], cwd, home, COLUMNS="4000", **more)


def places(output: str) -> set[Path]:
    """The collection folders that a run's role tasks came from."""
    return {
        Path(found) for found in re.findall(r"^task path: (.+)/roles/\w+/tasks/\w+\.yml:\d+$", output, re.MULTILINE)
    }


def refuses_without_inventory(python: Path, cwd: Path, home: Path) -> bool:
    """Whether condafleet.core.site, found by its name alone, says what it says where no inventory was given."""
    done = subprocess.run(
        [str(python), "-m", "ansible", "playbook", "condafleet.core.site"], cwd=cwd, env=environment(home),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode != 0 and "inventory: none was given" in done.stdout.replace("\n", " ") + done.stderr


def shipped() -> set[str]:
    """What Git tracks of the collection's parts, or would once it is added."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "--", *PARTS],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    folder = tmp_path_factory.mktemp("galaxy")
    run([sys.executable, "-m", "ansible", "galaxy", "collection", "build", ROOT, "--output-path", folder], folder, home)
    (built,) = folder.glob("condafleet-core-*.tar.gz")
    return built


def test_clone(home: Path) -> None:
    output = play(Path(sys.executable), ROOT, home, SMOKE)
    assert places(output) == {ROOT / "collections/ansible_collections/condafleet/core"}
    assert refuses_without_inventory(Path(sys.executable), ROOT, home)


def test_galaxy_tarball(tarball: Path, home: Path, tmp_path: Path) -> None:
    python = new_venv(tmp_path / "venv")
    target = tmp_path / "collections"
    run(
        [python, "-m", "ansible", "galaxy", "collection", "install", "--offline", "-p", target, tarball], tmp_path, home
    )
    output = play(python, tmp_path, home, SMOKE, ANSIBLE_COLLECTIONS_PATH=str(target))
    assert places(output) == {target / "ansible_collections/condafleet/core"}


def test_tarball_holds_what_git_tracks(tarball: Path) -> None:
    with tarfile.open(tarball) as opened:
        names = [member.name for member in opened.getmembers() if member.isfile() and member.name.startswith(PARTS)]
    assert sorted(names) == sorted(shipped())


def test_wheel(wheel: Path, home: Path, tmp_path: Path) -> None:
    python = new_venv(tmp_path / "venv")
    install(wheel, python, tmp_path, home)
    output = play(python, tmp_path, home, SMOKE)
    (place,) = places(output)
    assert place.is_relative_to(tmp_path / "venv")
    assert refuses_without_inventory(python, tmp_path, home)
    where = run([python, "-c", "import condafleet; print(condafleet.__file__)"], tmp_path, home).strip()
    assert Path(where).is_relative_to(tmp_path / "venv")


def test_wheel_holds_what_git_tracks(wheel: Path) -> None:
    inside = "ansible_collections/condafleet/core/"
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
    assert len(names) == len(set(names))
    collection = {name.removeprefix(inside) for name in names if name.startswith(inside)}
    assert {name for name in collection if name.startswith(PARTS)} == shipped()
    assert {"galaxy.yml", "meta/runtime.yml"} <= collection
    assert "condafleet/py.typed" in names


def test_editable_install(home: Path, tmp_path: Path) -> None:
    python = new_venv(tmp_path / "venv")
    run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--editable", ROOT],
        tmp_path, home, **pip_cache(),
    )  # fmt: skip
    output = play(python, tmp_path, home, SMOKE)
    assert places(output) == {ROOT / "collections/ansible_collections/condafleet/core"}
    assert refuses_without_inventory(python, tmp_path, home)


@pytest.fixture(scope="module")
def newer_core() -> Path:
    """Wheels of ansible-core 2.21 and what it needs, for Debian 13's Python; kept in the cache folder."""
    folder = images.CACHE.parent / "ansible-core-2.21-cp313"
    if not list(folder.glob("ansible_core-2.21*.whl")):
        part = folder.with_name(f".{folder.name}.{os.getpid()}")
        platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in (17, 28, 34)] + [
            "--platform=manylinux2014_x86_64"
        ]
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--python-version=3.13",
             "--implementation=cp", *platforms, f"--dest={part}", "ansible-core==2.21.*"],
            stdin=subprocess.DEVNULL, timeout=300, check=True,
        )  # fmt: skip
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    return folder


@pytest.mark.skipif(os.geteuid() != 0, reason="containers with systemd need root")
def test_newer_ansible_core_on_debian_13(tarball: Path, newer_core: Path) -> None:
    """The oldest and the newest supported ansible-core run the same content; here the newest, over SSH to a node."""
    with containers.Fleet("content", {"controller": "controller", "node": "bookworm"}) as fleet:
        machine = fleet.container("controller")
        engine.podman("exec", machine, "mkdir", "-p", "/srv/fleet")
        for path in (newer_core, tarball, SMOKE, fleet.key, fleet.folder / "known_hosts"):
            engine.podman("cp", str(path), f"{machine}:/srv/fleet/{path.name}")
        options = "-F none -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/srv/fleet/known_hosts"
        script = f"""
            set -eu
            cd /srv/fleet
            chmod 600 {fleet.key.name}
            python3 -m venv venv
            venv/bin/pip install --quiet --no-index --find-links {newer_core.name} ansible-core
            export PATH=/srv/fleet/venv/bin:$PATH ANSIBLE_COLLECTIONS_PATH=/srv/fleet/collections COLUMNS=4000
            ansible-galaxy collection install --offline -p collections {tarball.name}
            ansible --version
            printf '%s\\n' 'node ansible_host={fleet.address("node")} ansible_user=root' > hosts
            ansible-playbook -vv -i hosts -e smoke_hosts=node --private-key {fleet.key.name} \
                --ssh-common-args '{options}' {SMOKE.name}
        """
        output = engine.podman("exec", "-i", machine, "sh", timeout=300, stdin=script)
    assert "ansible [core 2.21" in output
    assert places(output) == {Path("/srv/fleet/collections/ansible_collections/condafleet/core")}
