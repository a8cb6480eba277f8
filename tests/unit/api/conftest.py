"""A fleet of four that needs no network: fine, changed, failing, and one that nobody answers for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from condafleet.api import build_call, run_call
from condafleet.results import FleetResult

PLAY = """\
- name: Play with them
  hosts: all
  gather_facts: false
  tasks:
    - name: Do it
      ansible.builtin.command: {argv: ["echo", "{{ token | default('nothing') }}"]}
      changed_when: mode == 'changed'
      failed_when: mode == 'failed'
    - name: Hand over
      ansible.builtin.set_stats:
        per_host: true
        data: {condafleet: {environments: {pytorch: {generation: g1, digest: abc, target: linux-64-cpu}}}}
"""


@pytest.fixture(scope="session")
def play(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("play") / "play.yml"
    path.write_text(PLAY)
    return path


@pytest.fixture(scope="session")
def local() -> dict[str, Any]:
    return {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


@pytest.fixture(scope="session")
def fleet(local: dict[str, Any]) -> dict[str, Any]:
    hosts: dict[str, Any] = {name: {**local, "mode": name} for name in ("ok", "changed", "failed")}
    hosts["lost"] = {"ansible_host": "127.0.0.1", "ansible_port": 1, "mode": "ok"}
    return {"all": {"hosts": hosts}}


@pytest.fixture(scope="session")
def ran(play: Path, fleet: dict[str, Any]) -> tuple[FleetResult, list[dict[str, Any]]]:
    """One real run, for all the tests that only look at what came of it."""
    events: list[dict[str, Any]] = []
    result = run_call(
        build_call(str(play), fleet, {"extra_vars": {"token": "open-sesame"}}), lambda event: events.append(dict(event))
    )
    return result, events
