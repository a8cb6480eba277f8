# SPDX-License-Identifier: Apache-2.0
"""The former generation of an environment beside the current one, on the same node: software, or hardware? Pure.

A generation is all of an environment's software; driver, kernel and hardware are the same for both. So what only the
current one shows follows the software, and what both show follows the node.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import findings, run_comparison
from ansible_collections.condafleet.core.plugins.module_utils.figures import short
from ansible_collections.condafleet.core.plugins.module_utils.findings import (
    BAD,
    ERROR,
    FAIL,
    SKIP,
)

Finding = Dict[str, Any]
Key = Tuple[str, str]
SOFTWARE = "it follows the software"
HARDWARE = "it follows the node (its hardware, its driver, or what else runs on it), not the environment's software"


class Former(NamedTuple):
    """The generation to run again, or why there is none."""

    generation: Optional[str]
    why: Optional[str]


def former_of(conda: Mapping[str, Any], environment: str) -> Former:
    """The last other generation that was current here and is still there and whole, of what conda_facts observed."""
    link = (conda.get("environments") or {}).get(environment) or {}
    current = link.get("generation")
    if not current:
        return Former(None, "%s has no generation that is current" % environment)
    whole = {one["name"] for one in conda.get("generations") or [] if one.get("finished") and not one.get("broken")}
    before = [one["generation"] for one in (conda.get("history") or {}).get(environment) or []]
    others = [name for name in dict.fromkeys(reversed(before)) if name and name != current]
    if not others:
        return Former(None, "%s has no former generation: %s is its first" % (environment, current))
    for name in others:
        if name in whole:
            return Former(name, None)
    return Former(None, "no former generation of %s is still there (the last one was %s)" % (environment, others[0]))


def told(
    found: Sequence[Finding], former: Mapping[Key, Tuple[Mapping[str, Any], Finding]], missing: Mapping[str, str]
) -> List[Finding]:
    """The findings, those of trainings with what the former generation came to as evidence; in words, where it tells
    software from hardware.

    `former` are {(check, subject): (result, finding)}, `missing` {ENVIRONMENT: why it has no former generation}.
    """
    return [_told(one, former, missing) for one in found]


def _told(one: Finding, former: Mapping[Key, Tuple[Mapping[str, Any], Finding]], missing: Mapping[str, str]) -> Finding:
    environment, slash, _framework = str(one["subject"]).partition("/")
    if one["scope"] != "environment" or not slash:
        return one
    # A curve stands for the training that it belongs to.
    key = ("train.mnist" if one["check"] == "train.curve" else one["check"], one["subject"])
    if key in former:
        result, other = former[key]
        line = _line(one, other, str(result.get("generation")))
        said = _said(one, other, result)
    elif environment in missing:
        line = said = "not run again: %s" % missing[environment]
    else:
        return one
    evidence = [*list(one.get("evidence") or [])[: findings.EVIDENCE_LINES - 1], line[: findings.EVIDENCE_WIDTH]]
    if one["verdict"] not in BAD:
        return {**one, "evidence": evidence}
    return {**one, "evidence": evidence, "reason": "%s; %s" % (str(one["reason"]).rstrip("."), said)}


def _line(one: Finding, other: Finding, generation: str) -> str:
    value = "" if other["value"] is None or one["check"] == "train.curve" else ", %s %s" % (
        short(other["value"]), other["unit"],
    )  # fmt: skip
    return "former generation %s: %s%s" % (generation, other["verdict"], value)


def _said(one: Finding, other: Finding, result: Mapping[str, Any]) -> str:
    """Whether what is bad now was so in the former generation, on this node and today."""
    where = "the former generation %s" % result.get("generation")
    if other["verdict"] in (ERROR, SKIP):
        return "%s could not tell (%s: %s)" % (where, other["verdict"], other["reason"])
    if other["verdict"] == FAIL:
        return "%s fails too: %s" % (where, HARDWARE)
    if one["check"] == "train.curve":
        return _curves(one, result, where)
    # It passes by its own limits. Where the fleet condemned a figure, that alone says nothing.
    if one["check"] == "train.speed":
        moved = _moved(other, one)
        if moved is None or moved > -run_comparison.NOISE_PERCENT:
            return "%s is as slow here (%s %s): %s" % (where, short(other["value"]), other["unit"], HARDWARE)
        return "%s is faster here (%s %s): %s" % (where, short(other["value"]), other["unit"], SOFTWARE)
    return "%s passes here: %s" % (where, SOFTWARE)


def _curves(one: Finding, result: Mapping[str, Any], where: str) -> str:
    losses = [entry.get("loss") for entry in result.get("epochs") or []]
    if not losses or not isinstance(one["value"], (int, float)):
        return "%s learns here: %s" % (where, SOFTWARE)
    apart = 100.0 * abs(losses[-1] - one["value"]) / max(abs(one["value"]), 1e-9)
    same = apart < run_comparison.NOISE_PERCENT
    words = "ends with the same loss here" if same else "ends with another loss here"
    return "%s %s (%s): %s" % (where, words, short(losses[-1]), HARDWARE if same else SOFTWARE)


def _moved(before: Finding, after: Finding) -> Optional[float]:
    """How far the figure moved, in percent; None where it is within noise."""
    runs = [{"identity": {}, "findings": [{**one, "subject": "node"}]} for one in (before, after)]
    figures = run_comparison.compare(*runs)["figures"]
    return figures[0]["percent"] if figures else None
