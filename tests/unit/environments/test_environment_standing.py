"""How an environment stands, and what the plan makes of it: each state, and what a plan may never do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.condafleet.core.plugins.module_utils import generation_history as history
from ansible_collections.condafleet.core.plugins.module_utils.environment_standing import (
    STATES,
    is_moved,
    recorded,
    standing,
)
from ansible_collections.condafleet.core.plugins.module_utils.plan_environments import difference, plan_environments

OLD, NEW = "a" * 64, "b" * 64
NODE = {
    "platform": "linux-64",
    "architecture": "x86_64",
    "libc": "glibc",
    "glibc": "2.36",
    "cuda": None,
    "driver": None,
}
TARGETS = {"cpu": {"platform": "linux-64", "glibc": "2.28"}}
LOCKS = {"x": {"cpu": {"digest": NEW, "packages": [{"manager": "pip", "name": "six", "version": "1", "build": ""}]}}}
DECLARED = [{"name": "x", "targets": ["cpu"]}]


def name(digest: str, serial: int = 1) -> str:
    return f"x-{digest[:12]}-{serial}"


def generation(digest: str, serial: int = 1, **changes: Any) -> dict[str, Any]:
    record = {
        "name": name(digest, serial), "environment": "x", "digest12": digest[:12], "serial": serial, "finished": True,
        "receipt": {"digest": digest, "packages": []}, "drifted": False, "broken": None, "drift": None,
    }  # fmt: skip
    record.update(changes)
    if not record["finished"]:
        record["receipt"] = None
    return record


def link(to: str | None, was: str | None, kind: str = "link") -> dict[str, Any]:
    return {"kind": kind, "target": f"/somewhere/{to}", "generation": to, "recorded": was}


def judged(seen: dict[str, Any] | None, generations: list[dict[str, Any]]) -> tuple[str, str, str]:
    """(state, action, why)."""
    environments = {"x": seen} if seen else {}
    observed = {
        "node": NODE, "installation": {"prefix": "/c"}, "environments": environments, "generations": generations
    }  # fmt: skip
    entry = plan_environments(observed, DECLARED, TARGETS, LOCKS)["x"]
    current = next((one for one in generations if seen and one["name"] == seen["generation"]), {})
    return standing(entry, seen or {}, current), entry["action"], entry["why"]


N1, N2, O1 = name(NEW), name(NEW, 2), name(OLD)
DRIFT = {"verified": "quick", "notes": [], "files": None, "packages": {
    "added": [], "removed": [], "changed": [
        {"manager": "pip", "name": "six", "before": "1.17", "after": "1.16", "what": "version"}]}}  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "generations", "state", "action", "why"),
    [
        (link(N1, N1), [generation(NEW)], "ok", "none", "it is what was declared"),
        (None, [], "behind", "build", "it is not there yet"),
        (link(O1, O1), [generation(OLD)], "behind", "build", "its lock has changed"),
        (link(O1, O1), [generation(OLD), generation(NEW)], "behind", "switch", f"{N1} is finished and not current"),
        (link(N1, N1), [generation(NEW, drifted=True, drift=DRIFT)], "drifted", "repair",
         f"its generation {N1} has drifted from its receipt: six 1.16 instead of 1.17 (pip)"),
        (link(N1, N1), [generation(NEW, finished=False)], "unfinished", "repair",
         f"its generation {N1} is unfinished: it has no receipt"),
        (link(N1, N1), [generation(NEW, broken="its bin/python is gone")], "broken", "repair",
         f"its generation {N1} can't be used: its bin/python is gone"),
        (link(N1, N1, "broken"), [], "broken", "build", f"its generation {N1} is gone"),
        (link(O1, N1), [generation(OLD), generation(NEW)], "replaced", "switch",
         f"{N1} is finished and not current: its link was moved by hand to {O1}"),
        (link(None, N1), [generation(NEW)], "replaced", "switch",
         f"{N1} is finished and not current: its link was moved by hand to /somewhere/None"),
        (link(None, N1, "broken"), [], "broken", "build", "its link was moved by hand to /somewhere/None"),
        # what a user put there before condafleet ever came is the user's
        (link(None, None), [generation(NEW)], "replaced", "blocked", "is a link to /somewhere/None, which is no"),
        (link(None, N1, "directory"), [generation(NEW)], "replaced", "blocked", "/c/envs/x is a directory that was"),
        # by hand to exactly what is declared: nobody has to do anything
        (link(N2, N1), [generation(NEW), generation(NEW, 2)], "ok", "none", "it is what was declared"),
    ],
)  # fmt: skip
def test_each_state_has_its_sentence(
    seen: dict[str, Any] | None, generations: list[dict[str, Any]], state: str, action: str, why: str
) -> None:
    found = judged(seen, generations)
    assert found[:2] == (state, action)
    assert why in found[2]


def entries(*names: str) -> list[dict[str, Any]]:
    return [history.entry(one, f"2026-01-0{day}T00:00:00Z", "switch") for day, one in enumerate(names, 1)]


@pytest.mark.parametrize(
    ("known", "to", "moved", "expected"),
    [
        ([], None, None, None),
        ([], N1, "2026-01-05T00:00:00Z", N1),  # before there was a history
        (entries(N1), N1, "2026-01-01T00:00:00Z", N1),
        (entries(O1, N1), O1, "2026-01-05T00:00:00Z", N1),  # moved back by hand, later
        # a switch that was announced, and cut short before it was made, or right after
        ([*entries(O1), {**entries(O1, N1)[1], history.MOVING: True}], O1, "2026-01-01T00:00:00Z", O1),
        ([*entries(O1), {**entries(O1, N1)[1], history.MOVING: True}], N1, "2026-01-02T00:00:00Z", N1),
        (entries(N1), None, None, N1),  # a directory, or a link to elsewhere
    ],
)
def test_what_condafleet_made_current_last(
    known: list[dict[str, Any]], to: str | None, moved: str | None, expected: str | None
) -> None:
    assert recorded(known, {"generation": to, "moved": moved}) == expected


records = st.lists(
    st.builds(
        lambda digest, serial, drifted, finished, broken: generation(
            digest, serial, drifted=drifted if finished else None, finished=finished, broken="x" if broken else None
        ),
        st.sampled_from([OLD, NEW]),
        st.integers(1, 4),
        st.sampled_from([True, False, None]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=5,
    unique_by=lambda record: record["name"],
)
links = st.none() | st.builds(
    link,
    st.sampled_from([None, N1, N2, O1, name(NEW, 9)]),
    st.sampled_from([None, N1, N2, O1]),
    st.sampled_from(["link", "broken", "directory"]),
).filter(lambda one: one["kind"] != "directory" or one["generation"] is None)


@given(links, records)
def test_a_plan_never_uses_what_is_not_whole_and_never_takes_what_is_a_users(
    seen: dict[str, Any] | None, generations: list[dict[str, Any]]
) -> None:
    observed = {
        "node": NODE, "installation": {"prefix": "/c"}, "environments": {"x": seen} if seen else {},
        "generations": generations,
    }  # fmt: skip
    entry = plan_environments(observed, DECLARED, TARGETS, LOCKS)["x"]
    whole = {
        one["name"]
        for one in generations
        if one["finished"] and not one["drifted"] and not one["broken"] and one["receipt"]["digest"] == NEW
    }
    state = standing(
        entry, seen or {}, next((one for one in generations if one["name"] == (seen or {}).get("generation")), {})
    )
    assert state in STATES
    if entry["action"] in ("none", "switch"):
        assert entry["generation"] in whole
    if entry["action"] == "none":
        assert seen is not None and seen["generation"] == entry["generation"]
    if entry["action"] in ("build", "repair"):
        assert not whole
        assert entry["generation"] not in {one["name"] for one in generations}
    if seen and not seen["generation"]:
        ours = is_moved(seen)
        assert (entry["action"] == "blocked") == (not ours)
        assert seen["kind"] != "directory" or not ours
    # A node that has nothing to do is ok, and one that is ok has nothing to do.
    assert (state == "ok") == (entry["action"] == "none")


packages = st.lists(
    st.builds(
        lambda manager, name, version: {"manager": manager, "name": name, "version": version, "build": ""},
        st.sampled_from(["conda", "pip"]), st.sampled_from("abcde"), st.sampled_from("123"),
    ),
    max_size=8, unique_by=lambda one: (one["manager"], one["name"]),
)  # fmt: skip


@given(packages, packages)
def test_a_difference_carried_out_gives_what_was_wanted(
    before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    found = difference(before, after)
    have = {(one["manager"], one["name"]): one["version"] for one in before}
    for one in found["removed"]:
        assert have.pop((one["manager"], one["name"])) == one["version"]
    for one in found["added"]:
        assert (one["manager"], one["name"]) not in have
        have[one["manager"], one["name"]] = one["version"]
    for one in found["changed"]:
        assert have[one["manager"], one["name"]] == one["before"] != one["after"]
        have[one["manager"], one["name"]] = one["after"]
    assert have == {(one["manager"], one["name"]): one["version"] for one in after}
    assert difference(after, after) == {"added": [], "removed": [], "changed": []}
