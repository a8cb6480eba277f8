# SPDX-License-Identifier: Apache-2.0
"""The smoke test of a generation as a validation job: seconds, and no GPU that a job uses."""

from __future__ import annotations

import os
import pwd
from typing import Any, Dict, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import files, validation_gpu
from ansible_collections.condafleet.core.plugins.module_utils.smoke_judged import FAIL, SKIP, SmokeError
from ansible_collections.condafleet.core.plugins.module_utils.smoke_test import run_program

BY_HAND = (
    "activate the environment on the node and do the same by hand; "
    "`condafleet status --full` tells whether its files are what they were"
)


def for_cuda(prefix: str) -> bool:
    """Whether a generation was made for CUDA, by its receipt: a build for the CPU in it is then a fault."""
    receipt = files.read_json(os.path.join(prefix, ".condafleet.json"), {})
    return isinstance(receipt, dict) and "cuda" in str(receipt.get("target") or "")


def smoke(
    prefix: str,
    framework: str,
    variables: Mapping[str, str],
    scratch: str,
    timeout: float,
    nice: int = 0,
    owner: Optional[pwd.struct_passwd] = None,
) -> Dict[str, Any]:
    """What came of it, in the form that a job's script leaves: {kind, reason, next_step, figures, versions, device}."""
    try:
        record = run_program(
            prefix,
            framework,
            variables,
            for_cuda(prefix),
            timeout,
            scratch,
            observe=validation_gpu.observe,
            nice=nice,
            owner=owner,
        )
    except SmokeError as error:
        kind = "unfit" if error.verdict == FAIL else "error"
        return {"kind": kind, "reason": error.message, "next_step": BY_HAND}
    gpu = record.get("gpu") or {}
    outcome = {
        "figures": record,
        "versions": {"framework": record.get("version")},
        "device": {"kind": "cuda" if record.get("seen") else "cpu", "name": record.get("device")},
    }
    # A build for GPUs that are all in use is tested on the CPU only: that is said, and proves half of it.
    if gpu.get("state") == SKIP:
        return {**outcome, "kind": "refused", "reason": "on the CPU it works; %s" % gpu.get("why")}
    return {**outcome, "kind": "done"}
