# SPDX-License-Identifier: Apache-2.0
"""What the result of a validation job (validation_run.py) says as findings of the catalog's checks. Pure."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import findings
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Asked, Limit
from ansible_collections.condafleet.core.plugins.module_utils.figures import short
from ansible_collections.condafleet.core.plugins.module_utils.findings import ERROR, FAIL, PASS, SKIP
from ansible_collections.condafleet.core.plugins.module_utils.validation_plan import CHECK_OF, SMOKE, TRAIN

Finding = Dict[str, Any]
SPEED = "train.speed"
NEXT = {
    ERROR: "read the job's log on the node",
    FAIL: "read the job's log on the node",
    SKIP: "validate again when the GPU is free",
}


def findings_of(result: Optional[Mapping[str, Any]], asked: Mapping[str, Asked]) -> List[Finding]:
    """One finding for the job's own check and, for a training, one for its speed and one for the smoke test that it
    makes needless; none for what is not asked.

    `result` is what the job has stored, None where there is none. `asked` are the checks as `check_limits.asked` has
    them.
    """
    if not isinstance(result, Mapping):
        return []
    kind = str(result.get("kind") or TRAIN)
    found = []
    check = asked.get(CHECK_OF.get(kind, ""))
    if check:
        found.append(_own(result, check, kind))
    # Without a training there is a job for it (validation_plan.kinds_of).
    if kind == TRAIN and check and CHECK_OF[SMOKE] in asked:
        found.append(_smoke(result, asked[CHECK_OF[SMOKE]]))
    if kind == TRAIN and SPEED in asked:
        found.append(_speed(result, asked[SPEED]))
    return found


def subject_of(result: Mapping[str, Any]) -> str:
    return "%s/%s" % (result.get("environment"), result.get("framework"))


def _own(result: Mapping[str, Any], asked: Asked, kind: str) -> Finding:
    """The job's verdict, and that of the site's own limit, where the value has one."""
    verdict, subject = result.get("verdict"), subject_of(result)
    value = result.get("test_accuracy") if kind == TRAIN else None
    limit = _least_accuracy(result, asked) if kind == TRAIN else asked.limit
    more: Dict[str, Any] = {"evidence": _evidence(result, kind), "seconds": result.get("seconds")}
    reason = str(result.get("reason") or "the job left no reason")
    next_step = str(result.get("next_step") or NEXT.get(str(verdict), NEXT[ERROR]))
    if verdict == PASS:
        complaint = limit.complaint(value, asked.check.unit) if limit and value is not None else None
        if complaint:
            return findings.failed(
                asked.check, subject, value, complaint, "compare its losses with another node's", limit, **more
            )
        return findings.passed(asked.check, subject, value, limit, **more)
    if verdict == FAIL:
        return findings.failed(asked.check, subject, value, reason, next_step, limit, **more)
    if verdict == SKIP:
        return findings.skipped(asked.check, subject, reason, next_step, value=value, **more)
    return findings.unknown(asked.check, subject, reason, next_step, value=value, **more)


def _smoke(result: Mapping[str, Any], asked: Asked) -> Finding:
    """A training that passed has imported, used the device that is there, held the network's answers to numpy's
    (mnist_job.py) and taken more steps than one."""
    subject = subject_of(result)
    if result.get("verdict") != PASS:
        why = "it is part of the training, which came to %s" % result.get("verdict")
        return findings.skipped(asked.check, subject, why, "see train.mnist")
    shows = "the training shows it: test accuracy %s, by numpy from its weights %s" % (
        result.get("test_accuracy"), result.get("recomputed_accuracy"),
    )  # fmt: skip
    return findings.passed(asked.check, subject, None, asked.limit, evidence=[shows, *_evidence(result, SMOKE)])


def _least_accuracy(result: Mapping[str, Any], asked: Asked) -> Optional[Limit]:
    """The site's own word in `validation_checks`, else what the job was given."""
    if asked.limit and asked.limit.source == "validation_checks":
        return asked.limit
    least = result.get("least_accuracy")
    return Limit(least=least, source="validation_least_accuracy") if least is not None else asked.limit


def _speed(result: Mapping[str, Any], asked: Asked) -> Finding:
    subject, speed = subject_of(result), result.get("images_per_second")
    if speed is None:
        why = "the training of %s came to no end (%s)" % (subject, result.get("verdict"))
        return findings.skipped(asked.check, subject, why, "see train.mnist")
    threads = result.get("threads")
    quota = "" if result.get("cpu_quota") is None else ", the cgroup allows %g CPUs" % result["cpu_quota"]
    evidence = [
        "%s, on %s with %s thread(s)%s; trained %s"
        % (result.get("images_per_second_of"), _device(result), threads, quota, result.get("started") or "before"),
        *["epoch %s: %s images/s" % (one.get("epoch"), one.get("images_per_second")) for one in _epochs(result)],
    ]
    return findings.judged(
        asked.check, subject, speed, asked.limit, "look at the node's load, clocks and CPU quota", evidence=evidence
    )


def _evidence(result: Mapping[str, Any], kind: str) -> List[str]:
    """What shows the verdict: where it ran, and the figures."""
    versions = result.get("versions") or {}
    said = ", ".join("%s %s" % (name, version) for name, version in sorted(versions.items()) if version)
    # A stored result that still holds may be old.
    when = ", at %s" % result["ended"] if result.get("ended") else ""
    place = "generation %s on %s%s" % (result.get("generation"), _device(result), when)
    lines = [place + (": " + said if said else "")]
    for one in _epochs(result) if kind == TRAIN else []:
        lines.append("epoch %s: loss %s, accuracy %s" % (one.get("epoch"), one.get("loss"), one.get("accuracy")))
    figures = result.get("figures")
    if isinstance(figures, Mapping):
        lines += ["%s: %s" % (name, short(value)) for name, value in sorted(figures.items())]
    return lines


def _device(result: Mapping[str, Any]) -> str:
    device = result.get("device") or {}
    return str(device.get("name") or device.get("kind") or "an unknown device")


def _epochs(result: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    return [one for one in result.get("epochs") or [] if isinstance(one, Mapping)]
