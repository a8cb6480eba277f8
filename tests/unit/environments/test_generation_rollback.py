"""What a fleet goes back to: data in, data out."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError, InputError
from ansible_collections.condafleet.core.plugins.module_utils.generation_rollback import decide

A, B, C = "x-aaaaaaaaaaaa-1", "x-bbbbbbbbbbbb-1", "x-cccccccccccc-1"
AGAIN = "x-bbbbbbbbbbbb-2"  # the lock of B, built again


def node(
    *moves: str, kept: tuple[str, ...] = (A, B, C, AGAIN), drifted: tuple[str, ...] = (), broken: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A node whose link went to these, on the first days of January: `A`, or `A rollback 7` for the seventh."""
    entries: list[dict[str, Any]] = []
    for number, move in enumerate(moves):
        generation, why, day = [*move.split(), "switch", ""][:3] if " " in move else (move, "switch", "")
        since = f"2026-01-{int(day) if day.isdigit() else number + 1:02d}T00:00:00Z"
        # A run began before it moved a link.
        run = None if why == "found" else since
        entries.append({"generation": generation, "since": since.replace(":00Z", ":01Z"), "why": why, "run": run})
    generations = [
        {
            "name": name, "environment": name[0], "finished": True, "drifted": name in drifted,
            "broken": "it has no bin/python" if name in broken else None, "serial": int(name[-1]),
            "receipt": {"target": "cpu", "digest": name[2:14] + "0" * 52},
        }
        for name in kept
    ]  # fmt: skip
    history: dict[str, Any] = {}
    for one in entries:
        history.setdefault(one["generation"][0], []).append(one)
    environments = {name: {"generation": told[-1]["generation"]} for name, told in history.items()}
    return {"history": history or {"x": []}, "generations": generations, "environments": environments}


def moves(nodes: dict[str, dict[str, Any]], *names: str) -> dict[str, dict[str, str]]:
    decision = decide(nodes, names)
    assert decision.missing == {}
    return decision.moves


def test_the_newest_run_s_lock_is_undone_and_no_other_one() -> None:
    # n1 was not there in the newest run, so that has changed nothing on it.
    assert moves({"n1": node(C, A), "n2": node(C, A, B)}) == {"n2": {"x": A}}
    assert moves({"n1": node(A, B), "n2": node(A, B)}) == {"n1": {"x": A}, "n2": {"x": A}}


def test_nodes_that_caught_up_in_a_later_run_go_back_with_all_others() -> None:
    fleet = {**{f"n{number}": node(A, B) for number in range(5)}, "late": node(A, f"{B} switch 9")}
    assert moves(fleet) == {name: {"x": A} for name in fleet}


def test_catching_up_brings_nothing_new() -> None:
    # y came on the second day, x on the third; who was down for both got both on the ninth. x was the newest.
    y, z = "y-aaaaaaaaaaaa-1", "y-bbbbbbbbbbbb-1"
    kept = (A, B, y, z)
    there = node(f"{A} switch 1", f"{y} switch 1", f"{z} switch 2", f"{B} switch 3", kept=kept)
    late = node(f"{A} switch 1", f"{y} switch 1", f"{z} switch 9", f"{B} switch 9", kept=kept)
    assert moves({"there": there, "late": late}) == {"there": {"x": A}, "late": {"x": A}}


@pytest.mark.parametrize("how", ["switch", "found"])
def test_a_move_by_hand_is_no_run_and_its_node_goes_back_too(how: str) -> None:
    fleet = {"n1": node(A, B), "n2": node(A, B), "hand": node(A, f"{B} {how} 9")}
    assert moves(fleet) == {name: {"x": A} for name in fleet}
    elsewhere = {"n1": node(A, B), "hand": node(A, B, f"{C} found 9")}
    assert moves(elsewhere) == {"n1": {"x": A}}


def test_a_node_that_is_new_does_not_hide_the_run_and_is_not_left_behind_unseen() -> None:
    fleet = {"n1": node(A, B), "n2": node(A, B), "new": node(f"{B} switch 9")}
    found = decide(fleet)
    assert found.moves == {"n1": {"x": A}, "n2": {"x": A}}
    assert found.missing == {
        "new": [
            f"environment x: nothing was current before {B}, and other nodes leave that. "
            "Next: leave this one out (--limit)."
        ]
    }
    assert not found.kept.get("new")


def test_an_environment_that_is_new_in_the_fleet_hides_what_came_before_it() -> None:
    # What the newest run brought can't be undone; nobody asked for what came earlier.
    y = "y-aaaaaaaaaaaa-1"
    found = decide({"n": node(f"{A} switch 1", f"{B} switch 2", f"{y} switch 3", kept=(A, B, y))})
    assert (found.moves, found.missing) == ({}, {})
    assert found.kept == {
        "n": {"x": "the newest run did not bring x-bbbbbbbbbbbb", "y": f"nothing was current before {y}"}
    }


def test_a_lock_that_came_back_came_with_the_run_that_brought_it_back() -> None:
    # asleep has had A all along; y moved in between.
    y, z = "y-aaaaaaaaaaaa-1", "y-bbbbbbbbbbbb-1"
    kept = (A, B, y, z)
    there = node(f"{A} switch 1", f"{y} switch 1", f"{B} switch 2", f"{z} switch 2", f"{A} switch 3", kept=kept)
    asleep = node(f"{A} switch 1", f"{y} switch 1", kept=kept)
    assert decide({"there": there, "asleep": asleep}).moves == {"there": {"x": B}}


def test_who_went_back_already_counts_where_the_others_would_go() -> None:
    with pytest.raises(FleetError, match=r"x-aaaaaaaaaaaa on late; x-bbbbbbbbbbbb on chosen\. .*Next: name one"):
        decide({"chosen": node(A, C, f"{B} rollback"), "late": node(A, C)})
    # The others of the fleet never had that lock, and are where they were.
    assert decide({"never": node(B), "late": node(A, C)}).moves == {"late": {"x": A}}


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (None, "its link was removed by hand"),
        ({"kind": "directory", "generation": None, "target": None}, "in the place of its link stands a folder"),
        ({"kind": "link", "generation": None, "target": "/home/a"}, "in the place of its link stands /home/a"),
    ],
)
def test_a_link_that_is_gone_or_replaced_stops_who_named_it(state: Any, found: str) -> None:
    fleet = {"n1": node(A, B), "n2": node(A, B)}
    fleet["n2"]["environments"] = {"x": state} if state else {}
    named = decide(fleet, ["x"])
    assert (named.moves, list(named.missing)) == ({"n1": {"x": A}}, ["n2"])
    assert found in named.missing["n2"][0]
    nobody = decide(fleet)
    assert (nobody.moves, nobody.missing) == ({"n1": {"x": A}}, {})
    assert found in nobody.kept["n2"]["x"]


def test_what_was_purged_from_a_node_is_no_hindrance() -> None:
    fleet = {"n1": node(A, B), "n2": node(A, B)}
    fleet["n2"]["environments"] = {}
    fleet["n2"]["history"]["x"].append({"generation": None, "since": "2026-01-03", "why": "purge", "run": None})
    found = decide(fleet, ["x"])
    assert (found.moves, found.missing) == ({"n1": {"x": A}}, {})
    assert found.kept == {"n2": {"x": "it was removed from this node, or given back"}}


def test_a_broken_generation_is_nothing_to_go_back_to() -> None:
    found = decide({"n1": node(A, B), "n2": node(A, B, broken=(A,))}, ["x"])
    assert found.moves == {"n1": {"x": A}}
    assert f"{A} (broken)" in found.missing["n2"][0]
    assert moves({"n": node(B, A, kept=(A, B, AGAIN), broken=(B,))}) == {"n": {"x": AGAIN}}


def test_run_again_it_changes_nothing() -> None:
    found = decide({"n1": node(A, B, f"{A} rollback"), "n2": node(A, B)})
    assert found.moves == {"n2": {"x": A}}
    assert found.kept == {"n1": {"x": "it was rolled back already"}}
    assert found.missing == {}


def test_what_was_current_before_a_rollback_s_successor_is_what_it_went_back_to() -> None:
    assert decide({"n": node(A, B, f"{A} rollback", C)}).moves == {"n": {"x": A}}


def test_a_repair_is_no_switch_to_undo() -> None:
    assert decide({"repaired": node(A, B, AGAIN), "whole": node(A, B)}).moves == {
        "repaired": {"x": A},
        "whole": {"x": A},
    }


def test_of_a_lock_the_generation_that_is_whole_is_taken() -> None:
    assert decide({"n": node(B, A, kept=(A, B, AGAIN), drifted=(B,))}).moves == {"n": {"x": AGAIN}}
    assert decide({"n": node(B, A, kept=(A, AGAIN))}, to=B).moves == {"n": {"x": AGAIN}}


@pytest.mark.parametrize("to", [A, "x-aaaaaaaaaaaa"])
def test_any_kept_one_can_be_named(to: str) -> None:
    found = decide({"n1": node(A, B, C), "n2": node(A)}, to=to)
    assert (found.moves, found.kept) == ({"n1": {"x": A}}, {"n2": {"x": "it is current"}})


def test_who_does_not_keep_it_says_what_it_keeps() -> None:
    found = decide({"n1": node(A, B), "n2": node(C, B, kept=(B, C, AGAIN), drifted=(C,))}, to=A)
    assert found.moves == {"n1": {"x": A}}
    assert found.missing == {
        "n2": [
            "environment x: no whole generation of x-aaaaaaaaaaaa is kept "
            f"(kept are: {B} (current), {C} (drifted), {AGAIN} (never current))."
        ]
    }


def test_an_environment_that_is_new_stays_unless_it_is_named() -> None:
    assert decide({"n": node(A)}).missing == {}
    assert decide({"n": node(A)}, ["x"]).missing == {"n": [f"environment x: nothing was current before {A}."]}


def test_nodes_that_would_end_apart_stop_it_all() -> None:
    with pytest.raises(FleetError, match=r"x-aaaaaaaaaaaa on n1; x-bbbbbbbbbbbb on n2\. .*--to x-aaaaaaaaaaaa"):
        decide({"n1": node(A, C), "n2": node(B, C)}, ["x"])


def test_what_was_adopted_can_be_named_and_only_where_it_was() -> None:
    had, never, back = node(A, B), node(A, B), node(A)
    had["environments"]["x"]["adopted"] = "/opt/mini.d/adopted-envs/x-1"
    back["environments"]["x"] = {"generation": None, "adopted": "/opt/mini.d/adopted-envs/x-1"}
    decision = decide({"had": had, "never": never, "back": back}, ["x"], "adopted")
    assert decision.moves == {"had": {"x": "adopted"}}
    assert (sorted(decision.kept), decision.missing) == (["back", "never"], {})
    for names in ([], ["y"], ["x", "y"]):
        with pytest.raises(InputError, match="those adopted here: x"):
            decide({"had": had, "never": never}, names, "adopted")


def test_nodes_without_the_environment_are_not_concerned() -> None:
    assert decide({"n1": node(A, B), "n2": node()}, ["x"]).missing == {}


@pytest.mark.parametrize(
    ("environments", "to", "said"),
    [
        (["y"], None, "environments: y is not accepted. Accepted: environments of condafleet on these nodes: x."),
        ([], "newest", "to: newest is not accepted. Accepted: a generation, such as pytorch-0123456789ab-1"),
        ([], "y-aaaaaaaaaaaa-1", "environments: y is not accepted"),
        (["x", "x"], A, "to: x-aaaaaaaaaaaa is not accepted. Accepted: a generation of the one environment"),
    ],
)
def test_names_that_nobody_knows_are_refused(environments: list[str], to: str | None, said: str) -> None:
    with pytest.raises(InputError) as refused:
        decide({"n": node(A, B)}, environments, to)
    assert said in refused.value.message
