"""The pin, with the real shells and a real python that is started through a link."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.pin import ACTIVATE, write_pin

SHELLS = [shell for shell in ("bash", "zsh", "dash") if shutil.which(shell)]


@pytest.fixture
def generation(tmp_path: Path) -> Path:
    """A prefix with this machine's python in it: enough for python to take it for its own."""
    prefix = tmp_path / "generations" / "x y-0123456789ab-1"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "lib" / version / "site-packages").mkdir(parents=True)
    real = Path(sysconfig.get_path("stdlib"))
    for entry in real.iterdir():
        if entry.name not in ("site-packages", "test", "__pycache__"):
            (prefix / "lib" / version / entry.name).symlink_to(entry)
    shutil.copy2(os.path.realpath(sys.executable), prefix / "bin" / "python")
    # A shared libpython is found beside the real one.
    for library in (Path(sys.base_prefix) / "lib").glob("libpython*.so*"):
        (prefix / "lib" / library.name).symlink_to(library)
    write_pin(str(prefix))
    return prefix


def link(tmp_path: Path, target: Path) -> Path:
    (tmp_path / "envs").mkdir(exist_ok=True)
    path = tmp_path / "envs" / "x"
    path.symlink_to(target)
    return path


def python(prefix: Path, program: str, **environment: str) -> dict:
    libraries = str(Path(sys.base_prefix) / "lib")
    done = subprocess.run(
        [str(prefix / "bin" / "python"), "-c", program],
        env={"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": libraries, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


SAY = """
import sys, json, encodings
mine = [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.executable, encodings.__path__[0], *sys.path]
print(json.dumps(mine))
"""


def test_a_python_started_through_the_link_knows_the_generation_only(tmp_path: Path, generation: Path) -> None:
    through = link(tmp_path, generation)
    found = [entry for entry in python(through, SAY) if entry]
    assert found[3] == str(generation / "bin" / "python")
    assert [entry for entry in found if not entry.startswith(str(generation))] == []


def test_a_clone_stays_itself(tmp_path: Path, generation: Path) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(generation, clone, symlinks=True)
    assert python(clone, SAY)[0] == str(clone)


def test_packages_of_a_user_are_left_out(tmp_path: Path, generation: Path) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    user = tmp_path / "home" / ".local" / "lib" / version / "site-packages"
    (user / "more").mkdir(parents=True)
    (user / "leak.py").write_text("")
    (user / "more.pth").write_text(str(user / "more") + "\n")
    program = "import json, sys, importlib.util as u; print(json.dumps([u.find_spec('leak') is None, sys.path]))"
    absent, path = python(link(tmp_path, generation), program, HOME=str(tmp_path / "home"))
    assert absent
    assert [entry for entry in path if "home" in entry] == []


@pytest.mark.parametrize("also", [[], ["ours"]])
def test_what_pythonpath_names_stays_also_where_it_is_the_users_folder(
    tmp_path: Path, generation: Path, also: list[str]
) -> None:
    through = link(tmp_path, generation)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    user = tmp_path / "home" / ".local" / "lib" / version / "site-packages"
    (user / "more").mkdir(parents=True)
    (user / "wanted.py").write_text("")
    (user / "more.pth").write_text(str(user / "more") + "\n")
    named = [str(user), *(str(through / "lib" / version / "site-packages") for _ in also)]
    program = "import json, sys, wanted; print(json.dumps(sys.path[1:]))"
    path = python(through, program, HOME=str(tmp_path / "home"), PYTHONPATH=":".join(named))
    assert path[0] == str(user)
    assert path.count(str(user)) == 1
    assert str(generation / "lib" / version) in path
    assert str(generation / "lib" / version / "site-packages") in path
    # Without the .pth files of a folder, which PYTHONPATH does not read either.
    if not also:
        assert str(user / "more") not in path


@pytest.mark.parametrize("shell", SHELLS)
def test_activation_puts_the_generation_in_place_of_the_link(tmp_path: Path, generation: Path, shell: str) -> None:
    through = link(tmp_path, generation)
    script = f'set -eu; . "{through}/{ACTIVATE}"; printf "%s\\n%s\\n" "$CONDA_PREFIX" "$PATH"'
    environment = {"CONDA_PREFIX": str(through), "PATH": f"/first:{through}/bin:/usr/bin:/bin"}
    done = subprocess.run(
        [shutil.which(shell) or shell, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [str(generation), f"/first:{generation}/bin:/usr/bin:/bin"]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("started", ["", "clone"])
def test_activation_of_anything_else_is_left_alone(tmp_path: Path, generation: Path, shell: str, started: str) -> None:
    (tmp_path / "clone").mkdir()
    environment = {"PATH": "/usr/bin:/bin", **({"CONDA_PREFIX": str(tmp_path / started)} if started else {})}
    script = f'set -eu; . "{generation}/{ACTIVATE}"; printf "%s" "${{CONDA_PREFIX:-}} $PATH"'
    done = subprocess.run(
        [shutil.which(shell) or shell, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (str(tmp_path / started) if started else "") + " /usr/bin:/bin"
