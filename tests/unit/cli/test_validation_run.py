"""A validation of this machine, typed as users type it: exit statuses, files, and what its history tells."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from junitparser import JUnitXml
from tests.unit.cli.test_main import condafleet

from condafleet.schemas import schema

# More than any machine has.
TOO_MUCH = 1e9


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """An inventory of this machine alone: without environments."""
    host: dict[str, Any] = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "miniconda_prefix": str(tmp_path / "mini"),
        "environments_root": str(tmp_path / "root"),
        "environments_list": [],
    }
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": {"node1": host}}}))
    return inventory


def test_a_node_is_accepted_then_refused_and_told_what_moved(node: Path, tmp_path: Path) -> None:
    checks = {"*": {"enabled": False}, "host.shm": {"enabled": True, "least": 0}, "gpu.count": {"enabled": True}}
    files = [tmp_path / name for name in ("first.json", "second.json", "second.xml")]

    def validate(*args: str) -> Any:
        return condafleet("validate", "-i", str(node), "-e", f"validation_checks={json.dumps(checks)}", *args)

    well = validate("--json", str(files[0]))
    assert well.returncode == 0, well.stderr + well.stdout
    checks["host.shm"]["least"] = TOO_MUCH
    bad = validate("--json", str(files[1]), "--junit", str(files[2]))
    assert bad.returncode == 5, bad.stderr + bad.stdout
    assert "node1: FAIL host.shm: it is " in bad.stdout

    reports = [json.loads(path.read_text()) for path in files[:2]]
    for one in reports:
        Draft202012Validator(schema("report")).validate(one)
    assert [one["hosts"]["node1"]["checks"]["verdict"] for one in reports] == ["PASS", "FAIL"]
    (suite,) = JUnitXml.fromfile(str(files[2]))
    assert (suite.name, suite.failures) == ("node1", 1)

    for args in ((str(files[0]), str(files[1])), ("-i", str(node))):
        moved = condafleet("compare", *args, "--json", "-")
        assert moved.returncode == 3, moved.stderr
        (turned,) = json.loads(moved.stdout)["hosts"]["node1"]["verdicts"]
        assert (turned["check"], turned["before"], turned["after"]) == ("host.shm", "PASS", "FAIL")
