"""Software or hardware: the former generation of an environment, on the same node."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import findings
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME
from ansible_collections.condafleet.core.plugins.module_utils.former_generation import (
    HARDWARE,
    SOFTWARE,
    former_of,
    told,
)

OLD, NEW = "pytorch-aaaaaaaaaaaa-1", "pytorch-bbbbbbbbbbbb-1"
SUBJECT = "pytorch/torch"


def conda(history: list[str | None], there: list[str], current: str | None = NEW, **broken: str) -> dict[str, Any]:
    generations = [{"name": name, "finished": True, "broken": broken.get(name[8])} for name in there]
    link = {"pytorch": {"kind": "link", "generation": current}} if current else {}
    return {
        "environments": link,
        "history": {"pytorch": [{"generation": name} for name in history]},
        "generations": generations,
    }


def test_the_last_other_generation_that_is_there_is_the_former_one() -> None:
    oldest = "pytorch-000000000000-1"
    assert former_of(conda([oldest, OLD, NEW], [oldest, OLD, NEW]), "pytorch").generation == OLD
    assert former_of(conda([oldest, OLD, NEW], [oldest, NEW]), "pytorch").generation == oldest
    # Back and forth: what was current before, not what comes first.
    assert former_of(conda([NEW, oldest, OLD, NEW], [oldest, OLD, NEW]), "pytorch").generation == OLD
    assert former_of(conda([oldest, OLD, None, NEW], [oldest, OLD, NEW], a="its python is gone"), "pytorch") == (
        oldest, None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("observed", "why"),
    [
        (conda([NEW], [NEW]), f"pytorch has no former generation: {NEW} is its first"),
        (conda([OLD, NEW], [NEW]), f"no former generation of pytorch is still there (the last one was {OLD})"),
        (conda([OLD, None], [OLD], None), "pytorch has no generation that is current"),
        ({}, "pytorch has no generation that is current"),
    ],
)
def test_where_there_is_none_it_is_said_why(observed: dict[str, Any], why: str) -> None:
    assert former_of(observed, "pytorch") == (None, why)


def fails(check: str = "train.mnist", value: Any = 0.5) -> dict[str, Any]:
    return findings.failed(BY_NAME[check], SUBJECT, value, "it is too low", "look", evidence=["loss 2.3"])


def passes(check: str = "train.mnist", value: Any = 0.98) -> dict[str, Any]:
    return findings.passed(BY_NAME[check], SUBJECT, value)


def after(one: dict[str, Any], other: dict[str, Any], key: str | None = None, **result: Any) -> dict[str, Any]:
    former = {(key or one["check"], SUBJECT): ({"generation": OLD, **result}, other)}
    (found,) = told([one], former, {})
    return found


def test_what_fails_in_the_current_generation_alone_follows_the_software() -> None:
    found = after(fails(), passes())
    assert found["reason"] == f"it is too low; the former generation {OLD} passes here: {SOFTWARE}"
    assert found["evidence"] == ["loss 2.3", f"former generation {OLD}: PASS, 0.98 of the test images"]


def test_what_fails_in_both_follows_the_node() -> None:
    assert after(fails(), fails())["reason"] == f"it is too low; the former generation {OLD} fails too: {HARDWARE}"


@pytest.mark.parametrize("verdict", ["ERROR", "SKIP"])
def test_a_former_generation_that_could_not_run_tells_nothing(verdict: str) -> None:
    make = findings.unknown if verdict == "ERROR" else findings.skipped
    found = after(fails(), make(BY_NAME["train.mnist"], SUBJECT, "no GPU is free", "later"))
    assert found["reason"].endswith(f"the former generation {OLD} could not tell ({verdict}: no GPU is free)")
    assert SOFTWARE not in found["reason"]
    assert HARDWARE not in found["reason"]


@pytest.mark.parametrize(("former", "words"), [(9000.0, SOFTWARE), (3050.0, HARDWARE), (2000.0, HARDWARE)])
def test_a_slow_training_is_held_against_the_former_generations_speed(former: float, words: str) -> None:
    found = after(fails("train.speed", 3000.0), passes("train.speed", former))
    assert found["reason"].endswith(words)


@pytest.mark.parametrize(("loss", "words"), [(0.6, HARDWARE), (0.25, SOFTWARE)])
def test_an_odd_curve_is_held_against_the_former_generations_losses(loss: float, words: str) -> None:
    curve = findings.failed(BY_NAME["train.curve"], SUBJECT, 0.6, "it leaves the band", "look")
    found = after(curve, passes(), "train.mnist", epochs=[{"loss": 0.9}, {"loss": loss}])
    assert found["reason"].endswith(words)


def test_a_node_without_a_former_generation_says_so() -> None:
    (found,) = told([fails()], {}, {"pytorch": "pytorch has no former generation"})
    assert found["reason"] == "it is too low; not run again: pytorch has no former generation"
    assert found["evidence"][-1] == "not run again: pytorch has no former generation"
    (found,) = told([passes()], {}, {"pytorch": "pytorch has no former generation"})
    assert (found["reason"], len(found["evidence"])) == (None, 1)


def test_other_findings_are_left_alone() -> None:
    disk = findings.passed(BY_NAME["speed.disk"], "node", 1.0)
    assert told([disk, fails()], {}, {"jax": "none"}) == [disk, fails()]
