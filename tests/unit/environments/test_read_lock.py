"""What the action conda_environment takes from a pair of lock files on the controller.

In a child process: an action's imports make every module in the same process believe that it runs on the controller.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

WriteLock = Callable[[str], str]
REPOSITORY = Path(__file__).parents[3]
PROGRAM = """
import json, sys
from ansible.errors import AnsibleActionFail
from ansible_collections.condafleet.core.plugins.action.conda_environment import read_lock
try:
    print(json.dumps(read_lock(*json.loads(sys.argv[1]))))
except AnsibleActionFail as error:
    print(json.dumps({"refused": str(error)}))
"""


def read_lock(*arguments: Any) -> dict[str, Any]:
    places = os.pathsep.join((str(REPOSITORY / "python"), str(REPOSITORY / "collections")))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(arguments)],
        env={**os.environ, "PYTHONPATH": places}, stdout=subprocess.PIPE, text=True, timeout=60, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_lock_that_changed_since_the_plan_is_refused(write_lock: WriteLock) -> None:
    planned = read_lock({"conda_lock": write_lock("1.3.1")}, {})
    assert read_lock({"conda_lock": write_lock("1.3.1")}, {}, planned["digest"]) == planned
    refused = read_lock({"conda_lock": write_lock("1.3.2")}, {}, planned["digest"])["refused"]
    assert "linux-64-cpu.conda-lock.yml is not what this run planned with" in refused
    assert "Nothing was switched" in refused


def test_declared_variables_are_part_of_what_is_built(write_lock: WriteLock) -> None:
    lock = {"conda_lock": write_lock("1.3.1")}
    with_one = read_lock(lock, {"A": "b"})
    assert with_one["variables"] == {"A": "b"}
    assert with_one["digest"] != read_lock(lock, {})["digest"]
