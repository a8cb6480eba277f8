"""Which target a node takes, and what then has to be done: data in, data out."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.plan_environments import (
    difference,
    package_lines,
    plan_environments,
)
from ansible_collections.condafleet.core.plugins.module_utils.targets import best_target, unmet

NODE = {
    "platform": "linux-64",
    "architecture": "x86_64",
    "libc": "glibc",
    "glibc": "2.36",
    "cuda": "12.8",
    "driver": "570.86",
}
TARGETS = {
    "cpu": {"platform": "linux-64", "glibc": "2.28"},
    "cuda12": {"platform": "linux-64", "glibc": "2.28", "cuda": "12.0"},
    "cuda13": {"platform": "linux-64", "glibc": "2.28", "cuda": "13.0"},
}
OLD, NEW = "a" * 64, "b" * 64


def package(name: str, version: str, build: str = "") -> dict[str, str]:
    return {"manager": "pip", "name": name, "version": version, "build": build}


LOCKS = {"x": {"cpu": {"digest": NEW, "packages": [package("torch", "2.0"), package("numpy", "2.0")]}}}


@pytest.mark.parametrize(
    ("names", "node", "chosen"),
    [
        (["cuda13", "cuda12", "cpu"], {}, "cuda12"),
        (["cpu", "cuda12"], {}, "cpu"),
        (["cuda12", "cpu"], {"cuda": None, "driver": None}, "cpu"),
        (["cuda13"], {"cuda": "13.0"}, "cuda13"),
        (["cuda12"], {"cuda": "9.2"}, None),
    ],
)
def test_the_first_declared_target_that_the_node_satisfies(
    names: list[str], node: dict[str, Any], chosen: str | None
) -> None:
    assert best_target({**NODE, **node}, names, TARGETS)[0] == chosen


@pytest.mark.parametrize(
    ("definition", "node", "text"),
    [
        (
            {"platform": "linux-aarch64"},
            {},
            "it is for linux-aarch64, and this node's architecture is x86_64 (linux-64)",
        ),
        (
            {"platform": "linux-64", "glibc": "2.28"},
            {"glibc": "2.9"},
            "it needs glibc 2.28 or newer, and this node has glibc 2.9",
        ),
        ({"platform": "linux-64", "glibc": "2.28"}, {"libc": "musl", "glibc": None}, "and this node has musl"),
        (TARGETS["cuda13"], {}, "this node's driver 570.86 supports CUDA 12.8"),
        (TARGETS["cuda12"], {"cuda": None, "driver": None}, "and this node has no driver"),
        (TARGETS["cuda12"], {"cuda": None, "driver": "999.1"}, "driver 999.1, whose CUDA version is not known"),
    ],
)
def test_why_a_node_cannot_take_a_target(definition: dict[str, str], node: dict[str, Any], text: str) -> None:
    assert text in (unmet({**NODE, **node}, definition) or "")


def generation(digest: str, serial: int = 1, drifted: bool | None = False, finished: bool = True) -> dict[str, Any]:
    receipt = {"digest": digest, "packages": [package("torch", "1.0"), package("six", "1.17")]}
    return {
        "name": f"x-{digest[:12]}-{serial}",
        "environment": "x",
        "digest12": digest[:12],
        "serial": serial,
        "finished": finished,
        "receipt": receipt if finished else None,
        "drifted": drifted,
    }


def planned(
    current: str | None, generations: list[dict[str, Any]], locks: Any = LOCKS, kind: str = "link"
) -> dict[str, Any]:
    environments = (
        {"x": {"kind": kind, "target": "/elsewhere", "generation": current}} if current or kind != "link" else {}
    )
    observed = {
        "node": NODE,
        "installation": {"prefix": "/opt/conda"},
        "environments": environments,
        "generations": generations,
    }
    return plan_environments(observed, [{"name": "x", "targets": ["cpu"]}], TARGETS, locks)["x"]


def test_a_node_that_has_nothing_yet_is_told_every_package() -> None:
    plan = planned(None, [])
    assert (plan["action"], plan["generation"], plan["digest"]) == ("build", f"x-{NEW[:12]}-1", NEW)
    assert package_lines(plan["packages"]) == ["+ numpy 2.0", "+ torch 2.0"]


def test_what_is_as_declared_needs_nothing() -> None:
    plan = planned(f"x-{NEW[:12]}-1", [generation(NEW)])
    assert (plan["action"], plan["packages"]) == ("none", {"added": [], "removed": [], "changed": []})


def test_a_changed_lock_is_built_and_the_difference_told() -> None:
    plan = planned(f"x-{OLD[:12]}-1", [generation(OLD)])
    assert (plan["action"], plan["why"]) == ("build", "its lock has changed")
    assert package_lines(plan["packages"]) == ["+ numpy 2.0", "- six 1.17", "~ torch 1.0 → 2.0"]


def test_a_finished_generation_is_switched_to() -> None:
    plan = planned(f"x-{OLD[:12]}-1", [generation(OLD), generation(NEW)])
    assert (plan["action"], plan["generation"]) == ("switch", f"x-{NEW[:12]}-1")


@pytest.mark.parametrize(
    ("found", "why", "action"),
    [
        ([generation(NEW, drifted=True)], "has drifted from its receipt", "repair"),
        ([generation(NEW, finished=False)], "is unfinished: it has no receipt", "repair"),
        ([{**generation(NEW), "broken": "its bin/python is gone"}], "can't be used: its bin/python is gone", "repair"),
        ([], "is gone", "build"),
    ],
)
def test_what_is_damaged_is_built_again_under_a_new_serial(found: list[dict[str, Any]], why: str, action: str) -> None:
    plan = planned(f"x-{NEW[:12]}-1", found)
    assert (plan["action"], plan["generation"]) == (action, f"x-{NEW[:12]}-{len(found) + 1}")
    assert why in plan["why"]
    assert plan["damaged"] == [one["name"] for one in found if one["drifted"]]


def test_a_drifted_one_gives_way_to_another_that_is_whole() -> None:
    plan = planned(f"x-{NEW[:12]}-1", [generation(NEW, drifted=True), generation(NEW, 2, None)])
    assert (plan["action"], plan["damaged"]) == ("switch", [f"x-{NEW[:12]}-1"])
    assert plan["why"].endswith(f"its generation x-{NEW[:12]}-1 has drifted from its receipt")


def test_a_directory_of_that_name_blocks() -> None:
    plan = planned(None, [], kind="directory")
    assert plan["action"] == "blocked"
    assert "/opt/conda/envs/x is a directory that was not made by condafleet" in plan["why"]


def test_without_a_lock_it_is_unknown() -> None:
    plan = planned(None, [], locks={"x": {"cpu": {"digest": None}}})
    assert (plan["action"], plan["packages"]) == ("unknown", None)


def test_no_target_fits() -> None:
    observed = {"node": {**NODE, "glibc": "2.17"}, "environments": {}, "generations": []}
    plan = plan_environments(observed, [{"name": "x", "targets": ["cpu"]}], TARGETS, LOCKS)["x"]
    assert plan["action"] == "blocked"
    assert "cpu: it needs glibc 2.28 or newer, and this node has glibc 2.17" in plan["why"]


def test_a_build_alone_is_a_change() -> None:
    changed = difference([package("a", "1", "cpu_0")], [package("a", "1", "cuda_0")])["changed"]
    assert changed == [{"manager": "pip", "name": "a", "before": "1 cpu_0", "after": "1 cuda_0"}]


@pytest.mark.parametrize(
    ("declared", "names", "node", "chosen"),
    [
        ("cuda12", ["cuda13", "cuda12", "cpu"], {"cuda": None, "driver": None}, "cuda12"),  # an image shows no driver
        ("cuda12", ["cpu", "cuda12"], {}, "cuda12"),  # it goes before what the list says
        ("cuda13", ["cuda12", "cpu"], {"cuda": None}, "cuda12"),  # what it can do decides where it is not in the list
        ("cpu", ["cuda12", "cpu"], {}, "cpu"),  # the host's driver is none of the image's
        ("cuda12", ["cuda12"], {"glibc": "2.17"}, "glibc 2.28 or newer"),
        ("cuda12", ["cuda12"], {"platform": "linux-aarch64", "architecture": "aarch64"}, "architecture is aarch64"),
        ("cpu", ["cuda12"], {}, "no target for this node"),
    ],
)
def test_a_declared_target_counts_instead_of_what_is_seen(
    declared: str, names: list[str], node: dict[str, Any], chosen: str
) -> None:
    observed = {"node": {**NODE, **node}, "installation": {}, "environments": {}, "generations": []}
    plan = plan_environments(observed, [{"name": "x", "targets": names}], TARGETS, LOCKS, declared)["x"]
    if plan["action"] == "blocked":
        assert chosen in plan["why"]
    else:
        assert plan["target"] == chosen


def test_what_was_rolled_back_says_so() -> None:
    moves = [(OLD, "switch"), (NEW, "switch"), (OLD, "rollback")]
    history = [
        {"generation": f"x-{digest[:12]}-1", "since": f"2026-01-0{day}T00:00:00Z", "why": why, "run": None}
        for day, (digest, why) in enumerate(moves, 1)
    ]
    observed = {
        "node": NODE,
        "installation": {"prefix": "/opt/conda"},
        "history": {"x": history},
        "environments": {"x": {"kind": "link", "target": "/elsewhere", "generation": f"x-{OLD[:12]}-1"}},
        "generations": [generation(OLD), generation(NEW)],
    }
    plan = plan_environments(observed, [{"name": "x", "targets": ["cpu"]}], TARGETS, LOCKS)["x"]
    assert plan["action"] == "switch"
    assert plan["why"] == (
        f"it was rolled back to x-{OLD[:12]}-1 (2026-01-03T00:00:00Z); x-{NEW[:12]}-1 is what is declared"
    )


def test_the_name_of_one_that_was_current_is_not_planned_again() -> None:
    entry = {"generation": f"x-{NEW[:12]}-1", "since": "2026-01-01T00:00:00Z", "why": "switch", "run": None}
    observed = {
        "node": NODE,
        "installation": {"prefix": "/opt/conda"},
        "history": {"x": [entry]},
        "environments": {"x": {"kind": "link", "target": "/elsewhere", "generation": f"x-{OLD[:12]}-1"}},
        "generations": [generation(OLD)],
    }
    plan = plan_environments(observed, [{"name": "x", "targets": ["cpu"]}], TARGETS, LOCKS)["x"]
    assert (plan["action"], plan["generation"]) == ("build", f"x-{NEW[:12]}-2")
