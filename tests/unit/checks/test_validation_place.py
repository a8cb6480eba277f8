"""Where a node's validation is kept, on a disk of its own and on one that nodes share."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import (
    findings,
    fleet_memory,
    observation,
    validation_place,
    validation_record,
)
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME
from ansible_collections.condafleet.core.plugins.module_utils.validation_history import known_runs

RUN = "2026-01-08T03:00:00Z"


def test_a_disk_of_the_nodes_own_holds_its_record_plainly(tmp_path: Path) -> None:
    assert validation_place.node_file(str(tmp_path)) == str(tmp_path / "validation" / "node.json")


def test_of_nodes_that_share_a_root_each_has_its_own_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one that passed would vouch for one that failed."""
    root = str(tmp_path)
    monkeypatch.setattr(validation_place, "is_shared", lambda _path: True)
    names = ("node1", "node2")

    def become(name: str) -> None:
        monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", name, "6.1", "#1", "x86_64")))

    for name, verdict in zip(names, (findings.PASS, findings.FAIL), strict=True):
        become(name)
        assert observation.observe_checked(root) is None
        one = {**findings.passed(BY_NAME["speed.disk"], "node", 9.0), "verdict": verdict}
        record = validation_record.record_of(RUN, "standard", "d", [one], {"node": name}, None, None)
        row = {**dict.fromkeys(fleet_memory.KEPT), "check": "speed.disk", "count": 9, "run": name}
        validation_record.store(root, record, 20, None, learnt=[row])
        result = Path(validation_place.validation_folder(root)) / "pytorch" / "torch" / "result.json"
        result.parent.mkdir(parents=True)
        result.write_text(json.dumps({"of": name}))
    for name, verdict in zip(names, (findings.PASS, findings.FAIL), strict=True):
        become(name)
        checked = observation.observe_checked(root)
        assert checked is not None and checked["verdict"] == verdict
        assert observation.observe_validations(root) == {"pytorch": {"torch": {"of": name}}}
        assert [row["run"] for row in fleet_memory.read(root)] == [name]
        assert known_runs(root) == [RUN]
