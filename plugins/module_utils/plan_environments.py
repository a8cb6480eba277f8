# SPDX-License-Identifier: Apache-2.0
"""What has to be done for each declared environment on one node: pure, the same for the plan and for check mode."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils.environment_standing import is_moved
from ansible_collections.condafleet.core.plugins.module_utils.generation_drift import in_words
from ansible_collections.condafleet.core.plugins.module_utils.generation_history import ROLLBACK, Entry, times
from ansible_collections.condafleet.core.plugins.module_utils.generations import next_name, usable
from ansible_collections.condafleet.core.plugins.module_utils.post_checks import passed
from ansible_collections.condafleet.core.plugins.module_utils.targets import as_declared, best_target, refusal

NONE = "none"
BUILD = "build"
SWITCH = "switch"
REPAIR = "repair"
BLOCKED = "blocked"
UNKNOWN = "unknown"


def plan_environments(
    observed: Mapping[str, Any],
    declared: Sequence[Mapping[str, Any]],
    targets: Mapping[str, Mapping[str, Any]],
    locks: Mapping[str, Mapping[str, Mapping[str, Any]]],
    node_target: Optional[str] = None,
) -> Dict[str, Dict[str, Any]]:
    """{NAME: {target, action, generation, digest, packages, why, damaged, adopt, warnings}}.

    `damaged` names the environment's generations that are not what their receipts say: nothing may be made of them.
    `adopt` is the path of what was made by hand and is moved aside, or None.

    `observed` is conda_facts' `conda`; `locks` is {ENV: {TARGET: {digest, packages?}}}, as the lock action returns it.
    `packages` is {added, removed, changed} against the current generation, or None where it can't be told.
    `node_target` is the declared target of the whole node, which then counts instead of the driver that is seen.
    """
    return {
        entry["name"]: plan_environment(observed, entry, targets, locks.get(entry["name"]) or {}, node_target)
        for entry in declared
    }


def plan_environment(
    observed: Mapping[str, Any],
    entry: Mapping[str, Any],
    targets: Mapping[str, Mapping[str, Any]],
    locks: Mapping[str, Mapping[str, Any]],
    node_target: Optional[str] = None,
) -> Dict[str, Any]:
    name, node, names = entry["name"], observed["node"], list(entry["targets"])
    if node_target:
        node, reason = as_declared(node, node_target, targets)
        if reason:
            return _plan(None, BLOCKED, reason)
        # The declared one before others that it satisfies too.
        names.sort(key=lambda one: one != node_target)
    target, reasons = best_target(node, names, targets)
    if target is None:
        return _plan(None, BLOCKED, refusal(name, node, reasons))
    state = (observed.get("environments") or {}).get(name)
    plain = (state or {}).get("plain")
    if state and not state.get("generation") and not is_moved(state):
        # It was looked at more closely where it is to be adopted.
        if not plain:
            prefix = (observed.get("installation") or {}).get("prefix")
            return _plan(target, BLOCKED, not_ours(name, "%s/envs/%s" % (prefix, name), state))
        if plain["refusal"]:
            return _plan(target, BLOCKED, plain["refusal"])
    lock = locks.get(target) or {}
    digest = lock.get("digest")
    if not digest:
        return _plan(target, UNKNOWN, "it is not locked for %s yet" % target)

    generations = [record for record in observed.get("generations") or [] if record["environment"] == name]
    current = next((record for record in generations if state and record["name"] == state["generation"]), None)
    damaged = sorted(record["name"] for record in generations if record.get("drifted"))
    ready = usable(generations, name, digest)
    if ready and current and ready["name"] == current["name"]:
        if not passed(ready["receipt"], entry.get("checks") or []):
            # Staged again, so checked again; there is no link to move then.
            return _plan(target, SWITCH, "its checks have changed", ready["name"], digest, difference([], []))
        return _plan(target, NONE, "it is what was declared", ready["name"], digest, difference([], []))
    entries = (observed.get("history") or {}).get(name) or []
    # Asked for no sooner: they may be read from files, and a node that is converged needs none.
    after = lock.get("packages")
    packages = None if after is None else difference(plain["packages"] if plain else installed(current), after)
    if ready:
        why = _why_adopt(plain) if plain else _why_switch(ready, state, current, digest, entries)
        return _plan(target, SWITCH, why, ready["name"], digest, packages, plain, damaged)
    planned = str(next_name([*(record["name"] for record in generations), *times(entries)], name, digest))
    why = _why_adopt(plain) if plain else _why_build(state, current, digest)
    action = REPAIR if current and current["digest12"] == digest[:12] else BUILD
    return _plan(target, action, why, planned, digest, packages, plain, damaged)


def not_ours(name: str, path: str, state: Mapping[str, Any]) -> str:
    """The sentence about an environment of that name which condafleet did not make."""
    if state["kind"] == "directory":
        what = "%s is a directory that was not made by condafleet" % path
    else:
        what = "%s is a link to %s, which is no generation of condafleet" % (path, state["target"])
    return (
        "environments_list: environment %r can't be put in place: %s. Accepted: nothing there, or a link "
        "of condafleet. Next: name it in environments_adopt to have it made anew from its lock (what is there now is "
        "moved aside, not deleted), rename it yourself, or declare another name. Nothing was changed."
    ) % (name, what)


def installed(generation: Optional[Mapping[str, Any]]) -> List[Mapping[str, Any]]:
    """The packages of a finished generation by its receipt; none for nothing."""
    receipt = (generation or {}).get("receipt") or {}
    packages: List[Mapping[str, Any]] = list(receipt.get("packages") or [])
    return packages


def difference(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> Dict[str, List[Dict[str, Any]]]:
    """{added, removed, changed} between two lists of {manager, name, version, build}, sorted by manager and name."""
    old = {(package["manager"], package["name"]): package for package in before}
    new = {(package["manager"], package["name"]): package for package in after}
    return {
        "added": [_short(new[key]) for key in sorted(new) if key not in old],
        "removed": [_short(old[key]) for key in sorted(old) if key not in new],
        "changed": [
            {"manager": key[0], "name": key[1], "before": label(old[key]), "after": label(new[key])}
            for key in sorted(new)
            if key in old and label(old[key]) != label(new[key])
        ],
    }


def label(package: Mapping[str, Any]) -> str:
    """`2.13.0 py311_0`, or the version alone."""
    return ("%s %s" % (package["version"], package.get("build") or "")).strip()


def package_lines(packages: Mapping[str, Any]) -> List[str]:
    """`+ torch 2.13.0`, `- …`, `~ numpy 1.26 → 2.0`: one line a package, sorted by name."""
    lines = [(item["name"], "+ %s %s" % (item["name"], label(item))) for item in packages["added"]]
    lines += [(item["name"], "- %s %s" % (item["name"], label(item))) for item in packages["removed"]]
    lines += [
        (item["name"], "~ %s %s → %s" % (item["name"], item["before"], item["after"])) for item in packages["changed"]
    ]
    return [line for _dummy, line in sorted(lines)]


def _why_build(state: Optional[Mapping[str, Any]], current: Optional[Mapping[str, Any]], digest: str) -> str:
    if not state:
        return "it is not there yet"
    if is_moved(state):
        return "its link was moved by hand to %s" % (state["generation"] or state["target"])
    if current is None or state["kind"] == "broken":
        return "its generation %s is gone" % state["generation"]
    if not current["finished"]:
        return "its generation %s is unfinished: it has no receipt" % current["name"]
    if current.get("broken"):
        return "its generation %s can't be used: %s" % (current["name"], current["broken"])
    if (current["receipt"] or {}).get("digest") != digest:
        return "its lock has changed"
    found = in_words(current)
    return "its generation %s has drifted from its receipt%s" % (current["name"], ": " + found if found else "")


def _why_switch(
    ready: Mapping[str, Any],
    state: Optional[Mapping[str, Any]],
    current: Optional[Mapping[str, Any]],
    digest: str,
    entries: Sequence[Entry],
) -> str:
    text = "%s is finished and not current" % ready["name"]
    usual = not state or (
        current is not None
        and current["finished"]
        and (current["receipt"] or {}).get("digest") != digest
        and not (is_moved(state) or current.get("broken") or current.get("drifted"))
    )
    if not usual:
        return "%s: %s" % (text, _why_build(state, current, digest))
    if current and entries and entries[-1]["why"] == ROLLBACK:
        return "it was rolled back to %s (%s); %s is what is declared" % (
            current["name"], entries[-1]["since"], ready["name"],
        )  # fmt: skip
    return text


def _why_adopt(plain: Mapping[str, Any]) -> str:
    return "%s, made by hand by %s, is adopted and moved to %s" % (plain["path"], plain["owner"], plain["aside"])


def _plan(
    target: Optional[str],
    action: str,
    why: str,
    generation: Optional[str] = None,
    digest: Optional[str] = None,
    packages: Optional[Dict[str, Any]] = None,
    plain: Optional[Mapping[str, Any]] = None,
    damaged: Sequence[str] = (),
) -> Dict[str, Any]:
    return {
        "target": target,
        "action": action,
        "generation": generation,
        "digest": digest,
        "packages": packages,
        "why": why,
        "damaged": list(damaged),
        "adopt": plain["path"] if plain else None,
        "warnings": list(plain["warnings"]) if plain else [],
    }


def _short(package: Mapping[str, Any]) -> Dict[str, Any]:
    return {key: package.get(key) or "" for key in ("manager", "name", "version", "build")}
