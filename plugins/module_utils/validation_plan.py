# SPDX-License-Identifier: Apache-2.0
"""Which validation jobs are to run, and what an outcome means. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Asked
from ansible_collections.condafleet.core.plugins.module_utils.findings import ERROR, FAIL, PASS, SKIP
from ansible_collections.condafleet.core.plugins.module_utils.smoke_programs import FRAMEWORKS as PROGRAMS

SCHEMA_VERSION = 1
FRAMEWORKS = ("jax", "keras", "keras-jax", "keras-tensorflow", "keras-torch", "tensorflow", "torch")
# What a job does with a framework, each with the check that it is judged as.
TRAIN, SMOKE, TRANSFORMER, SERVE = "train", "smoke", "transformer", "serve"
CHECK_OF = {TRAIN: "train.mnist", SMOKE: "env.smoke", TRANSFORMER: "train.transformer", SERVE: "serve.export"}
KINDS = tuple(CHECK_OF)
# What of the schedule a job depends on, and whether it reads MNIST.
SCHEDULE = {
    TRAIN: ("epochs", "batch_size", "seed", "least_accuracy"),
    SMOKE: (),
    TRANSFORMER: ("seed",),
    SERVE: ("batch_size", "seed"),
}
READS_MNIST = (TRAIN, SERVE)
_IMPORTS = re.compile(r"^\s*(?:from|import) (\w+)", re.MULTILINE)


def kinds_of(asked: Mapping[str, Asked]) -> List[str]:
    """Which kinds of job the checks ask for (`check_limits.asked`). A training proves all that a smoke test does."""
    found = [kind for kind in KINDS if CHECK_OF[kind] in asked]
    return [kind for kind in found if kind != SMOKE or TRAIN not in found]


def limit_of(kind: str) -> str:
    """Which variable holds a job's time limit."""
    return "validation_timeout" if kind == TRAIN else "validation_checks.%s.timeout" % CHECK_OF[kind]


def script_of(kind: str, framework: str) -> str:
    """The file that a job begins with; Keras' backends share theirs."""
    return "%s_%s.py" % (kind, framework.partition("-")[0])


def backend_of(framework: str) -> Dict[str, str]:
    """The variable that chooses a Keras backend, where the framework names one."""
    name, _dash, backend = framework.partition("-")
    return {"KERAS_BACKEND": backend} if name == "keras" and backend else {}


def scripts_for(kind: str, framework: str, scripts: Mapping[str, str]) -> Dict[str, str]:
    """Those scripts that a job consists of: the one it begins with, and what that and these import of the others."""
    found: Dict[str, str] = {}
    to_read = [script_of(kind, framework)]
    while to_read:
        name = to_read.pop()
        if name in scripts and name not in found:
            found[name] = scripts[name]
            to_read += [module + ".py" for module in _IMPORTS.findall(scripts[name])]
    return found


def job_digest(
    framework: str,
    scripts: Mapping[str, str],
    data: Sequence[Mapping[str, Any]],
    schedule: Mapping[str, Any],
    kind: str = TRAIN,
) -> str:
    """What a job's result depends on beside the generation: 64 hexadecimal digits.

    `data` are {name, sha256}; where they come from does not matter. `schedule` is {epochs, batch_size, seed,
    least_accuracy}.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "framework": framework,
        "kind": kind,
        "scripts": sorted(scripts_for(kind, framework, scripts).items()),
        "programs": PROGRAMS[framework] if kind == SMOKE else [],
        "data": sorted((entry["name"], entry["sha256"].lower()) for entry in data) if kind in READS_MNIST else [],
        "schedule": {key: schedule[key] for key in SCHEDULE[kind]},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()


def needs_validation(
    validations: Mapping[str, Any],
    environment: str,
    generation: Optional[str],
    framework: str,
    digest: str,
    driver: Optional[str] = None,
) -> Optional[str]:
    """Why a job has to run, or None where its stored result still proves the current generation.

    `validations` are the stored results of its kind, {ENVIRONMENT: {FRAMEWORK: result}}; `generation` is the name of
    the current one, None where there is none yet or it is about to change; `driver` the version of the node's GPU
    driver, None where it has none.
    """
    stored = (validations.get(environment) or {}).get(framework)
    if not isinstance(stored, Mapping):
        return "never validated"
    if generation is None:
        return "the environment changes"
    if stored.get("generation") != generation:
        return "validated for %s, current is %s" % (stored.get("generation"), generation)
    if stored.get("job_digest") != digest:
        return "the job changed (scripts, data or schedule)"
    if stored.get("driver", driver) != driver:
        # With another driver, or the first one, the GPUs were used otherwise or not at all.
        return "validated with GPU driver %s, the node has %s" % (stored["driver"] or "none", driver or "none")
    if stored.get("verdict") != PASS:
        return "the last verdict was %s" % stored.get("verdict")
    return None


def judge(outcome: Mapping[str, Any], least_accuracy: Optional[float]) -> Tuple[str, Optional[str], Optional[str]]:
    """(verdict, reason, next step) of what a job's script wrote; the last two are None for PASS.

    Only a training has a `least_accuracy`: what else a job has to reach, its script has judged.
    """
    kind = outcome.get("kind")
    if kind == "done":
        accuracy = outcome.get("test_accuracy")
        if least_accuracy is None or (accuracy is not None and accuracy >= least_accuracy):
            return PASS, None, None
        if accuracy is None:
            return ERROR, "the training left no accuracy", "read the job's log on the node"
        return (
            FAIL,
            "test accuracy is %.4f, below %s (validation_least_accuracy)" % (accuracy, least_accuracy),
            "compare the losses per epoch with another node's: equal losses mean a limit too high for this schedule, "
            "others mean that this node or environment reckons wrongly",
        )
    reason = str(outcome.get("reason") or "the training script left no outcome")
    if kind == "refused":
        return SKIP, reason, "validate again when the GPU is free"
    if kind == "unfit":
        return (
            FAIL,
            reason,
            outcome.get("next_step")
            or "compare the node's driver and the environment's target with what the framework needs",
        )
    return ERROR, reason, "read the job's log on the node"


def complaint(result: Optional[Mapping[str, Any]]) -> Optional[str]:
    """What a run that ends in failure says of this result, in one line; None where it is no reason to fail."""
    if not result or result.get("verdict") not in (FAIL, ERROR):
        return None
    kind = result.get("kind") or TRAIN
    return "%s with %s%s: %s: %s. Next: %s." % (
        result["environment"],
        result["framework"],
        "" if kind == TRAIN else " (%s)" % kind,
        result["verdict"],
        str(result["reason"]).rstrip("."),
        str(result["next_step"]).rstrip("."),
    )
