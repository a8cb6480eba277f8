"""Each node has what its own group declared, from one run."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
import scenario
from testinfra.host import Host


@dataclass(frozen=True)
class Declared:
    prefix: str
    root: str
    distribution: str
    version: str
    condarc: str
    other_condarc: str
    group: str
    shells: tuple[str, ...]
    silent: tuple[str, ...]


NODES = {
    "mx-debian12": Declared(
        "/opt/miniconda3", "/opt/condafleet", "embedded", "24.7.1-0", "/opt/miniconda3/.condarc", "/etc/conda/.condarc",
        "root", ("bash -lc", "zsh -lc"), ("fish -lc", "tcsh -c"),
    ),
    "mx-debian13": Declared(
        "/srv/conda/site", "/srv/condafleet", "siteconda", "26.1.0-0", "/etc/conda/.condarc",
        "/srv/conda/site/.condarc", "ml", ("fish -c", "tcsh -c"), ("bash -lc", "zsh -lc"),
    ),
}  # fmt: skip


@pytest.fixture
def declared(host: Host) -> Declared:
    return NODES[host.backend.get_hostname()]


def test_installation(host: Host, declared: Declared) -> None:
    receipt = json.loads(host.file(f"{declared.prefix}/.condafleet-installation.json").content_string)
    assert (receipt["distribution"], receipt["version"]) == (declared.distribution, declared.version)
    place = host.file(f"{declared.prefix}.d/{declared.distribution}-{declared.version}-1")
    assert (place.is_directory, place.user, place.group) == (True, "root", declared.group)
    other = next(node for node in NODES.values() if node != declared)
    assert not host.file(other.prefix).exists
    assert not host.file(other.root).exists


def test_condarc(host: Host, declared: Declared) -> None:
    assert host.file(declared.condarc).content_string.startswith("# Written by condafleet")
    assert not host.file(declared.other_condarc).exists
    shown = json.loads(host.check_output(f"HOME=/nowhere {declared.prefix}/bin/conda config --show channels --json"))
    assert [channel.rpartition("/")[2] for channel in shown["channels"]] == ["channel"]


def test_environment(host: Host, declared: Declared) -> None:
    assert host.check_output(f"readlink -f {declared.prefix}/envs/plain").startswith(
        f"{declared.root}/generations/plain-"
    )


def test_shells(host: Host, declared: Declared) -> None:
    node = host.backend.get_hostname()
    for shell in declared.shells:
        done = scenario.fleet().ssh(node, f"{shell} 'conda activate plain; python -c \"import numpy\"'", user="alice")
        assert done.returncode == 0, (shell, done.stderr)
    for shell in declared.silent:
        assert scenario.fleet().ssh(node, f"{shell} 'conda --version'", user="alice").returncode != 0, shell


def test_modulefiles_only_where_they_were_declared(host: Host, declared: Declared) -> None:
    assert host.file(f"{declared.root}/modulefiles").exists is (declared.root == "/srv/condafleet")
