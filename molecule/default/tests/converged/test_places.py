"""What stands on the nodes, whose it is, and that nothing stands elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host

PREFIX = "/opt/miniconda3"
ROOT = "/opt/condafleet"
LOCKS = Path(__file__).parents[4] / "build" / "molecule" / "locks"
ENVIRONMENTS = ("pytorch", "tensorflow", "keras", "jax")
DECLARED = re.compile(
    rf"{PREFIX}|({PREFIX}\.d|{ROOT})(/.*)?|/opt"
    r"|/etc/profile\.d(/zz-condafleet\.sh)?|/etc/bash\.bashrc|/etc/zsh(/(zprofile|zshrc))?"
)
Shell = Callable[..., Any]


def test_nothing_is_written_outside_the_declared_places(written: list[str]) -> None:
    assert [path for path in written if not DECLARED.fullmatch(path)] == []


def test_the_nodes_have_no_way_out(host: Host) -> None:
    """So whatever was installed came from the depot."""
    assert "default" not in host.check_output("ip route")


def test_nothing_else_is_there(host: Host, declared: tuple[str, ...]) -> None:
    assert sorted(host.file(f"{PREFIX}/envs").listdir()) == sorted(declared)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environment_is_a_link_to_a_finished_generation(host: Host, declared: tuple[str, ...], name: str) -> None:
    if name not in declared:
        pytest.skip("declared for the other node alone")
    link = host.file(f"{PREFIX}/envs/{name}")
    assert link.is_symlink
    generation = host.check_output(f"readlink -f {link.path}")
    found = re.fullmatch(rf"{ROOT}/generations/{name}-([0-9a-f]{{12}})-1", generation)
    assert found
    receipt = json.loads(host.file(f"{generation}/.condafleet.json").content_string)
    lock = yaml.safe_load((LOCKS / name / "linux-64-cpu.conda-lock.yml").read_text(encoding="utf-8"))
    assert receipt["digest"] == lock["metadata"]["custom_metadata"]["digest"]
    assert receipt["digest"].startswith(found.group(1))
    assert receipt["environment"] == name
    assert receipt["target"] == "linux-64-cpu"


def test_only_root_can_write(host: Host, alice: Shell) -> None:
    found = alice(f"find {PREFIX}.d {ROOT} -writable ! -type l 2>/dev/null")
    assert found.stdout == ""
    # Nor is anything open to others or someone else's, apart from what lies in root-only folders.
    closed = "-type d ! -perm /0077 -prune -o"
    assert (
        host.check_output(f"find {PREFIX}.d {ROOT} {closed} ! -type l \\( -perm /0022 -o ! -user root \\) -print") == ""
    )


@pytest.mark.parametrize("cache", ["pkgs", "uv-cache", "wheels"])
def test_the_caches_are_root_only(host: Host, cache: str) -> None:
    """Their files are hard-linked into environments: who could write there would write into all of them."""
    folder = host.file(f"{ROOT}/{cache}")
    assert folder.is_directory
    assert (folder.user, folder.mode) == ("root", 0o700)


def test_a_user_can_read_every_environment(alice: Shell, declared: tuple[str, ...]) -> None:
    for name in declared:
        unreadable = alice(f"find -L {PREFIX}/envs/{name}/ ! -readable -printf '%p\\n' 2>&1 | head -5")
        assert unreadable.stdout == ""
