# SPDX-License-Identifier: Apache-2.0
"""Whether what a node was found to be at its last validation still counts. Pure.

`checked` is what conda_facts returns of ROOT/validation/node.json: {level, run, ended, digest, verdict, driver, gpus},
or None.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, List, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import CHECKS, LEVELS
from ansible_collections.condafleet.core.plugins.module_utils.findings import ERROR, FAIL

TRAININGS = ("train.mnist", "train.curve", "train.speed")
# What of the declaration decides how a node is judged.
JUDGED_BY = ("checks", "mounts", "xid_hours", "deviations", "gap_percent")


def checks_digest(declared: Mapping[str, Any]) -> str:
    """What a verdict on a node depends on beside the node and the level: 64 hexadecimal digits.

    `declared` is what declare_checks.py resolved. The level is compared by itself: who passed level full, passed
    standard.
    """
    versions = {check.name: check.version for check in CHECKS}
    content = {"versions": versions, **{key: declared[key] for key in JUDGED_BY}}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()


def needs_checks(
    checked: Optional[Mapping[str, Any]], level: str, digest: str, node: Optional[Mapping[str, Any]] = None
) -> Optional[str]:
    """Why a node is to be looked at again, or None where its last validation still counts.

    `node` is what conda_facts says of it today: {driver, gpus: [{uuid}]}, each null where it is not told.
    """
    if not checked:
        return "never checked"
    if checked.get("level") not in LEVELS or LEVELS.index(checked["level"]) < LEVELS.index(level):
        return "checked at level %s, declared is %s" % (checked.get("level"), level)
    if checked.get("digest") != digest:
        return "the checks changed (limits or versions)"
    if checked.get("verdict") in (FAIL, ERROR):
        return "the last verdict was %s" % checked["verdict"]
    return _other_parts(checked, node or {})


def _other_parts(checked: Mapping[str, Any], node: Mapping[str, Any]) -> Optional[str]:
    """A container may list all GPUs of its host: so those that were looked at have to be there, and others may be."""
    driver = node.get("driver")
    if driver and checked.get("driver") and driver != checked["driver"]:
        return "checked with the driver %s, loaded is %s" % (checked["driver"], driver)
    there = {gpu.get("uuid") for gpu in node.get("gpus") or []}
    gone = [uuid for uuid in checked.get("gpus") or [] if uuid and uuid not in there]
    if there and None not in there and gone:
        return "checked with other GPUs (%s)" % ", ".join(sorted(gone)[:3])
    return None


def condemned(record: Any, environment: str, framework: str) -> Optional[str]:
    """Why a training is done again though its own verdict was PASS: its figures were no good to the site or the fleet.

    `record` is ROOT/validation/node.json. Without this a node would be held to what it did before it was mended.
    """
    found: List[Any] = record.get("findings") or [] if isinstance(record, Mapping) else []
    bad = [
        str(one["check"])
        for one in found
        if one.get("check") in TRAININGS
        and one.get("subject") == "%s/%s" % (environment, framework)
        and one.get("verdict") in (FAIL, ERROR)
    ]
    return "the last verdict on %s was bad" % " and ".join(bad) if bad else None
