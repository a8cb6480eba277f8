# SPDX-License-Identifier: Apache-2.0
"""What the role asks a collection to keep, before its links have moved and after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

TASKS = Path(__file__).parents[3] / "roles" / "environments" / "tasks" / "collect.yml"


@pytest.mark.parametrize(
    ("moved", "pinned"),
    [
        (False, ["kept-0123456789ab-1", "x-0123456789ab-1"]),
        # Had that one been found damaged by then, another stands in its place: the link knows, the plan does not.
        (True, ["kept-0123456789ab-1"]),
    ],
)
def test_what_was_planned_is_kept_until_the_links_have_moved(moved: bool, pinned: list[str]) -> None:
    values: dict[str, Any] = {
        "__environments_declared": {"pinned": ["kept-0123456789ab-1"]},
        "__environments_moves": {"x": "x-0123456789ab-1"},
        "__environments_links_moved": moved,
    }
    text = yaml.safe_load(TASKS.read_text())[0]["condafleet.core.environments_collection"]["pinned"]
    assert Templar(DataLoader(), variables=values).template(trust_as_template(text)) == pinned
