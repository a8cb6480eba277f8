"""What the fleet has shown is kept with each node: whoever is looked at alone later is held against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import findings, fleet_memory
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME
from ansible_collections.condafleet.core.plugins.module_utils.fleet_nodes import ANEW, Node, Training
from ansible_collections.condafleet.core.plugins.module_utils.fleet_verdicts import compare, merged

RUN = "2026-01-08T03:00:00Z"


def node(check: str, number: Any, learnt: list[dict[str, Any]] | None = None, curve: tuple[float, ...] = ()) -> Node:
    own = [findings.passed(BY_NAME[check], "node", number)] if check else []
    trained = {"a/torch": Training("a/torch", "torch 2.13", curve)} if curve else {}
    return Node(own, {"cpu": "EPYC", "gpus": []}, trained, learnt=learnt or [])


def remembered(nodes: dict[str, Node]) -> dict[str, list[dict[str, Any]]]:
    """What each node keeps of a run, as it is read again."""
    told = compare(nodes, 4, 10)
    kept = {}
    for name, one in nodes.items():
        found = merged(one.findings, told.changed[name])
        rows = fleet_memory.to_keep(one.learnt, told.figures, told.judged_by[name], found, RUN)
        kept[name] = json.loads(json.dumps(rows))
    return kept


def judged(nodes: dict[str, Node]) -> dict[str, dict[str, Any]]:
    found = compare(nodes, 4, 10)
    return {name: merged(one.findings, found.changed[name])[-1] for name, one in nodes.items()}


SPEEDS = {**{f"n{number}": 1000.0 + number for number in range(8)}, "slow": 500.0, "slower": 450.0}


@pytest.fixture
def kept() -> dict[str, list[dict[str, Any]]]:
    return remembered({name: node("speed.disk", speed) for name, speed in SPEEDS.items()})


def test_a_slow_node_that_is_looked_at_alone_stays_slow(kept: dict[str, Any]) -> None:
    one = judged({"slow": node("speed.disk", 520.0, kept["slow"])})["slow"]
    assert one["verdict"] == "FAIL"
    assert one["reason"].startswith("it is 520 MB/s, less than ")
    assert one["limit"]["source"].endswith(f"at {RUN}")
    assert one["next_step"].endswith(ANEW)
    assert one["evidence"][-1] == f"fleet: held against what 10 EPYC showed at {RUN}; only 1 are looked at now"
    # Mended, it passes; and one that was sound is found when it is slow.
    assert judged({"slow": node("speed.disk", 990.0, kept["slow"])})["slow"]["verdict"] == "PASS"
    assert judged({"n1": node("speed.disk", 500.0, kept["n1"])})["n1"]["verdict"] == "FAIL"


def test_the_bad_ones_of_a_run_are_no_fleet_of_their_own(kept: dict[str, Any]) -> None:
    """A second `provision` looks at them alone."""
    bad = {name: node("speed.disk", 500.0, kept[name]) for name in ("slow", "slower", "n1", "n2")}
    assert {one["verdict"] for one in judged(bad).values()} == {"FAIL"}
    told = compare(bad, 4, 10)
    assert told.figures == []
    # And they remember the fleet, not each other.
    assert remembered(bad)["slow"] == kept["slow"]


def test_half_of_the_fleet_learns_anew(kept: dict[str, Any]) -> None:
    half = {name: node("speed.disk", 500.0, kept[name]) for name in ("slow", "slower", "n1", "n2", "n3")}
    assert {one["verdict"] for one in judged(half).values()} == {"PASS"}
    assert remembered(half)["n1"][0]["count"] == 5


def test_a_new_node_among_few_is_not_judged_by_what_others_remember(kept: dict[str, Any]) -> None:
    found = judged({"slow": node("speed.disk", 500.0, kept["slow"]), "new": node("speed.disk", 500.0)})
    assert found["slow"]["verdict"] == "FAIL"
    assert (found["new"]["verdict"], found["new"]["evidence"][-1]) == (
        "PASS", "fleet: not judged, 2 of EPYC, and 3 are needed to say which is odd",
    )  # fmt: skip


def test_another_version_of_a_check_is_held_against_nothing(kept: dict[str, Any]) -> None:
    one = node("speed.disk", 500.0, kept["slow"])
    newer = one._replace(findings=[{**one.findings[0], "version": 99}])
    assert judged({"slow": newer})["slow"]["verdict"] == "PASS"


def test_two_halves_leave_nothing_to_remember() -> None:
    speeds = {f"n{number}": node("speed.disk", 1000.0 if number < 4 else 500.0) for number in range(8)}
    assert set(map(len, remembered(speeds).values())) == {0}


def test_what_is_lost_for_good_stays_odd_and_what_is_changed_on_purpose_is_left_to_the_site() -> None:
    cpus = remembered({f"n{number}": node("host.cpus", 64) for number in range(5)})
    assert judged({"n1": node("host.cpus", 32, cpus["n1"])})["n1"]["verdict"] == "FAIL"
    drivers = remembered(
        {**{f"n{number}": node("gpu.driver", "570.86") for number in range(5)}, "old": node("gpu.driver", "550.54")}
    )
    assert judged({"old": node("gpu.driver", "550.54", drivers["old"])})["old"]["verdict"] == "FAIL"
    # The fleet is brought to a newer driver, node by node.
    for name in ("old", "n1"):
        assert judged({name: node("gpu.driver", "580.10", drivers[name])})[name]["verdict"] == "PASS"


def test_a_curve_that_left_the_band_leaves_it_alone_too() -> None:
    curves = {f"n{number}": node("", 0, curve=(0.5, 0.25 + number / 1000)) for number in range(5)}
    kept = remembered({**curves, "odd": node("", 0, curve=(0.5, 0.6))})
    one = judged({"odd": node("", 0, kept["odd"], (0.5, 0.6))})["odd"]
    assert (one["check"], one["verdict"]) == ("train.curve", "FAIL")
    assert f"leave the band that 6 nodes showed at {RUN}, first at epoch 2: 0.6" in one["reason"]
    assert judged({"odd": node("", 0, kept["odd"], (0.5, 0.25))})["odd"]["verdict"] == "PASS"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"learnt": 1}', '{"learnt": [1, {"check": "speed.disk"}]}'])
def test_a_damaged_memory_is_none(tmp_path: Path, text: str) -> None:
    path = Path(fleet_memory.path_of(str(tmp_path)))
    path.parent.mkdir()
    path.write_text(text)
    assert fleet_memory.read(str(tmp_path)) == []


def test_of_one_training_only_the_newest_is_kept() -> None:
    old = remembered({f"n{number}": node("", 0, curve=(0.5, 0.3)) for number in range(3)})["n1"]
    row = {**old[0], "alike": "another", "run": "2026-02-01T00:00:00Z"}
    kept = fleet_memory.to_keep(old, [row], [0], [], "2026-02-01T00:00:00Z")
    assert [(one["alike"], one["epoch"]) for one in kept] == [("another", 1)]
