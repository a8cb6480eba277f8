# SPDX-License-Identifier: Apache-2.0
"""Two validations of one node held side by side: what moved, and whether software changed in between. Pure.

A validation is `{run, level, identity: {driver, cuda, kernel, generations: {ENV: NAME}, gpus: [{uuid, serial, name,
bus_id}]}, findings: [finding]}`. Findings are compared only where check, version and subject are the same.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

Key = Tuple[str, str]
SOFTWARE = ("driver", "cuda", "kernel")
# A figure that moves less than this, in percent, is noise unless the caller says otherwise.
NOISE_PERCENT = 5.0


def compare(
    before: Mapping[str, Any], after: Mapping[str, Any], noise_percent: float = NOISE_PERCENT
) -> Dict[str, Any]:
    """{moved: bool, verdicts: [{check, subject, before, after, reason}], figures: [{check, subject, unit, before,
    after, percent}], software: {driver|cuda|kernel|ENV: [before, after]}, gpus: {gone: [UUID], new: [UUID]},
    not_compared: [text], conclusion: text}, with figures sorted by how far they moved."""
    old, new = _by_key(before), _by_key(after)
    verdicts: List[Dict[str, Any]] = []
    figures: List[Dict[str, Any]] = []
    not_compared = []
    for key in sorted(set(old) | set(new)):
        one, other = old.get(key), new.get(key)
        name = "%s (%s)" % key if key[1] != "node" else key[0]
        if one is None or other is None:
            not_compared.append("%s is in the %s run alone" % (name, "later" if one is None else "earlier"))
            continue
        if one["version"] != other["version"]:
            not_compared.append("%s has version %s, then %s" % (name, one["version"], other["version"]))
            continue
        if one["verdict"] != other["verdict"]:
            turned = {"before": one["verdict"], "after": other["verdict"], "reason": other["reason"]}
            verdicts.append({"check": key[0], "subject": key[1], **turned})
        if _is_figure(one["value"]) and _is_figure(other["value"]) and one["value"]:
            percent = 100.0 * (other["value"] - one["value"]) / abs(one["value"])
            if abs(percent) >= noise_percent:
                went = {"before": one["value"], "after": other["value"], "percent": round(percent, 1)}
                figures.append({"check": key[0], "subject": key[1], "unit": other["unit"], **went})
    # A node that could not be looked at has told nothing of itself; that is no change.
    known = bool(before["identity"] and after["identity"])
    if not known:
        not_compared.append("software and GPUs are not known of both runs")
    software = _software(before["identity"], after["identity"]) if known else {}
    gpus = _gpus(before["identity"], after["identity"]) if known else {"gone": [], "new": []}
    figures.sort(key=lambda entry: -abs(entry["percent"]))
    moved = bool(verdicts or figures or gpus["gone"] or gpus["new"])
    return {
        "moved": moved,
        "verdicts": verdicts,
        "figures": figures,
        "software": software,
        "gpus": gpus,
        "not_compared": not_compared,
        "conclusion": _conclusion(moved, known, software, gpus),
    }


def _by_key(run: Mapping[str, Any]) -> Dict[Key, Mapping[str, Any]]:
    return {(one["check"], one["subject"]): one for one in run["findings"]}


def _is_figure(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _software(before: Mapping[str, Any], after: Mapping[str, Any]) -> Dict[str, List[Any]]:
    found = {key: [before.get(key), after.get(key)] for key in SOFTWARE if before.get(key) != after.get(key)}
    old, new = before.get("generations") or {}, after.get("generations") or {}
    for name in sorted(set(old) | set(new)):
        if old.get(name) != new.get(name):
            found[name] = [old.get(name), new.get(name)]
    return found


def _gpus(before: Mapping[str, Any], after: Mapping[str, Any]) -> Dict[str, List[str]]:
    old = [str(gpu["uuid"]) for gpu in before.get("gpus") or []]
    new = [str(gpu["uuid"]) for gpu in after.get("gpus") or []]
    return {"gone": [uuid for uuid in old if uuid not in new], "new": [uuid for uuid in new if uuid not in old]}


def _conclusion(moved: bool, known: bool, software: Mapping[str, List[Any]], gpus: Mapping[str, List[str]]) -> str:
    changes = ["%s %s → %s" % (name, _said(pair[0]), _said(pair[1])) for name, pair in software.items()]
    if gpus["gone"] or gpus["new"]:
        changes.append("%d GPU(s) gone, %d new" % (len(gpus["gone"]), len(gpus["new"])))
    told = "; ".join(changes)
    if not moved:
        return "Nothing moved%s." % (", though this changed: %s" % told if told else "")
    if not known:
        return "What else changed can't be told: at one of the two runs the node could not be looked at."
    if not told:
        return "Neither software nor GPUs changed in between: look at the hardware, and at what else the node did."
    # A former generation can be run again; a former driver or kernel can't.
    if set(software) - set(SOFTWARE):
        return "This changed in between: %s. To tell software from hardware, run again with --rerun-previous." % told
    return "This changed in between: %s. Hold this node against one that still has what it had." % told


def _said(value: Any) -> str:
    return "none" if value is None else str(value)
