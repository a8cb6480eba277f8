"""After a run in check mode: nothing was touched, and `status` names what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import scenario
from testinfra.host import Host

PREFIX = "/opt/miniconda3"
Only = Callable[[str], None]


def test_nothing_stands_where_nothing_stood(host: Host, only: Only) -> None:
    only("bs-absent")
    assert host.check_output("ls -A /opt") == ""


def test_what_is_unfinished_is_as_it_was(host: Host, only: Only) -> None:
    only("bs-unfinished")
    assert host.file(PREFIX + "/conda-meta/history").size == 0
    assert host.check_output("ls -A /opt") == "miniconda3"


def test_what_was_made_by_hand_is_as_it_was(host: Host, only: Only) -> None:
    only("bs-byhand")
    assert host.file(PREFIX + "/.condarc").content_string == "channels: [theirs]\n"
    assert host.check_output("ls -A /opt") == "miniconda3"


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return scenario.status(tmp_path_factory.mktemp("s"))


def test_status_tells_how_each_stands(hosts: dict[str, Any]) -> None:
    planned = {
        name: [(change["what"], change["action"]) for change in host["plan"]["installation"] if "action" in change]
        for name, host in hosts.items()
    }
    assert planned == {
        "bs-absent": [("installation", "install")],
        "bs-unfinished": [("installation", "finish")],
        "bs-killed": [("installation", "install")],
        "bs-byhand": [],
        "bs-older": [("installation", "upgrade")],
        "bs-damaged": [("installation", "repair")],
    }


def test_status_names_the_damage(hosts: dict[str, Any]) -> None:
    damage = hosts["bs-damaged"]["plan"]["damage"]
    assert "1 changed (lib/python3." in damage
    assert "/textwrap.py)" in damage
    assert "1 missing (lib/python3." in damage
    assert "/fractions.py)" in damage
    assert [name for name, host in hosts.items() if host["plan"]["damage"]] == ["bs-damaged"]
