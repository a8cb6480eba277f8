"""Nodes on this machine that are asked for their own history, really run by Ansible; compared from the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.unit.checks.records import EARLIER, RUN, record, sound
from tests.unit.cli.test_main import condafleet

from ansible_collections.condafleet.core.plugins.module_utils.validation_history import known_runs, read_history
from condafleet import api


@pytest.fixture
def nodes(tmp_path: Path) -> Path:
    """An inventory of two nodes: one that got slower, and one that was validated once."""
    hosts = {}
    for name, runs in (("node1", {EARLIER: 720.0, RUN: 650.0}), ("node2", {RUN: 720.0})):
        folder = tmp_path / name / "validation" / ".history"
        folder.mkdir(parents=True)
        for run, bf16 in runs.items():
            (folder / f"{run}.json").write_text(json.dumps(record(sound(bf16), run=run, node=name)))
        (folder / ".condafleet-x.json").write_text("half")
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        hosts[name] = {**local, "environments_root": str(tmp_path / name)}
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    return inventory


def test_a_node_tells_what_it_keeps(nodes: Path) -> None:
    result = api.history(inventory=str(nodes), runs=["last", "previous", EARLIER])
    told: dict[str, Any] = {name: host.data["history"] for name, host in result.hosts.items()}
    assert (result.ok, result.changed) == (True, ())
    assert {name: one["runs"] for name, one in told.items()} == {"node1": [RUN, EARLIER], "node2": [RUN]}
    assert told["node1"]["records"]["previous"] == told["node1"]["records"][EARLIER]
    assert told["node1"]["records"]["last"] == record(sound(650.0), node="node1")
    assert told["node2"]["records"]["previous"] is None


def test_compared_from_the_command_line(nodes: Path, tmp_path: Path) -> None:
    done = condafleet("compare", "-i", str(nodes), "--json", "-")
    assert done.returncode == 3, done.stderr
    found = json.loads(done.stdout)
    assert [one["check"] for one in found["hosts"]["node1"]["figures"]] == ["speed.matmul.bf16"] * 2
    assert found["not_compared"] == {"node2": f"it has no run previous (kept are: {RUN})"}
    same = condafleet("compare", "-i", str(nodes), "--limit", "node1", "--noise", "20", "last", "previous")
    assert (same.returncode, same.stdout.splitlines()[-1]) == (0, "node1: Nothing moved.")
    assert condafleet("compare", "-i", str(nodes), "--limit", "node2").returncode == 2


@pytest.mark.parametrize("text", ["{", "{}", '{"identity": {}, "findings": [{"check": "speed.disk"}]}'])
def test_a_damaged_record_is_named(nodes: Path, text: str) -> None:
    path = nodes.parent / "node1" / "validation" / ".history" / f"{RUN}.json"
    path.write_text(text)
    done = condafleet("compare", "-i", str(nodes))
    assert done.returncode == 1
    assert f"{path} is no record of a validation" in " ".join((done.stdout + done.stderr).split())


def test_a_node_that_never_was_validated_keeps_nothing(tmp_path: Path) -> None:
    assert known_runs(str(tmp_path)) == []
    assert read_history(str(tmp_path), ["last"]) == {"runs": [], "records": {"last": None}}
