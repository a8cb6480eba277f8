"""Promises that tie files to each other: versions, links, the arrows between rooms."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

from condafleet.version import __version__

REPO = Path(__file__).parents[2]
COLLECTION = REPO / "collections" / "ansible_collections" / "condafleet" / "core"
CORE = "ansible_collections.condafleet.core.plugins.module_utils"


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


def test_version_is_told_alike_everywhere() -> None:
    assert yaml.safe_load((REPO / "galaxy.yml").read_text())["version"] == __version__
    assert f"## {__version__}" in (REPO / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("part", ["plugins", "roles", "playbooks", "meta", "galaxy.yml"])
def test_collection_is_found_from_a_clone_by_relative_links(part: str) -> None:
    link = COLLECTION / part
    assert link.is_symlink()
    assert not Path(link.readlink()).is_absolute()
    assert link.resolve() == (REPO / part).resolve()


@pytest.mark.parametrize("path", sorted((REPO / "plugins" / "module_utils").rglob("*.py")), ids=lambda path: path.name)
def test_module_utils_know_nothing_of_anyone(path: Path) -> None:
    foreign = {
        name
        for name in imports(path)
        if not name.startswith(CORE) and name.split(".")[0] not in sys.stdlib_module_names
    }
    assert foreign == set()


@pytest.mark.parametrize("path", sorted((REPO / "plugins" / "modules").glob("*.py")), ids=lambda path: path.name)
def test_modules_use_only_ansible_s_basic_part_and_module_utils(path: Path) -> None:
    foreign = {
        name
        for name in imports(path)
        if not name.startswith((CORE, "ansible.module_utils.")) and name.split(".")[0] not in sys.stdlib_module_names
    }
    assert foreign == set()


@pytest.mark.parametrize("room", ["lock", "depot"])
def test_lock_and_depot_know_nothing_of_ansible(room: str) -> None:
    for path in (REPO / "python" / "condafleet" / room).rglob("*.py"):
        assert not {
            name for name in imports(path) if name == "ansible" or name.startswith(("ansible.", "ansible_runner"))
        }


@pytest.mark.parametrize("path", sorted((REPO / "playbooks").glob("*.yml")), ids=lambda path: path.name)
def test_playbooks_are_identifiers_and_name_roles_fully(path: Path) -> None:
    assert path.stem.isidentifier()
    for name in re.findall(r"(?:import_role|include_role):\s*\n\s*name: (\S+)", path.read_text()):
        assert name.startswith("condafleet.core.")


def test_every_action_has_its_documentation() -> None:
    actions = {path.stem for path in (REPO / "plugins" / "action").glob("*.py")}
    modules = {path.stem for path in (REPO / "plugins" / "modules").glob("*.py")}
    assert actions <= modules
