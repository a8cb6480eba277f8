"""The controller killed in the middle of an all-reduce, then a node: nothing is left, and there is a verdict."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import scenario

# Within which an all-reduce of a few processes is through, also where it takes a minute to start them.
LIMIT = 120
# Ansible's own tries to reach a node that is gone, and what a shared connection notices.
REACHING = 90


@pytest.fixture(autouse=True, scope="module")
def no_quota() -> None:
    """All start alike fast: it is not the slow one that is looked for here."""
    tool = scenario.ROOT / "tests" / "containers" / "hinder.py"
    subprocess.run([sys.executable, tool, "cpus", f"molecule-{scenario.name()}", "od4", "0"], check=True, timeout=60)


@pytest.mark.timeout(600)
def test_without_a_controller_nothing_is_left_on_the_nodes_after_the_time_limit(begun: Any, running: Any) -> None:
    playing, _log = begun(LIMIT)
    since = time.monotonic()
    os.killpg(playing.pid, signal.SIGKILL)
    playing.wait()
    assert running(), "it was to be killed in the middle"
    while running():
        assert time.monotonic() - since < LIMIT + 30
        time.sleep(1)


@pytest.mark.timeout(600)
def test_a_node_killed_in_the_middle_leaves_verdicts_and_no_process(
    begun: Any, running: Any, bad: Any, tmp_path: Path
) -> None:
    playing, log = begun(LIMIT)
    since = time.monotonic()
    # What it has run ends with it; what the others run has to be ended.
    scenario.engine.podman("kill", scenario.fleet().container("od3"))
    playing.wait(timeout=2 * LIMIT + REACHING)
    said = log.read_text(encoding="utf-8")
    assert time.monotonic() - since < 2 * LIMIT + REACHING, said
    assert running(without="od3") == {}, said
    hosts = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["hosts"]
    assert "od3: UNREACHABLE" in said.replace("[", "").replace("]", "")
    # What a playbook's own report can tell of a node that is gone; its verdict is that nothing could be told.
    assert hosts["od3"]["status"] == "failed", said
    assert bad(hosts["od3"]) == {"group.allreduce": "ERROR"}, said
    assert hosts["od3"]["checks"]["verdict"] == "ERROR", said
    # The others were tried again, and have their verdicts as before.
    assert "(without od3)" in json.dumps(hosts["od1"]["checks"]), said
    assert {name: bad(hosts[name]) for name in ("od1", "od2", "od4")} == {
        "od1": {}, "od2": {"group.pair": "FAIL"}, "od4": {},
    }, said  # fmt: skip
