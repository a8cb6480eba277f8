"""Nodes that have the same in one group, and how the others differ, in the report and on the terminal."""

from __future__ import annotations

import io
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ansible_collections.condafleet.core.plugins.module_utils import report_groups
from ansible_collections.condafleet.core.plugins.module_utils import results as maker
from condafleet.cli import status_tables
from condafleet.results import FleetResult, HostResult

CHANGED = {"manager": "pip", "name": "numpy", "before": "2.2.0", "after": "2.1.0", "what": "version"}
DRIFT = {
    "verified": "full", "notes": [], "packages": {"added": [], "removed": [], "changed": [CHANGED]},
    "files": {"counts": {"changed": 1, "missing": 0, "added": 0}, "changed": ["lib/x.py"], "missing": [], "added": [],
              "more": 0, "checked": 9},
}  # fmt: skip
PRINTS = {"ok": "f" * 64, "other": "e" * 64, "drifted": "d" * 64}


def data(kind: str, serial: int = 1, target: str = "cpu") -> dict[str, Any]:
    """A node's data: ok, other (installed in another way), behind, drifted, unfinished, replaced, broken or moved."""
    name = f"pytorch-{'a' * 12}-{serial}"
    generation = {
        "name": name, "finished": kind != "unfinished", "drifted": kind == "drifted", "digest": "a" * 64,
        "target": target, "fingerprint": PRINTS.get(kind, PRINTS["ok"]), "broken": None,
        "drift": DRIFT if kind == "drifted" else {"verified": "quick", "notes": [], "packages": None, "files": None},
    }  # fmt: skip
    seen: dict[str, Any] = {"kind": "link", "target": "/r/" + name, "generation": name, "recorded": name}
    whys = {
        "ok": ("none", "it is what was declared"),
        "other": ("none", "it is what was declared"),
        "behind": ("build", "its lock has changed"),
        "drifted": ("repair", f"its generation {name} has drifted"),
        "unfinished": ("repair", f"its generation {name} is unfinished: it has no receipt"),
        "replaced": ("blocked", "/c/envs/pytorch is a directory that was not made by condafleet"),
        "broken": ("build", f"its generation {name} is gone"),
        "moved": ("switch", f"{name} is finished and not current: its link was moved by hand to /x"),
    }
    action, why = whys[kind]
    if kind == "replaced":
        seen = {"kind": "directory", "target": None, "generation": None, "recorded": name}
    if kind == "broken":
        seen["kind"] = "broken"
    if kind == "moved":
        seen.update(generation=None, target="/x")
    packages = {"added": [], "removed": [], "changed": [{**CHANGED, "before": "2.1", "after": "2.2"}]}
    entry = {"action": action, "why": why, "target": target, "packages": packages if kind == "behind" else None}
    observed = {"installation": {}, "environments": {"pytorch": seen}, "generations": [generation], "validations": {}}
    return {"observed": observed, "plan": {"environments": {"pytorch": entry}, "installation": [], "shells": []}}


def report(kinds: dict[str, str], **more: Any) -> dict[str, Any]:
    hosts = {
        name: {"status": "unreachable", "message": f"no route to {name}", "data": {}}
        if kind == "unreachable"
        else {"status": "ok", "message": None, "data": data(kind, 1 + index % 3)}
        for index, (name, kind) in enumerate(kinds.items())
    }
    return maker.build_report({**hosts, **more}, "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "0")


def test_the_minority_is_named_with_its_packages_and_files() -> None:
    names = [f"node{number:03}" for number in range(1, 501)]
    kinds = {name: "drifted" if name in ("node017", "node023") else "ok" for name in names}
    made = report(kinds)
    assert made["fleet"]["differences"] == [
        "pytorch: 2 of 500 differ (drifted): node[017,023]: "
        "numpy 2.1.0 instead of 2.2.0 (pip), 1 file changed (lib/x.py)"
    ]
    groups = made["fleet"]["groups"]["pytorch"]
    assert [(len(group["hosts"]), group["of"], group["differs"], group["files"]) for group in groups] == [
        (498, 500, False, None), (2, 500, True, "damaged"),
    ]  # fmt: skip
    assert made["hosts"]["node017"]["environments"]["pytorch"]["drift"]["packages"]["changed"] == [CHANGED]


def test_each_state_is_a_group_with_its_sentence() -> None:
    kinds = ["ok", "ok", "ok", "other", "behind", "drifted", "unfinished", "replaced", "broken", "moved", "unreachable"]
    made = report({f"n{index}": kind for index, kind in enumerate(kinds)})
    found = {group["hosts"][0]: (group["state"], group["how"]) for group in made["fleet"]["groups"]["pytorch"]}
    lock = "pytorch-" + "a" * 12
    assert found == {
        "n0": ("ok", ""),
        "n3": ("ok", "as its receipt says, but of another fingerprint than most: it was installed in another way"),
        "n4": ("behind", "its lock has changed: numpy 2.1 instead of 2.2 (pip)"),
        "n5": ("drifted", "numpy 2.1.0 instead of 2.2.0 (pip), 1 file changed (lib/x.py)"),
        "n6": ("unfinished", f"its generation {lock} is unfinished: it has no receipt"),
        "n7": ("replaced", "/c/envs/pytorch is a directory that was not made by condafleet"),
        "n8": ("broken", f"its generation {lock} is gone"),
        "n9": ("replaced", f"{lock} is finished and not current: its link was moved by hand to /x"),
    }


def test_another_target_is_no_difference() -> None:
    hosts = {"gpu1": {"status": "ok", "message": None, "data": data("ok", target="cuda12")}}
    made = report({"n1": "ok", "n2": "ok"}, **hosts)
    assert made["fleet"]["differences"] == []
    groups = made["fleet"]["groups"]["pytorch"]
    assert [(group["target"], group["hosts"], group["of"]) for group in groups] == [
        ("cpu", ["n1", "n2"], 2), ("cuda12", ["gpu1"], 1),
    ]  # fmt: skip


def test_a_node_that_was_just_switched_does_not_differ() -> None:
    switched = data("behind")
    switched["environments"] = {"pytorch": {"generation": "pytorch-new", "digest": "a" * 64, "target": "cpu"}}
    made = report({"n1": "ok", "n2": "ok"}, n3={"status": "changed", "message": None, "data": switched})
    assert made["fleet"]["differences"] == []


KINDS = ("ok", "other", "behind", "drifted", "unfinished", "replaced", "broken", "moved", "unreachable")


@given(st.dictionaries(st.from_regex(r"[a-z]{1,3}[0-9]{1,2}", fullmatch=True), st.sampled_from(KINDS), max_size=12))
def test_every_node_is_in_one_group_and_what_is_not_ok_differs(kinds: dict[str, str]) -> None:
    made = report(kinds)
    json.dumps(made)
    groups = made["fleet"]["groups"].get("pytorch", [])
    listed = sorted(host for group in groups for host in group["hosts"])
    assert listed == sorted(name for name, kind in kinds.items() if kind != "unreachable")
    sizes = [len(group["hosts"]) for group in groups]
    assert sizes == sorted(sizes, reverse=True)
    assert all(group["of"] == len(listed) for group in groups)
    for group in groups:
        assert group["differs"] or group["state"] == "ok"
        assert bool(group["how"]) == group["differs"]
        assert len({kinds[host] for host in group["hosts"]}) == 1
    assert len(made["fleet"]["differences"]) == sum(group["differs"] for group in groups)


def test_long_differences_are_cut() -> None:
    packages = {
        "added": [{"manager": "pip", "name": f"p{n}", "version": "1"} for n in range(9)],
        "removed": [],
        "changed": [],
    }
    said = report_groups.how_it_differs({"state": "behind", "why": "its lock has changed"}, {"packages": packages})
    assert said.startswith("its lock has changed: p0 1 is not there yet (pip), ")
    assert said.endswith("p4 1 is not there yet (pip), 4 more")


def test_the_tables_of_500_nodes_fit_on_a_screen() -> None:
    states = {3: "unreachable", 4: "drifted", 5: "drifted", 77: "behind", 200: "moved"}
    kinds = {f"node{number:03}.example.com": states.get(number, "ok") for number in range(1, 501)}
    hosts = {
        name: HostResult(name, "unreachable", f"ssh: connect to host {name} port 22: No route to host", "Observe")
        if kind == "unreachable"
        else HostResult(name, "ok", data=data(kind))
        for name, kind in kinds.items()
    }
    result = FleetResult(hosts, "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z")
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(status_tables.nodes(result.hosts), status_tables.environments(result.report()))
    text = console.export_text()
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "1 unreachable node003.example.com Observe: ssh: connect to host NODE port 22: No route to host" in lines
    assert "1 replaced node200.example.com" in lines
    assert "2 drifted node[004-005].example.com" in lines
    assert "495 ok node[001-002,006-076,078-199,201-500].example.com" in lines
    assert any(line.startswith("pytorch cpu 2 of 499 drifted node[004-005].example.com numpy 2.1.0") for line in lines)
    assert len(lines) < 20
