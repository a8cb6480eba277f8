"""Every node has the declared installation, and nobody lost anything by it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import scenario
from testinfra.host import Host

PREFIX = "/opt/miniconda3"
VERSION = "24.7.1-0"
Only = Callable[[str], None]


def receipt(host: Host, place: str = PREFIX) -> dict[str, Any]:
    return dict(json.loads(host.file(f"{place}/.condafleet-installation.json").content_string))


def test_every_installation_works_and_is_whole(host: Host) -> None:
    assert host.check_output(f"HOME=/nowhere {PREFIX}/bin/conda --version").startswith("conda 24.7.1")
    if host.backend.get_hostname() != "bs-byhand":
        assert receipt(host)["version"] == VERSION
        assert host.file(PREFIX).linked_to == f"{PREFIX}.d/{host.check_output(f'basename $(readlink {PREFIX})')}"
        # What was left by killed installers is gone.
        left = host.check_output(f"ls -A {PREFIX}.d").split()
        assert sorted(name for name in left if name.startswith(".")) == []
        made = [name for name in left if name.startswith("embedded-")]
        assert [name for name in made if not host.file(f"{PREFIX}.d/{name}/bin/conda").exists] == []


def test_what_a_person_had_not_finished_lies_beside_the_new_one(host: Host, only: Only) -> None:
    only("bs-unfinished")
    assert host.check_output("ls /opt").split() == ["miniconda3", "miniconda3.d"]
    names = ["adopted-1", "embedded-24.7.1-0-1", "envs", "jobs", "lock", "progress"]
    assert host.check_output(f"ls {PREFIX}.d").split() == names
    assert host.file(f"{PREFIX}.d/adopted-1/conda-meta/history").size == 0


def test_what_condafleet_had_not_finished_is_gone(host: Host, only: Only) -> None:
    only("bs-killed")
    assert host.check_output(f"readlink {PREFIX}") == "miniconda3.d/embedded-24.7.1-0-2"
    assert host.check_output(f"ls {PREFIX}.d").split() == ["embedded-24.7.1-0-2", "envs", "jobs", "lock", "progress"]


def test_what_was_made_by_hand_is_adopted_and_kept(host: Host, only: Only) -> None:
    only("bs-byhand")
    assert not host.file(PREFIX).is_symlink
    assert "adopted" in receipt(host)
    assert host.file(f"{PREFIX}/envs/mine/data").content_string == "data\n"
    # Its settings are condafleet's now, and the former ones lie beside them.
    assert host.file(f"{PREFIX}/.condarc").content_string.startswith("# Written by condafleet")
    copies = host.check_output(f"ls -A {PREFIX} | grep -F .condarc.").split()
    assert [host.file(f"{PREFIX}/{name}").content_string for name in copies] == ["channels: [theirs]\n"]


@pytest.mark.parametrize("name", ["base", "environment"])
def test_a_job_outlives_the_upgrade(host: Host, only: Only, name: str) -> None:
    """It imports modules that it had not loaded, and starts a child, after the link has moved."""
    only("bs-older")
    assert receipt(host)["version"] == VERSION
    host.check_output(f"touch /srv/{name}.go")
    for _ in range(300):
        if host.file(f"/srv/{name}.json").exists:
            break
        time.sleep(0.2)
    else:
        pytest.fail(host.file(f"/srv/{name}.log").content_string)
    told = json.loads(host.file(f"/srv/{name}.json").content_string)
    assert told["exit"] == 0
    prefix = f"{PREFIX}.d/embedded-24.5.0-0-1" if name == "base" else f"{PREFIX}/envs/mine"
    assert told["prefix"] == prefix
    assert [path for path in told["modules"] if not path.startswith(prefix + "/")] == []
    child_prefix, executable, module, version = told["child"]
    assert (child_prefix, version) == (prefix, told["version"])
    assert executable.startswith(prefix + "/")
    assert module.startswith(prefix + "/")


def test_the_upgraded_node_has_both_and_the_environments_of_old(host: Host, only: Only) -> None:
    only("bs-older")
    names = host.check_output(f"ls {PREFIX}.d").split()
    assert [name for name in names if name.startswith("embedded")] == ["embedded-24.5.0-0-1", "embedded-24.7.1-0-1"]
    listed = json.loads(host.check_output(f"HOME=/nowhere {PREFIX}/bin/conda env list --json"))["envs"]
    # conda also remembers the path that it was made with, which leads to the same folder.
    assert f"{PREFIX}.d/embedded-24.7.1-0-1/envs/mine" in listed
    assert host.run(f"{PREFIX}/bin/conda run --name mine python -c pass").rc == 0


def test_the_damaged_one_was_made_anew(host: Host, only: Only) -> None:
    only("bs-damaged")
    assert host.check_output(f"readlink {PREFIX}") == "miniconda3.d/embedded-24.7.1-0-2"
    assert host.run(f"{PREFIX}/bin/python -c 'import textwrap, fractions'").rc == 0


def test_status_finds_nothing_more(tmp_path_factory: pytest.TempPathFactory) -> None:
    hosts = scenario.status(tmp_path_factory.mktemp("s"))
    assert [name for name, host in hosts.items() if host["plan"]["installation"]] == []
    assert [name for name, host in hosts.items() if host["plan"]["damage"]] == []
