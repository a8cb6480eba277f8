# SPDX-License-Identifier: Apache-2.0
"""What a check came to on a subject: one finding, the same keys for all. Pure.

`{check, version, level, scope, subject, verdict, value, unit, limit, evidence, reason, next_step, seconds}`:
`subject` is what was looked at (`node`, a GPU's UUID, `ENV/FRAMEWORK`, names of nodes with `+` between), `limit` is
`{least|most|equal: value, source: text}` or null, `evidence` are lines that show the value, `reason` and `next_step`
are null for PASS.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import mappings
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME, Check
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Limit
from ansible_collections.condafleet.core.plugins.module_utils.figures import is_figure

PASS, FAIL, ERROR, SKIP = "PASS", "FAIL", "ERROR", "SKIP"
# From good to bad: what could not be told is no PASS, and a fault that was seen is worse.
ORDER = (PASS, SKIP, ERROR, FAIL)
# Those of a node that did not prove itself.
BAD = (FAIL, ERROR)
LISTED = "check version level scope subject verdict value unit limit evidence reason next_step seconds"
KEYS = frozenset(LISTED.split())
EVIDENCE_LINES, EVIDENCE_WIDTH = 12, 300
# A tool's own words can go on for pages.
REASON_WIDTH = 1000


def is_finding(value: Any) -> bool:
    """Whether a node's word has the form of a finding, as far as others are judged beside it and programs read it."""
    if not isinstance(value, Mapping) or set(value) != KEYS or BY_NAME.get(str(value["check"])) is None:
        return False
    texts = [value[key] for key in ("check", "subject", "unit", "level", "scope")]
    said = [value[key] for key in ("reason", "next_step")]
    limit, lines, seconds = value["limit"], value["evidence"], value["seconds"]
    return (
        all(isinstance(one, str) for one in texts)
        and value["verdict"] in ORDER
        and isinstance(value["version"], int)
        and all(one is None if value["verdict"] == PASS else isinstance(one, str) and one for one in said)
        and (limit is None or (isinstance(limit, Mapping) and "source" in limit))
        and isinstance(lines, list)
        and all(isinstance(line, str) for line in lines)
        and (seconds is None or is_figure(seconds))
    )


def passed(check: Check, subject: str, value: Any, limit: Optional[Limit] = None, **more: Any) -> Dict[str, Any]:
    return _finding(check, subject, PASS, value=value, limit=limit, **more)


def failed(
    check: Check, subject: str, value: Any, reason: str, next_step: str, limit: Optional[Limit] = None, **more: Any
) -> Dict[str, Any]:
    return _finding(check, subject, FAIL, value=value, limit=limit, reason=reason, next_step=next_step, **more)


def unknown(check: Check, subject: str, reason: str, next_step: str, **more: Any) -> Dict[str, Any]:
    """It could not be told: a tool that is missing or hung, a log that can't be read. Never a PASS."""
    return _finding(check, subject, ERROR, reason=reason, next_step=next_step, **more)


def skipped(check: Check, subject: str, reason: str, next_step: str, **more: Any) -> Dict[str, Any]:
    """It does not apply, or nobody may look now (a job uses the GPU)."""
    return _finding(check, subject, SKIP, reason=reason, next_step=next_step, **more)


def judged(
    check: Check, subject: str, value: float, limit: Optional[Limit], next_step: str, **more: Any
) -> Dict[str, Any]:
    """PASS or FAIL of a value against its limit; without a limit it is on record, for the fleet to judge."""
    complaint = limit.complaint(value, check.unit) if limit else None
    if complaint:
        return failed(check, subject, value, complaint, next_step, limit, **more)
    return passed(check, subject, value, limit, **more)


def worst(verdicts: Iterable[str]) -> Optional[str]:
    """The worst of them, None for none. A word that is no verdict proves nothing, and counts as ERROR."""
    found = list(verdicts)
    return mappings.worst(found, ORDER, ERROR) if found else None


def overall(verdicts: Iterable[str]) -> str:
    """A whole node's, of all its findings: what did not apply to it takes nothing from what it has passed.

    SKIP is left for a node on which nothing was checked.
    """
    found = worst(one for one in verdicts if one != SKIP)
    return found or SKIP


def summary(findings: Sequence[Mapping[str, Any]]) -> Dict[str, int]:
    """How many of each verdict."""
    return {verdict: sum(1 for one in findings if one["verdict"] == verdict) for verdict in ORDER}


def sentence(finding: Mapping[str, Any]) -> str:
    """One line for whoever has to act: what, on what, why, and what next."""
    where = "" if finding["subject"] == "node" else " (%s)" % finding["subject"]
    text = "%s %s%s" % (finding["verdict"], finding["check"], where)
    if finding["reason"]:
        text += ": %s" % str(finding["reason"]).rstrip(".")
    if finding["next_step"]:
        text += ". Next: %s." % str(finding["next_step"]).rstrip(".")
    # What a tool has said may have several lines, of which each could pass for a sentence of ours.
    return " ".join(text.split())


def _finding(
    check: Check,
    subject: str,
    verdict: str,
    value: Any = None,
    limit: Optional[Limit] = None,
    evidence: Sequence[str] = (),
    reason: Optional[str] = None,
    next_step: Optional[str] = None,
    seconds: Optional[float] = None,
) -> Dict[str, Any]:
    return {
        "check": check.name,
        "version": check.version,
        "level": check.level,
        "scope": check.scope,
        "subject": subject,
        "verdict": verdict,
        "value": value,
        "unit": check.unit,
        "limit": limit.to_dict() if limit else None,
        "evidence": [str(line)[:EVIDENCE_WIDTH] for line in list(evidence)[:EVIDENCE_LINES]],
        "reason": reason if reason is None or len(reason) <= REASON_WIDTH else reason[: REASON_WIDTH - 2] + " …",
        "next_step": next_step,
        "seconds": None if seconds is None else round(seconds, 3),
    }
