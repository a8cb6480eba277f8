"""The playbooks behind the functions."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from condafleet import api
from condafleet.collection import collection_root
from condafleet.events import ASK

PLAYBOOKS = collection_root() / "ansible_collections/condafleet/core/playbooks"


def plan_task(name: str) -> Any:
    plays = yaml.safe_load((PLAYBOOKS / f"{name}.yml").read_text(encoding="utf-8"))
    tasks = [task for play in plays for task in play.get("tasks") or () if "condafleet.core.plan" in task]
    assert len(tasks) == 1
    return tasks[0]["condafleet.core.plan"]


def test_the_task_that_asks_for_an_inventory_is_known_by_its_name() -> None:
    plays = yaml.safe_load((PLAYBOOKS / "site.yml").read_text(encoding="utf-8"))
    assert [task["name"] for task in plays[0]["tasks"] if plays[0]["hosts"] == "localhost"] == [ASK]


def test_status_compares_by_the_very_same_plan() -> None:
    # It looks at files and into homes too, which a run that has work to do has no time for.
    more = ("files", "dependants")
    status = {key: value for key, value in plan_task("status").items() if key not in more}
    # A run counts the nodes that can't take the plan before it fails them; a status has no gate.
    assert {**status, "stop": False} == plan_task("site")


@pytest.mark.parametrize(
    "name",
    [
        "site",
        "install",
        "shell",
        "environments",
        "validate",
        "status",
        "audit",
        "lock",
        "stage",
        "switch",
        "rollback",
        "uninstall",
    ],
)
def test_every_function_has_its_playbook(name: str) -> None:
    assert (PLAYBOOKS / f"{name}.yml").is_file()
    assert api.build_call(f"condafleet.core.{name}", ["a"], {}).playbook == f"condafleet.core.{name}"
