"""The wheel alone, in a new virtual environment and far from any clone, provisions a machine over real SSH."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import fleet as containers
import pytest
from installs import depot_path, install, new_venv, run

DEPOT = depot_path()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="containers with systemd need root"),
    pytest.mark.skipif(DEPOT is None, reason="no embedded depot: name one in CONDAFLEET_TEST_DEPOT"),
]

PROVISION = """
import json, sys
import condafleet
r = condafleet.provision(inventory=sys.argv[1], extra_vars=json.loads(sys.argv[2]))
hosts = {name: {"status": host.status, "message": host.message, "state": host.state} for name, host in r.hosts.items()}
print(json.dumps({"from": condafleet.__file__, "ok": r.ok, "changed": r.changed, "hosts": hosts}))
"""
DECLARED = {
    "miniconda_distribution": "embedded",
    "environments_list": [
        {"name": "small", "spec": {"conda": ["python"]}, "targets": ["linux-64-cpu"], "frameworks": []},
    ],
    "validation_enabled": False,
}


def test_the_wheel_provisions_a_container(wheel: Path, home: Path, tmp_path: Path) -> None:
    python = new_venv(tmp_path / "venv")
    # The programs of what the new environment sees, such as ansible-playbook, stand beside its own python.
    for program in Path(sys.executable).parent.glob("ansible*"):
        (python.parent / program.name).write_text(
            f"#!{python}\n" + program.read_text(encoding="utf-8").partition("\n")[2], encoding="utf-8"
        )
        (python.parent / program.name).chmod(0o755)
    install(wheel, python, tmp_path, home)
    away = tmp_path / "away"
    away.mkdir()

    with containers.Fleet("wheel", {"node1": "bookworm"}, depot=DEPOT) as fleet:

        def provision() -> dict[str, Any]:
            said = run([python, "-c", PROVISION, fleet.inventory, json.dumps(DECLARED)], away, home, limit=600)
            found: dict[str, Any] = json.loads(said.splitlines()[-1])
            return found

        first = provision()
        assert Path(first["from"]).is_relative_to(tmp_path / "venv"), first["from"]
        assert first["ok"], first["hosts"]
        assert first["changed"] == ["node1"]
        # What an ordinary user of that machine has now.
        seen = fleet.ssh("node1", "bash -lc 'conda activate small && command -v python && python -V'", "alice")
        assert seen.stdout.startswith("/opt/condafleet/generations/small-"), seen

        second = provision()
        assert second["ok"], second["hosts"]
        assert second["changed"] == []
        assert second["hosts"] == {"node1": {"status": "ok", "message": None, "state": "ok"}}
    assert list(away.iterdir()) == []
