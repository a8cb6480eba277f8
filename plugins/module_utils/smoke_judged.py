# SPDX-License-Identifier: Apache-2.0
"""What a smoke test's program printed, held against what it has to be. Pure."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import smoke_programs as programs
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

PASS, FAIL, ERROR, SKIP, NONE = "PASS", "FAIL", "ERROR", "SKIP", "none"


class SmokeError(FleetError):
    """It did not pass. `verdict` is FAIL where it is known to be broken, ERROR where that could not be told."""

    def __init__(self, message: str, verdict: str = FAIL) -> None:
        super().__init__(message)
        self.verdict = verdict


def judge(name: str, record: Optional[Mapping[str, Any]], cuda: bool = False, uuid: Optional[str] = None) -> None:
    """SmokeError where a program's record is not what it has to be.

    `cuda`: whether it has to be a build for CUDA. `uuid` is the GPU that it was given, which such a build has to see.
    """
    if record is None:
        raise SmokeError("smoke test of %s ended without an error and without a result." % name)
    said = complaint(name, record)
    if said:
        raise SmokeError("smoke test of %s: %s." % (name, said))
    if name == "python":
        return
    if cuda and not record.get("cuda"):
        raise SmokeError(
            "smoke test of %s: version %s is a build for the CPU, and the target is one for CUDA. "
            "Next: check the spec's packages and channels, and lock again." % (name, record.get("version"))
        )
    if uuid and record.get("cuda") and not record.get("seen"):
        raise SmokeError(
            "smoke test of %s: version %s is built for CUDA (%s) and %s is free, but it sees no GPU. "
            "Next: compare the node's driver with what the environment's target needs (nvidia-smi; "
            "environments_target), and try it by hand with CUDA_VISIBLE_DEVICES=%s."
            % (name, record.get("version"), record["cuda"], uuid, uuid)
        )


def complaint(name: str, record: Mapping[str, Any]) -> Optional[str]:
    """What was computed wrong, None for nothing."""
    if name == "python":
        result = record.get("result")
        return None if result == programs.RESULT else "it computed %s, not %s" % (result, programs.RESULT)
    wanted = programs.FRAMEWORKS[name][1]
    if wanted and record.get("backend") != wanted:
        return "Keras took the backend %s, not %s" % (record.get("backend"), wanted)
    if record.get("elements") != programs.EDGE**2 or record.get("wrong") != 0:
        return "%s of %s elements of a matrix product are wrong (%d were expected)" % (
            record.get("wrong"), record.get("elements"), programs.EDGE**2,
        )  # fmt: skip
    # Keras hands out no gradient; its step shows it.
    if record.get("gradient") is not None and not close(record["gradient"], programs.GRADIENT):
        return "the gradient is %s, not %s" % (shown(record["gradient"]), shown(programs.GRADIENT))
    if not close(record.get("losses"), programs.LOSSES):
        return "the losses before and after a training step are %s, not %s" % (
            shown(record.get("losses")), shown(programs.LOSSES),
        )  # fmt: skip
    return None


def close(found: Any, expected: Sequence[float]) -> bool:
    """Whether these are the numbers, but for rounding. Also false for what is none."""
    if not isinstance(found, (list, tuple)) or len(found) != len(expected):
        return False
    return all(abs(one - other) <= programs.TOLERANCE for one, other in zip(found, expected))


def shown(values: Any) -> str:
    if not isinstance(values, (list, tuple)):
        return str(values)
    return ", ".join("%.4g" % value for value in values)


def gpu_of(record: Mapping[str, Any], observed: Optional[Mapping[str, Any]]) -> Optional[Dict[str, Any]]:
    """{state: PASS|SKIP|none, why, uuid, name}: whether a GPU was part of it; null where none was asked for.

    `observed` is what validation_gpu.observe() said. SKIP: in use, or perhaps so; those are never taken.
    """
    if observed is None:
        return None
    if not record.get("cuda"):
        return {"state": NONE, "why": "it is a build for the CPU", "uuid": None, "name": None}
    if observed["state"] == "free":
        return {"state": PASS, "why": None, "uuid": observed["uuid"], "name": record.get("device")}
    if observed["state"] == "none":
        return {"state": NONE, "why": "there is no NVIDIA driver here", "uuid": None, "name": None}
    return {"state": SKIP, "why": observed["why"], "uuid": None, "name": None}


def last_record(text: str) -> Optional[Dict[str, Any]]:
    """The last line that is a JSON mapping: frameworks like to print lines of their own."""
    lines: List[str] = [line for line in text.splitlines() if line.startswith("{")]
    try:
        record = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
