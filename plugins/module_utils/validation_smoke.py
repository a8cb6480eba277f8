# SPDX-License-Identifier: Apache-2.0
"""The smoke test of a generation as a validation job: seconds, and no GPU that a job uses."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.smoke_test import smoke_test


def smoke(prefix: str, framework: str, variables: Mapping[str, str], scratch: str, timeout: int) -> Dict[str, Any]:
    """What came of it, in the form that a job's script leaves: {kind, reason, next_step, figures, versions}."""
    receipt = files.read_json(os.path.join(prefix, ".condafleet.json"), {})
    target = str(receipt.get("target") or "") if isinstance(receipt, dict) else ""
    try:
        found = smoke_test(
            prefix,
            conda=None,
            frameworks=[framework],
            variables=variables,
            cuda="cuda" in target,
            scratch=scratch,
            timeout=timeout,
        )
    except FleetError as error:
        return {
            "kind": "unfit",
            "reason": error.message,
            "next_step": "activate the environment on the node and do the same by hand; "
            "`condafleet status --full` tells whether its files are what they were",
        }
    record = found.get(framework) or {}
    # A build for GPUs whose GPUs are all in use is only half tested: that is said, and is no PASS.
    if record.get("skipped"):
        return {"kind": "refused", "reason": str(record["skipped"]), "figures": record}
    return {"kind": "done", "figures": record, "versions": {"framework": record.get("version")}}
