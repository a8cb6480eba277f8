"""The action `plan`, really run by Ansible on a node that keeps a lot: what it sends to the controller."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from condafleet.api import build_call, run_call

PLAY = """\
- name: Plan
  hosts: all
  gather_facts: false
  tasks:
    - name: Plan the environments
      condafleet.core.plan:
        prefix: "{{ place }}/m"
        root: "{{ place }}/root"
        environments: {declared: "{{ declared }}", targets: "{{ targets }}", locks: {}, keep: 9}
      register: condafleet_plan
    - name: Write the report from the hosts' variables
      condafleet.core.report:
        path: "{{ place }}/report.json"
"""
NAMES = ("jax", "pytorch", "tensorflow")
PACKAGES = [
    {"manager": "conda", "name": f"package-{number:03}", "version": "1.2.3", "build": "py311h5eee18b_0",
     "sha256": hashlib.sha256(str(number).encode()).hexdigest(), "source": "https://conda.example.com/forge"}
    for number in range(250)
]  # fmt: skip


def keep_a_lot(place: Path) -> None:
    """Three environments with three generations of 250 packages each, and a cache."""
    (place / "m/envs").mkdir(parents=True)
    for name in NAMES:
        for number in range(3):
            digest = hashlib.sha256(f"{name}{number}".encode()).hexdigest()
            path = place / "root/generations" / f"{name}-{digest[:12]}-1"
            path.mkdir(parents=True)
            receipt = {"digest": digest, "target": "linux-64-cpu", "packages": PACKAGES}
            (path / ".condafleet.json").write_text(json.dumps(receipt))
        (place / "m/envs" / name).symlink_to(path)
    (place / "root/pkgs").mkdir()
    for package in PACKAGES:
        (place / "root/pkgs" / f"{package['name']}-1.2.3-py311h5eee18b_0.conda").touch()


def test_a_node_sends_no_receipts_and_says_nothing_twice(tmp_path: Path) -> None:
    keep_a_lot(tmp_path)
    play = tmp_path / "play.yml"
    play.write_text(PLAY)
    sent: list[dict[str, Any]] = []

    def look(event: Mapping[str, Any]) -> None:
        if event.get("event") == "runner_on_ok" and event["event_data"]["task_action"] == "condafleet.core.plan":
            sent.append(event["event_data"]["res"])

    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    variables = {
        "place": str(tmp_path),
        "declared": [{"name": name, "targets": ["linux-64-cpu"]} for name in NAMES],
        "targets": {"linux-64-cpu": {"platform": "linux-64", "glibc": "2.17"}},
    }
    result = run_call(build_call(str(play), {"all": {"hosts": {"a": host}}}, {"extra_vars": variables}), look)
    assert result.ok, result.hosts["a"].message
    (res,) = sent
    text = json.dumps(res)
    assert "package-000" not in text
    # Nine generations and three plans of some hundred bytes each; receipts alone would be 400 KB.
    assert len(text) < 20_000, len(text)
    assert "ansible_stats" not in res
    assert result.hosts["a"].data["observed"] == res["observed"]
    assert result.hosts["a"].data["plan"] == res["plan"]
    generations = {one["name"]: one for one in res["observed"]["generations"]}
    assert len(generations) == 9
    assert all(one["digest"][:12] in name and one["target"] == "linux-64-cpu" for name, one in generations.items())
    # the playbook's own report is made of the same
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["hosts"]["a"]["environments"] == result.report()["hosts"]["a"]["environments"]
    assert set(written["hosts"]["a"]["environments"]) == set(NAMES)
