"""What is to run, and what an outcome means."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.validation_plan import (
    FRAMEWORKS,
    KINDS,
    backend_of,
    complaint,
    job_digest,
    judge,
    needs_validation,
    script_of,
    scripts_for,
)
from ansible_collections.condafleet.core.plugins.module_utils.validation_scripts import read_scripts

SCRIPTS = {
    "node_job.py": "deep",
    "mnist_job.py": "import os\nfrom node_job import Job",
    "keras_job.py": "k",
    "train_torch.py": "import mnist_job",
    "train_keras.py": "import keras_job",
}
DATA = [{"name": "a", "sha256": "A" * 64, "url": "file:///x"}, {"name": "b", "sha256": "b" * 64, "url": "file:///y"}]
SCHEDULE = {"epochs": 5, "batch_size": 32, "seed": 0, "least_accuracy": 0.97}
STORED = {"generation": "pytorch-0123-1", "job_digest": "d", "verdict": "PASS"}


def digest(framework: str = "torch", scripts: Any = None, data: Any = None, **changes: Any) -> str:
    return job_digest(framework, scripts or SCRIPTS, data or DATA, {**SCHEDULE, **changes})


def test_digest_ignores_order_places_and_the_case_of_hashes() -> None:
    moved = [{"name": e["name"], "sha256": e["sha256"].swapcase(), "url": "http://elsewhere/"} for e in reversed(DATA)]
    assert digest(data=moved) == digest()


def test_digest_ignores_another_frameworks_script() -> None:
    assert digest(scripts={**SCRIPTS, "train_keras.py": "changed"}) == digest()


@pytest.mark.parametrize(
    "changes",
    [
        {"framework": "keras"},
        {"scripts": {**SCRIPTS, "train_torch.py": "changed"}},
        {"scripts": {**SCRIPTS, "mnist_job.py": "changed"}},
        {"scripts": {**SCRIPTS, "node_job.py": "changed"}},
        {"data": [{**DATA[0], "sha256": "c" * 64}, DATA[1]]},
        {"epochs": 6},
        {"seed": 1},
        {"least_accuracy": 0.98},
    ],
    ids=str,
)
def test_digest_follows_what_a_result_depends_on(changes: dict[str, Any]) -> None:
    assert digest(**changes) != digest()


@pytest.mark.parametrize(
    ("kind", "follows"),
    [
        ("train", {"epochs", "seed", "least_accuracy", "data"}),
        ("smoke", set()),
        ("transformer", {"seed"}),
        ("serve", {"seed", "data"}),
    ],
)
def test_digest_of_a_kind_follows_what_it_reads(kind: str, follows: set[str]) -> None:
    def of(data: Any = DATA, **changes: Any) -> str:
        return job_digest("torch", SCRIPTS, data, {**SCHEDULE, **changes}, kind)

    others = {
        "epochs": of(epochs=6),
        "seed": of(seed=1),
        "least_accuracy": of(least_accuracy=0.98),
        "data": of(data=[{**DATA[0], "sha256": "c" * 64}, DATA[1]]),
    }
    assert {what for what, other in others.items() if other != of()} == follows


def test_kinds_have_digests_of_their_own() -> None:
    assert len({job_digest("torch", SCRIPTS, DATA, SCHEDULE, kind) for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("kind", ["train", "transformer", "serve"])
def test_every_framework_has_its_scripts_and_no_others(kind: str, framework: str) -> None:
    scripts = scripts_for(kind, framework, read_scripts())
    assert {script_of(kind, framework), "node_job.py"} <= set(scripts)
    assert not [name for name in scripts if name.startswith(("speed_", "collective_"))]


def test_keras_backends_are_chosen_by_name() -> None:
    assert backend_of("keras-jax") == {"KERAS_BACKEND": "jax"}
    assert backend_of("keras") == backend_of("torch") == {}
    assert script_of("train", "keras-tensorflow") == "train_keras.py"


def test_a_stored_pass_of_the_current_generation_holds() -> None:
    assert needs_validation({"pytorch": {"torch": STORED}}, "pytorch", "pytorch-0123-1", "torch", "d") is None


@pytest.mark.parametrize(
    ("validations", "generation", "why"),
    [
        ({}, "pytorch-0123-1", "never validated"),
        ({"pytorch": {"keras": STORED}}, "pytorch-0123-1", "never validated"),
        ({"pytorch": {"torch": "damaged"}}, "pytorch-0123-1", "never validated"),
        ({"pytorch": {"torch": STORED}}, None, "the environment changes"),
        (
            {"pytorch": {"torch": STORED}},
            "pytorch-0123-2",
            "validated for pytorch-0123-1, current is pytorch-0123-2",
        ),
        ({"pytorch": {"torch": {**STORED, "job_digest": "old"}}}, "pytorch-0123-1", "the job changed"),
        ({"pytorch": {"torch": {**STORED, "verdict": "FAIL"}}}, "pytorch-0123-1", "the last verdict was FAIL"),
        ({"pytorch": {"torch": {**STORED, "verdict": "SKIP"}}}, "pytorch-0123-1", "the last verdict was SKIP"),
    ],
)
def test_why_a_job_is_to_run(validations: Any, generation: str | None, why: str) -> None:
    found = needs_validation(validations, "pytorch", generation, "torch", "d")
    assert found is not None and found.startswith(why)


@pytest.mark.parametrize(
    ("outcome", "verdict", "text"),
    [
        ({"kind": "done", "test_accuracy": 0.97}, "PASS", None),
        ({"kind": "done", "test_accuracy": 0.9699}, "FAIL", "test accuracy is 0.9699, below 0.97"),
        ({"kind": "unfit", "reason": "sees no GPU"}, "FAIL", "sees no GPU"),
        ({"kind": "done"}, "ERROR", "left no accuracy"),
        ({"kind": "error", "reason": "ImportError: x"}, "ERROR", "ImportError: x"),
        ({"kind": "refused", "reason": "all 8 GPU(s) are in use"}, "SKIP", "in use"),
        ({}, "ERROR", "left no outcome"),
        ({"kind": "a word of the future"}, "ERROR", "left no outcome"),
    ],
)
def test_verdicts(outcome: dict[str, Any], verdict: str, text: str | None) -> None:
    found, reason, next_step = judge(outcome, 0.97)
    assert found == verdict
    if text is None:
        assert (reason, next_step) == (None, None)
    else:
        assert reason is not None and text in reason
        assert next_step


def test_what_is_no_training_was_judged_by_its_script() -> None:
    assert judge({"kind": "done"}, None) == ("PASS", None, None)


def test_only_fail_and_error_are_complaints() -> None:
    result = {"environment": "e", "framework": "torch", "reason": "it is slow.", "next_step": "look"}
    assert complaint({**result, "verdict": "ERROR"}) == "e with torch: ERROR: it is slow. Next: look."
    assert complaint({**result, "verdict": "FAIL"}) is not None
    serving = complaint({**result, "kind": "serve", "verdict": "FAIL"})
    assert serving == "e with torch (serve): FAIL: it is slow. Next: look."
    assert complaint({**result, "verdict": "SKIP"}) is None
    assert complaint({**result, "verdict": "PASS"}) is None
    assert complaint(None) is None
