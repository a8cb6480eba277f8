# SPDX-License-Identifier: Apache-2.0
"""Two validations of one node held side by side: what moved, and whether software changed in between. Pure.

A validation is `{run, level, identity: {driver, cuda, kernel, generations: {ENV: NAME}, gpus: [{uuid, serial, name,
bus_id}]}, findings: [finding]}`. Findings are compared only where check, version and subject are the same.
"""

from __future__ import annotations

import math
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.check_limits import TEXTS, YES_OR_NO
from ansible_collections.condafleet.core.plugins.module_utils.figures import is_figure
from ansible_collections.condafleet.core.plugins.module_utils.findings import PASS, SKIP

Key = Tuple[str, str]
SOFTWARE = ("driver", "cuda", "kernel")
# Others where a node was installed anew, or is another machine by the same name.
MACHINE = ("cpu", "machine_id")
# Values of the moment, other ones on each look at a sound node: of these the verdict alone is compared.
OF_THE_MOMENT = ("host.clock", "gpu.temperature", "gpu.throttle")
# Values that are no figures; driver and CUDA are told as software.
STATES = tuple(name for name in (*TEXTS, *YES_OR_NO) if name not in ("gpu.driver", "gpu.cuda"))
# A figure that moves less than this, in percent, is noise unless the caller says otherwise.
NOISE_PERCENT = 5.0


def compare(
    before: Mapping[str, Any], after: Mapping[str, Any], noise_percent: float = NOISE_PERCENT
) -> Dict[str, Any]:
    """{moved: bool, verdicts: [{check, subject, before, after, reason, relimited}], figures: [{check, subject, unit,
    before, after, percent}], software: {driver|cuda|kernel|ENV: [before, after]}, machine: {cpu|machine_id: [before,
    after]}, gpus: {gone: [UUID], new: [UUID]}, not_compared: [text], conclusion: text}, with figures sorted by how far
    they moved; `percent` is null for what is no figure, such as `x16 gen5`. `relimited`: the value is what it was,
    within noise, and the limit is another one."""
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
        if {one["verdict"], other["verdict"]} == {PASS, SKIP}:
            # Nobody looked then, such as at a GPU that a job used: that says nothing of the node.
            which, skipped = ("earlier", one) if one["verdict"] == SKIP else ("later", other)
            reason = str(skipped["reason"]).rstrip(".")
            not_compared.append("%s passed in one run, and was skipped in the %s: %s" % (name, which, reason))
            continue
        percent = None if key[0] in OF_THE_MOMENT else _percent(one["value"], other["value"])
        went = percent is not None and abs(percent) >= noise_percent
        if one["verdict"] != other["verdict"]:
            same = one["value"] == other["value"] or (percent is not None and not went)
            turned = {"before": one["verdict"], "after": other["verdict"], "reason": other["reason"]}
            relimited = same and one["value"] is not None and _bounds(one) != _bounds(other)
            verdicts.append({"check": key[0], "subject": key[1], **turned, "relimited": relimited})
        # Where the verdict turned, its reason says so.
        turned_state = key[0] in STATES and one["verdict"] == other["verdict"] and one["value"] != other["value"]
        if (percent is not None and went) or turned_state:
            values = {"before": one["value"], "after": other["value"], "percent": percent and round(percent, 1)}
            figures.append({"check": key[0], "subject": key[1], "unit": other["unit"], **values})
    # A node that could not be looked at has told nothing of itself; that is no change.
    known = bool(before["identity"] and after["identity"])
    if not known:
        not_compared.append("software and GPUs are not known of both runs")
    software = _software(before["identity"], after["identity"]) if known else {}
    machine = _differing(MACHINE, before["identity"], after["identity"]) if known else {}
    gpus = _gpus(before["identity"], after["identity"]) if known else {"gone": [], "new": []}
    figures.sort(key=lambda entry: -abs(entry["percent"] or math.inf))
    moved = bool(verdicts or figures or gpus["gone"] or gpus["new"])
    return {
        "moved": moved,
        "verdicts": verdicts,
        "figures": figures,
        "software": software,
        "machine": machine,
        "gpus": gpus,
        "not_compared": not_compared,
        "conclusion": _conclusion(
            moved, known, {**software, **machine}, gpus, _by_limits(verdicts, moved, figures, gpus)
        ),
    }


def _by_key(run: Mapping[str, Any]) -> Dict[Key, Mapping[str, Any]]:
    return {(one["check"], one["subject"]): one for one in run["findings"]}


def _percent(before: Any, after: Any) -> Optional[float]:
    """How far a figure went; None for what is no figure, and from 0, where percentages mean nothing."""
    if not is_figure(before) or not is_figure(after) or not before:
        return None
    return float(100.0 * (after - before) / abs(before))


def _bounds(one: Mapping[str, Any]) -> Dict[str, Any]:
    return {key: value for key, value in (one.get("limit") or {}).items() if key != "source"}


def _by_limits(
    verdicts: List[Dict[str, Any]], moved: bool, figures: List[Dict[str, Any]], gpus: Mapping[str, List[str]]
) -> bool:
    """Whether all that moved are verdicts by other limits."""
    return moved and not (figures or gpus["gone"] or gpus["new"]) and all(one["relimited"] for one in verdicts)


def _differing(keys: Sequence[str], before: Mapping[str, Any], after: Mapping[str, Any]) -> Dict[str, List[Any]]:
    return {key: [before.get(key), after.get(key)] for key in keys if before.get(key) != after.get(key)}


def _software(before: Mapping[str, Any], after: Mapping[str, Any]) -> Dict[str, List[Any]]:
    found = _differing(SOFTWARE, before, after)
    old, new = before.get("generations") or {}, after.get("generations") or {}
    for name in sorted(set(old) | set(new)):
        if old.get(name) != new.get(name):
            found[name] = [old.get(name), new.get(name)]
    return found


def _gpus(before: Mapping[str, Any], after: Mapping[str, Any]) -> Dict[str, List[str]]:
    # One that is lost tells no UUID: it is gone, and no other one is there.
    old, new = ([str(gpu["uuid"]) for gpu in run.get("gpus") or [] if gpu.get("uuid")] for run in (before, after))
    return {"gone": [uuid for uuid in old if uuid not in new], "new": [uuid for uuid in new if uuid not in old]}


def _conclusion(
    moved: bool, known: bool, software: Mapping[str, List[Any]], gpus: Mapping[str, List[str]], by_limits: bool
) -> str:
    changes = ["%s %s → %s" % (name, _said(pair[0]), _said(pair[1])) for name, pair in software.items()]
    if gpus["gone"] or gpus["new"]:
        changes.append("%d GPU(s) gone, %d new" % (len(gpus["gone"]), len(gpus["new"])))
    told = "; ".join(changes)
    if not moved:
        return "Nothing moved%s." % (", though this changed: %s" % told if told else "")
    if by_limits:
        also = " This changed in between too: %s." % told if told else ""
        return "Other limits turned the verdicts (a site's, or the fleet's): what was measured is as before." + also
    if not known:
        return "What else changed can't be told: at one of the two runs the node could not be looked at."
    if not told:
        return (
            "Neither software nor GPUs changed in between, as far as a record tells (driver, CUDA, kernel, "
            "environments; no firmware): look at the hardware, and at what else the node did."
        )
    # A former generation can be run again; a former driver or kernel can't.
    if set(software) - {*SOFTWARE, *MACHINE}:
        return "This changed in between: %s. To tell software from hardware, run again with --rerun-previous." % told
    return "This changed in between: %s. Hold this node against one that still has what it had." % told


def _said(value: Any) -> str:
    return "none" if value is None else str(value)
