# SPDX-License-Identifier: Apache-2.0
"""The gate: whether a fleet goes on, decided once for all of its nodes, and said in one sentence a group. Pure.

A job that spans nodes must not start on mixed generations, so nobody switches unless nearly all can. It is passed
twice: after the plan, before anything is downloaded, and after staging, before anything is switched.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, List, Mapping, Sequence

from ansible_collections.condafleet.core.plugins.module_utils.node_names import folded, without_name

PLAN, STAGE, ROLLBACK = "plan", "stage", "rollback"
# What a node can't do that is missing, and what has not happened to any node when the gate stops them all.
CANNOT = {PLAN: "can't take the plan", STAGE: "are not staged", ROLLBACK: "can't go back"}
UNTOUCHED = {
    PLAN: "Nothing was fetched, built or switched, on any node.",
    STAGE: "Nothing was switched, on any node.",
    ROLLBACK: "Nothing was switched, on any node.",
}
# A plan that says so lets a node go on, or has nothing for it to do.
GOES_ON = ("pending", "converged", "unvalidated")
DONE = ("converged", "unvalidated")
SILENT = "it could not be reached, or failed at an earlier step"

# What differs between nodes that say the same: sizes, times, process numbers, addresses.
_FIGURES = re.compile(
    r"\b\d+(?:\.\d+)?(?= ?(?:[kKMGT]?i?B|bytes|m?s|seconds|minutes|inodes|files)\b)"
    r"|(?<=\bpid )\d+|(?<=\bprocess )\d+|\b\d{1,3}(?:\.\d{1,3}){3}\b"
)


def present(after: str, plan: Mapping[str, Any], staged: bool) -> bool:
    """Whether a node is where it should be by now. `plan` is what the plan's task returned for it."""
    if plan.get("failed") or plan.get("unreachable"):
        return False
    state = (plan.get("plan") or {}).get("state")
    return state in GOES_ON if after == PLAN else staged or state in DONE


def reasons(plan: Mapping[str, Any], results: Iterable[Mapping[str, Any]]) -> List[str]:
    """Why a node is missing: what its plan says, and what the tasks said that failed on it, loops item by item."""
    found = [str(one) for one in plan.get("blocked") or (plan.get("plan") or {}).get("blocked") or []]
    for result in [] if found else [plan, *results]:
        for one in result.get("results") or [result]:
            if one.get("unreachable"):
                why = str(one.get("msg") or "no reason was given").strip()
                found.append("it could not be reached (%s)" % why)
            elif one.get("failed"):
                found.append(str(one.get("msg") or "it failed").strip())
    return list(dict.fromkeys(found)) or [SILENT]


def decide(after: str, fleet: Sequence[str], missing: Mapping[str, Sequence[str]], may_fail: float) -> Dict[str, Any]:
    """The decision. `missing` is {node: its reasons}; a node may stand in several groups, and counts once.

    Returns {after, hosts, missing, may_fail, passed, groups: [{nodes, names, text}], text}.
    """
    # A share such as 0.07 of 100 is 7, though not as a binary fraction.
    passed = len(missing) <= may_fail * len(fleet) + 1e-9
    groups = grouped(missing)
    decision = {
        "after": after,
        "hosts": len(fleet),
        "missing": len(missing),
        "may_fail": may_fail,
        "passed": passed,
        "groups": groups,
    }
    return {**decision, "text": text_of(decision)}


def grouped(missing: Mapping[str, Sequence[str]]) -> List[Dict[str, Any]]:
    """One group for each thing that is said, largest first: {nodes, names, text}.

    Nodes that say the same but for figures or for their own name are one group, in the words of the first.
    """
    groups: Dict[str, Dict[str, List[str]]] = {}
    for node in sorted(missing):
        for text in missing[node]:
            groups.setdefault(_key(node, text), {}).setdefault(text, []).append(node)
    found = []
    for texts in groups.values():
        nodes = sorted({node for some in texts.values() for node in some})
        text = next(iter(texts))
        if len(texts) > 1:
            text += " (So says %s; the others differ in figures.)" % nodes[0]
        found.append({"nodes": nodes, "names": folded(nodes), "text": text})
    return sorted(found, key=lambda group: (-len(group["nodes"]), group["names"]))


def lines_of(decision: Mapping[str, Any]) -> List[str]:
    """`node[01-12] (12): why`, one line a group."""
    return [
        "%s%s: %s" % (group["names"], " (%d)" % len(group["nodes"]) if len(group["nodes"]) > 1 else "", group["text"])
        for group in decision["groups"]
    ]


def text_of(decision: Mapping[str, Any]) -> str:
    """The decision in words: a sentence of counts, and a line for each group."""
    after = decision["after"]
    if not decision["missing"]:
        return "All %d nodes go on." % decision["hosts"]
    counts = "environments_may_fail: %d of %d nodes %s" % (decision["missing"], decision["hosts"], CANNOT[after])
    share = "%g" % decision["may_fail"]
    if decision["passed"]:
        head = "%s and stay as they are; a share of %s may. The others go on." % (counts, share)
    else:
        head = (
            "%s, and a share of %s may be missing. %s Next: see to these nodes, or leave them out (--limit), or raise "
            "environments_may_fail." % (counts, share, UNTOUCHED[after])
        )
    return "\n".join([head, *lines_of(decision)])


def _key(node: str, text: str) -> str:
    return without_name(node, _FIGURES.sub("#", text), "#")
