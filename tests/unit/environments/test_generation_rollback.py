"""What a fleet goes back to: data in, data out."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError, InputError
from ansible_collections.condafleet.core.plugins.module_utils.generation_rollback import decide

A, B, C = "x-aaaaaaaaaaaa-1", "x-bbbbbbbbbbbb-1", "x-cccccccccccc-1"
AGAIN = "x-bbbbbbbbbbbb-2"  # the lock of B, built again


def node(*moves: str, kept: tuple[str, ...] = (A, B, C, AGAIN), drifted: tuple[str, ...] = ()) -> dict[str, Any]:
    """A node whose link went to these, in runs of these numbers: `A`, or `A rollback`."""
    entries = []
    for number, move in enumerate(moves):
        generation, _, why = move.partition(" ")
        since = f"2026-01-{number + 1:02d}T00:00:00Z"
        entries.append({"generation": generation, "since": since, "why": why or "switch", "run": f"run {number}"})
    generations = [
        {
            "name": name, "environment": "x", "finished": True, "drifted": name in drifted, "serial": int(name[-1]),
            "receipt": {"target": "cpu"},
        }
        for name in kept
    ]  # fmt: skip
    current = entries[-1]["generation"] if entries else None
    environments = {"x": {"generation": current}} if current else {}
    return {"history": {"x": entries}, "generations": generations, "environments": environments}


def test_the_newest_switch_is_undone_everywhere() -> None:
    # n1 was not there in the newest run, so that has changed nothing on it.
    found = decide({"n1": node(C, A), "n2": node(C, A, B)})
    assert (found.moves, found.missing) == ({"n2": {"x": A}}, {})
    assert decide({"n1": node(A, B), "n2": node(A, B)}).moves == {"n1": {"x": A}, "n2": {"x": A}}


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
