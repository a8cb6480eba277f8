# SPDX-License-Identifier: Apache-2.0
"""Which validation jobs are to run, and what an outcome means. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

SCHEMA_VERSION = 1
FRAMEWORKS = ("keras", "tensorflow", "torch")
PASS, FAIL, ERROR, SKIP = "PASS", "FAIL", "ERROR", "SKIP"


def scripts_for(framework: str, scripts: Mapping[str, str]) -> Dict[str, str]:
    """Those scripts that a framework's job consists of: its own, and what all share."""
    own = "train_%s.py" % framework
    return {name: text for name, text in scripts.items() if name == own or not name.startswith("train_")}


def job_digest(
    framework: str, scripts: Mapping[str, str], data: Sequence[Mapping[str, Any]], schedule: Mapping[str, Any]
) -> str:
    """What a job's result depends on beside the generation: 64 hexadecimal digits.

    `data` are {name, sha256}; where they come from does not matter. `schedule` is {epochs, batch_size, seed,
    least_accuracy}.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "framework": framework,
        "scripts": sorted(scripts_for(framework, scripts).items()),
        "data": sorted((entry["name"], entry["sha256"].lower()) for entry in data),
        "schedule": {key: schedule[key] for key in ("epochs", "batch_size", "seed", "least_accuracy")},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()


def needs_validation(
    validations: Mapping[str, Any], environment: str, generation: Optional[str], framework: str, digest: str
) -> Optional[str]:
    """Why a job has to run, or None where its stored result still proves the current generation.

    `validations` are the stored results, {ENVIRONMENT: {FRAMEWORK: result}}; `generation` is the name of the
    current one, None where there is none yet or it is about to change.
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
    if stored.get("verdict") != PASS:
        return "the last verdict was %s" % stored.get("verdict")
    return None


def judge(outcome: Mapping[str, Any], least_accuracy: float) -> Tuple[str, Optional[str], Optional[str]]:
    """(verdict, reason, next step) of what a training script wrote; the last two are None for PASS."""
    kind = outcome.get("kind")
    if kind == "done":
        accuracy = outcome["test_accuracy"]
        if accuracy >= least_accuracy:
            return PASS, None, None
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
            "compare the node's driver and the environment's target with what the framework needs",
        )
    return ERROR, reason, "read the job's log on the node"


def complaint(result: Optional[Mapping[str, Any]]) -> Optional[str]:
    """What a run that ends in failure says of this result, in one line; None where it is no reason to fail."""
    if not result or result.get("verdict") not in (FAIL, ERROR):
        return None
    return "%s with %s: %s: %s. Next: %s." % (
        result["environment"],
        result["framework"],
        result["verdict"],
        str(result["reason"]).rstrip("."),
        str(result["next_step"]).rstrip("."),
    )
