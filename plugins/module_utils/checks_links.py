# SPDX-License-Identifier: Apache-2.0
"""The links of GPUs, to each other and to their node, held against the limits: findings. Pure."""

from __future__ import annotations

import re
from typing import Any, Dict, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import findings
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Asked
from ansible_collections.condafleet.core.plugins.module_utils.gpu_probe import NOT_SUPPORTED

Finding = Dict[str, Any]
# In NVML's words: the driver's library does not have what is asked for.
TOO_OLD = "Function Not Found"

# Models whose NVLinks go to a bridge that is bought apart: without one all of their links are down, and that is right.
BRIDGED = re.compile(r"PCIe|\bNVL\b|\bA30\b|\bA40\b|RTX|Quadro|TITAN|GeForce", re.IGNORECASE)
NO_BRIDGE = "none of its NVLinks is up: it has no NVLink bridge, or one that failed as a whole"
BRIDGE_STEP = "nothing without a bridge; with one, declare it: validation_checks: {gpu.nvlink: {equal: 12 of 12 links}}"
# One GPU of a board that a virtual machine was given, or a GH200 by itself: there is nobody to link it to.
ALONE = "none of its NVLinks is up, and it is the only GPU here"
ALONE_STEP = "nothing, if so meant; else declare them: validation_checks: {gpu.nvlink: {equal: 18 of 18 links}}"
NVLINK_STEP = "reseat or replace the GPU or its NVLink bridge; on NVSwitch systems look at nv-fabricmanager"
# What nvidia-smi says of a GPU in place of its links.
ALL_DOWN = "all links are inactive"
# Performance states in which the PCIe link runs at its full generation; idle GPUs let it fall to save power.
AWAKE = (0, 1, 2)


def missing_field(gpu: Mapping[str, Any], field: str, one: Asked, subject: str) -> Optional[Finding]:
    """What to say of a field that is null: not supported is SKIP, all else ERROR. None where the field is there."""
    if gpu.get(field) is not None:
        return None
    errors = gpu.get("errors") or {}
    # Of a GPU that could not be got hold of, only that is known.
    why = str(errors.get(field) or errors.get("handle") or "NVML did not say")
    if any(words in why for words in (NOT_SUPPORTED, TOO_OLD)):
        return findings.skipped(one.check, subject, "this GPU or its driver does not support it", "nothing")
    return findings.unknown(one.check, subject, why, "run nvidia-smi -q on the node")


def nvlink(gpu: Mapping[str, Any], one: Asked, subject: str) -> Finding:
    why = str((gpu.get("errors") or {}).get("nvlinks"))
    if gpu.get("nvlinks") is None and ALL_DOWN in why.lower():
        step = NVLINK_STEP
        return _unlinked(gpu, one, subject) or findings.failed(one.check, subject, None, why, step, one.limit)
    missing = missing_field(gpu, "nvlinks", one, subject)
    if missing:
        return missing
    links = gpu["nvlinks"]
    if not links and not one.limit:
        return findings.skipped(one.check, subject, "it has no NVLink", "nothing")
    down = [link["link"] for link in links if not link["active"]]
    errors = {link["link"]: {k: v for k, v in link["errors"].items() if v} for link in links}
    errors = {link: counts for link, counts in errors.items() if counts}
    value = "%d of %d links" % (len(links) - len(down), len(links))
    unlinked = _unlinked(gpu, one, subject) if len(down) == len(links) else None
    if unlinked:
        return unlinked
    said = one.limit.complaint(value, "") if one.limit else None
    if said:
        return findings.failed(one.check, subject, value, said, NVLINK_STEP, one.limit)
    if down and not one.limit:
        said = "link %s down" % ", ".join(str(link) for link in down)
        return findings.failed(one.check, subject, value, said, NVLINK_STEP)
    if errors:
        said = "; ".join(
            "link %d: %s" % (link, ", ".join("%s %d" % item for item in sorted(counts.items())))
            for link, counts in sorted(errors.items())
        )
        return findings.failed(one.check, subject, value, "errors were counted: %s" % said, NVLINK_STEP)
    counted = any(link["errors"] for link in links)
    evidence = [] if counted else ["errors were not judged: this generation of NVLink counts them otherwise"]
    return findings.passed(one.check, subject, value, one.limit, evidence=evidence)


def _unlinked(gpu: Mapping[str, Any], one: Asked, subject: str) -> Optional[Finding]:
    """SKIP where it may be right that no link is up; None where it is not, or the site has said what it wants."""
    if one.limit:
        return None
    if BRIDGED.search(str(gpu.get("name"))):
        return findings.skipped(one.check, subject, NO_BRIDGE, BRIDGE_STEP)
    return findings.skipped(one.check, subject, ALONE, ALONE_STEP) if gpu.get("alone") else None


def pcie(gpu: Mapping[str, Any], one: Asked, subject: str) -> Finding:
    missing = missing_field(gpu, "pcie", one, subject)
    if missing:
        return missing
    link = gpu["pcie"]
    if not link["width_most"] and not one.limit:
        # As of parts of a GPU, and of GPUs that have no PCIe link of their own.
        return findings.skipped(one.check, subject, "the driver tells of no PCIe link", "nothing")
    value = "x%d gen%d" % (link["width"], link["generation_most"])
    awake = gpu.get("pstate") in AWAKE
    evidence = [
        "now x%d gen%d, at most x%d gen%d, P%s, %s replays"
        % (
            link["width"],
            link["generation"],
            link["width_most"],
            link["generation_most"],
            gpu.get("pstate"),
            "unknown" if gpu.get("replays") is None else gpu["replays"],
        )
    ]
    # Some clouds give sound GPUs half of their lanes, and nothing on the node tells that from a bad slot.
    step = "reseat the GPU or its riser, and look at the slot's settings in the firmware; where the slot has no more, "
    step += "declare it: validation_checks: {gpu.pcie: {equal: %s}}" % value
    said = one.limit.complaint(value, "") if one.limit else None
    if one.limit:
        # The site's word, such as x8 where a cloud gives no more.
        pass
    elif link["width"] < link["width_most"]:
        said = "the link is x%d, and could be x%d" % (link["width"], link["width_most"])
    elif awake and link["generation"] < link["generation_most"]:
        # Asleep it would be right to save power.
        said = "the link is generation %d in performance state P%d, and could be %d" % (
            *(link["generation"], gpu["pstate"], link["generation_most"]),
        )
    if said:
        return findings.failed(one.check, subject, value, said, step, one.limit, evidence=evidence)
    if not awake:
        evidence.append("idle: its generation was not judged (speed.h2d shows it)")
    return findings.passed(one.check, subject, value, one.limit, evidence=evidence)
