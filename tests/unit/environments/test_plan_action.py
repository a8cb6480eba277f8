# SPDX-License-Identifier: Apache-2.0
"""What the action `plan` says of a module call that failed."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.action.plan import ActionModule

ARGS: dict[str, Any] = {
    "prefix": "/opt/miniconda3",
    "root": "/opt/condafleet",
    "system_root": "/",
    "files": False,
    "dependants": 0,
    "installation": None,
    "shells": None,
    "environments": None,
    "fingerprints": "current",
}


def observed(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]) -> dict[str, Any]:
    monkeypatch.setattr(ActionModule, "_execute_module", lambda *_args, **_values: answer)
    return ActionModule.__new__(ActionModule)._observe(ARGS, {"inventory_hostname": "node01"})


def test_what_a_module_raised_is_left_to_ansible_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    # With a `msg` in the result, be it None, Ansible says nothing of the exception, and the report has no reason.
    answer = {"failed": True, "exception": "KeyError: 'conda'"}
    assert "msg" not in observed(monkeypatch, answer)


def test_a_python_that_cannot_run_modules_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"failed": True, "msg": "/usr/bin/python3: not found", "rc": 127}
    assert observed(monkeypatch, answer)["msg"].startswith("ansible_python_interpreter: node01 has no Python at")


def test_a_file_that_a_module_misses_is_not_taken_for_its_python(monkeypatch: pytest.MonkeyPatch) -> None:
    told = 'Traceback (most recent call last):\n  File "/usr/lib/python3.11/os.py"\nNo such file or directory'
    answer = {"failed": True, "msg": "it broke", "exception": told}
    assert observed(monkeypatch, answer)["msg"] == "it broke"
