"""The gate's decision and its words: pure, over recorded results of hosts."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.condafleet.core.plugins.module_utils import gate
from ansible_collections.condafleet.core.plugins.module_utils.node_names import folded, without_name

DISK = "environments_root: /opt/condafleet has %s free, and x needs about 5.0 GB. Next: free some space."
GPU = "environments_list: environment 'x' has no code for this node's GPUs: V100 has 7.0."


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["login"], "login"),
        (["node2", "node10", "node1"], "node[1-2,10]"),
        ([f"node{i:02d}" for i in range(1, 13)], "node[01-12]"),
        (["node09", "node10", "node100", "node8"], "node[09-10],node[8,100]"),
        (["r1-n07.x.example", "r1-n08.x.example", "r2-n08.x.example"], "r1-n[07-08].x.example,r2-n08.x.example"),
        (["10.0.0.1", "10.0.0.2", "10.0.1.2"], "10.0.0.[1-2],10.0.1.2"),
        (["a1-gpu", "a2-gpu", "b"], "a[1-2]-gpu,b"),
    ],
)
def test_names_are_folded_as_cluster_tools_write_them(names: list[str], text: str) -> None:
    assert folded(names) == text


NAMES = st.sets(st.from_regex(r"[a-z]{1,3}[0-9]{1,3}(-[a-z]{1,2})?", fullmatch=True), max_size=30)


@given(NAMES)
def test_folding_loses_no_name_and_makes_none_up(names: set[str]) -> None:
    assert unfolded(folded(names)) == names


def unfolded(text: str) -> set[str]:
    """The names again, by the simplest reading of the notation."""
    found: set[str] = set()
    while text:
        before, opening, rest = text.partition("[")
        if "," in before or not opening:
            name, _, text = text.partition(",")
            found.add(name)
            continue
        inner, _, rest = rest.partition("]")
        after, _, text = rest.partition(",")
        for part in inner.split(","):
            first, _, last = part.partition("-")
            for number in range(int(first), int(last or first) + 1):
                found.add(f"{before}{number:0{len(first) if first.startswith('0') or last else 0}d}{after}")
    return found


def planned(state: str, *blocked: str) -> dict[str, Any]:
    return {"plan": {"state": state, "blocked": list(blocked)}}


@pytest.mark.parametrize(
    ("after", "plan", "staged", "there"),
    [
        ("plan", planned("pending"), False, True),
        ("plan", planned("converged"), False, True),
        ("plan", planned("blocked", "no"), False, False),
        ("plan", {"unreachable": True, "msg": "no route"}, False, False),
        ("plan", {"failed": True, "msg": "no Python"}, False, False),
        ("plan", {}, False, False),
        ("stage", planned("pending"), False, False),
        ("stage", planned("pending"), True, True),
        ("stage", planned("converged"), False, True),
        ("stage", planned("unvalidated"), False, True),
        ("stage", planned("blocked", "no"), False, False),
    ],
)
def test_who_is_where_the_gate_wants_it(after: str, plan: dict[str, Any], staged: bool, there: bool) -> None:
    assert gate.present(after, plan, staged) is there


@pytest.mark.parametrize(
    ("plan", "results", "said"),
    [
        (planned("blocked", "one", "two"), [{"failed": True, "msg": "later"}], ["one", "two"]),
        ({"failed": True, "msg": "x", "blocked": ["one"]}, [], ["one"]),
        ({"unreachable": True, "msg": " no route "}, [], ["it could not be reached (no route)"]),
        (
            planned("pending"),
            [{"results": [{"failed": False}, {"failed": True, "msg": "no room"}]}],
            ["no room"],
        ),
        (planned("pending"), [{}, {"failed": True}], ["it failed"]),
        ({}, [{}], [gate.SILENT]),
    ],
)
def test_why_a_node_is_missing(plan: dict[str, Any], results: list[dict[str, Any]], said: list[str]) -> None:
    assert gate.reasons(plan, results) == said


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("n1", "n12 told n1 of n1.", "n12 told NODE of NODE."),
        ("n1", "https://n1:8080/x and root@n1, but no /srv/n1", "https://NODE:8080/x and root@NODE, but no /srv/n1"),
        ("local", "/usr/local/x is no folder on local", "/usr/local/x is no folder on NODE"),
        ("a.b", "a.b is not aXb, nor a.b-2", "NODE is not aXb, nor a.b-2"),
    ],
)
def test_a_name_is_taken_out_only_where_it_is_a_word(name: str, text: str, said: str) -> None:
    assert without_name(name, text, "NODE") == said


def test_five_hundred_nodes_with_three_odd_ones_are_a_few_lines_and_quick() -> None:
    fleet = [f"gpu{i:03d}" for i in range(500)]
    missing: dict[str, list[str]] = {f"gpu{i:03d}": [GPU] for i in range(100, 400)}
    missing.update({f"gpu{i:03d}": [DISK % f"{i}.5 MB"] for i in range(40)})
    missing["gpu451"] = ["it could not be reached (ssh: connect to host gpu451 port 22: No route to host)"]
    missing["gpu452"] = ["it could not be reached (ssh: connect to host gpu452 port 22: No route to host)"]
    missing["gpu499"] = [GPU, "odd"]
    started = time.perf_counter()
    decision = gate.decide("plan", fleet, missing, 0.1)
    took = time.perf_counter() - started
    assert took < 0.2, took  # 9 ms when this was written
    head, *lines = decision["text"].splitlines()
    assert head.startswith(
        "environments_may_fail: 343 of 500 nodes can't take the plan, and a share of 0.1 may be missing."
    )
    assert lines == [
        f"gpu[100-399,499] (301): {GPU}",
        f"gpu[000-039] (40): {DISK % '0.5 MB'} (So says gpu000; the others differ in figures.)",
        f"gpu[451-452] (2): {missing['gpu451'][0]} (So says gpu451; the others differ in figures.)",
        "gpu499: odd",
    ]


def test_driver_versions_are_no_figures_that_may_differ() -> None:
    old = "this node's driver %s supports CUDA %s"
    groups = gate.grouped({"a": [old % ("535.183.06", "12.2")], "b": [old % ("470.42.01", "11.4")]})
    assert [group["names"] for group in groups] == ["a", "b"]


def test_the_words_of_a_stop_and_of_a_pass_with_losses() -> None:
    stop = gate.decide("stage", ["a", "b"], {"b": ["no room"]}, 0)
    assert not stop["passed"]
    assert "1 of 2 nodes are not staged" in stop["text"]
    assert "Nothing was switched, on any node." in stop["text"]
    assert stop["text"].endswith("\nb: no room")
    passed = gate.decide("stage", ["a", "b"], {"b": ["no room"]}, 0.5)
    assert passed["passed"]
    assert "stay as they are; a share of 0.5 may. The others go on.\nb: no room" in passed["text"]
    assert gate.decide("stage", ["a", "b"], {}, 0)["text"] == "All 2 nodes go on."


def test_a_share_counts_as_it_is_written() -> None:
    fleet = [f"n{i}" for i in range(100)]
    assert gate.decide("plan", fleet, {f"n{i}": ["x"] for i in range(7)}, 0.07)["passed"]
    assert not gate.decide("plan", fleet, {f"n{i}": ["x"] for i in range(8)}, 0.07)["passed"]


SHARES = st.floats(min_value=0, max_value=1)


@given(st.integers(1, 60), st.data(), SHARES, SHARES)
def test_whoever_allows_more_is_stopped_no_earlier(size: int, data: st.DataObject, one: float, other: float) -> None:
    fleet = [f"n{i}" for i in range(size)]
    texts = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True)
    missing = data.draw(st.dictionaries(st.sampled_from(fleet), texts))
    less, more = sorted((one, other))
    if gate.decide("plan", fleet, missing, less)["passed"]:
        assert gate.decide("plan", fleet, missing, more)["passed"]
    assert gate.decide("plan", fleet, missing, 1)["passed"]
    assert gate.decide("plan", fleet, missing, 0)["passed"] == (not missing)
    # Every node that is missing is named, with each of its reasons, and no other one.
    named = {(node, group["text"]) for group in gate.grouped(missing) for node in group["nodes"]}
    assert named == {(node, text) for node, said in missing.items() for text in said}
