# SPDX-License-Identifier: Apache-2.0
"""The difference between what a node has and what was declared for it: pure, no I/O, no Ansible.

Each role owns its part of the difference (`installer`, `shell_block`, `plan_environments`, `validation_plan`);
this file only puts the parts together, for the play that lets converged nodes leave early.
"""

from __future__ import annotations

from typing import Any, Optional

from ansible_collections.condafleet.core.plugins.module_utils.compatibility import refuse_missing_conda, unfit
from ansible_collections.condafleet.core.plugins.module_utils.generation_surplus import plan_collection
from ansible_collections.condafleet.core.plugins.module_utils.installation_files import describe, is_damaged
from ansible_collections.condafleet.core.plugins.module_utils.installer import (
    brought_conda,
    choose,
    plan_installation,
    refuse_installation,
)
from ansible_collections.condafleet.core.plugins.module_utils.modulefile_tree import (
    plan_modulefiles,
    refuse_modulefiles,
)
from ansible_collections.condafleet.core.plugins.module_utils.node_standing import checks_digest, needs_checks
from ansible_collections.condafleet.core.plugins.module_utils.plan_environments import plan_environments
from ansible_collections.condafleet.core.plugins.module_utils.shell_block import plan_shells, refuse_shells
from ansible_collections.condafleet.core.plugins.module_utils.validation_plan import TRAIN, needs_validation

CONVERGED = "converged"
PENDING = "pending"
UNVALIDATED = "unvalidated"
BLOCKED = "blocked"


def plan(observed: dict[str, Any], desired: dict[str, Any]) -> dict[str, Any]:
    """Return what has to be done on one node.

    `observed` is what the module conda_facts returns under `conda`. `desired` may hold `installation`, `shells`,
    `environments` (with `declared`, `targets`, `locks`, and maybe `target` and `modulefiles`) and `validation`; a
    part that is missing is not planned.

    The result has `installation`, `shells` and `modulefiles` (lists of {what, before, after}), `environments` (by
    name), `purge` (names of environments), `collect` (names of generations), `validation` ({environment: {framework:
    why}}), `checks` (why the node itself is to be looked at, or None), `damage` (changed and missing files, or None),
    `blocked` (sentences that say why this node cannot take the plan) and `state`: converged, pending (something is to
    be installed, built or switched), unvalidated or blocked.
    """
    installation: list[dict[str, Any]] = []
    blocked: list[str] = []
    if desired.get("installation"):
        refusal = refuse_installation(observed, desired["installation"])
        if refusal:
            blocked.append(refusal)
        else:
            installation = plan_installation(observed, desired["installation"])

    shells: list[dict[str, Any]] = []
    if desired.get("shells"):
        refusal = refuse_shells(observed["shells"], desired["shells"])
        if refusal:
            blocked.append(refusal)
        else:
            shells = plan_shells(observed["shells"], desired["shells"])

    environments: dict[str, dict[str, Any]] = {}
    modulefiles: list[dict[str, Any]] = []
    collection: dict[str, list[str]] = {"purge": [], "collect": []}
    if desired.get("environments"):
        part = desired["environments"]
        refusal = (observed.get("root") or {}).get("refusal")
        if refusal and part["declared"]:
            blocked.append(refusal)
        environments = plan_environments(observed, part["declared"], part["targets"], part["locks"], part.get("target"))
        blocked += [entry["why"] for entry in environments.values() if entry["action"] == "blocked"]
        blocked += unfit(observed, environments, part["targets"], part["locks"], part.get("target"))
        # A plan of the whole node brings conda itself, or says why it can't.
        comes = desired.get("installation") or part.get("conda_comes")
        refusal = None if comes else refuse_missing_conda(observed, environments)
        blocked += [refusal] if refusal else []
        conda = conda_to_come(observed, desired.get("installation"), installation)
        wanted = (observed.get("modulefiles"), bool(part.get("modulefiles")), environments, conda)
        refusal = refuse_modulefiles(*wanted)
        if refusal:
            blocked.append(refusal)
        else:
            modulefiles = plan_modulefiles(*wanted)
        collection = plan_collection(observed, part, environments)

    damage = (observed.get("installation") or {}).get("damage")
    validation = plan_validation(observed, environments, desired.get("validation") or {})
    checks = plan_checks(observed, desired.get("validation") or {})
    moves = any(entry["action"] != "none" for entry in environments.values())
    work = bool(installation or shells or modulefiles or moves or collection["purge"] or collection["collect"])
    if blocked:
        state = BLOCKED
    elif work:
        state = PENDING
    elif validation or checks:
        state = UNVALIDATED
    else:
        state = CONVERGED
    return {
        "installation": installation,
        "shells": shells,
        "environments": environments,
        "modulefiles": modulefiles,
        **collection,
        "validation": validation,
        "checks": checks,
        "damage": describe(damage) if is_damaged(damage) else None,
        "blocked": blocked,
        "state": state,
    }


def conda_to_come(
    observed: dict[str, Any], declared: Optional[dict[str, Any]], changes: list[dict[str, Any]]
) -> Optional[str]:
    """Return the version of conda that the node will have, where that changes and the installer's name tells it."""
    moves = any(change["what"] == "installation" and change.get("action") != "remove" for change in changes)
    if not declared or not moves:
        return None
    return brought_conda(choose(declared["installers"], observed["node"]["architecture"]) or {})


def plan_validation(
    observed: dict[str, Any], environments: dict[str, dict[str, Any]], declared: dict[str, Any]
) -> dict[str, dict[str, str]]:
    """Return {environment: {framework: why}} of the jobs whose stored result does not prove the current generation.

    What is done beside training stands behind the framework, as in `torch, serve`.
    """
    wanted: dict[str, dict[str, str]] = {}
    for job in declared.get("jobs") or []:
        name, framework = job["environment"], job["framework"]
        entry = environments.get(name) or {}
        current = (observed["environments"].get(name) or {}).get("generation")
        generation = current if entry.get("action", "none") == "none" else None
        stored, title = observed["validations"], framework
        if job["kind"] != TRAIN:
            stored, title = observed["validations_of_kind"][job["kind"]], "%s, %s" % (framework, job["kind"])
        why = needs_validation(stored, name, generation, framework, job["job_digest"], observed["node"].get("driver"))
        if why or declared.get("rerun"):
            wanted.setdefault(name, {})[title] = why or "asked for"
    return wanted


def plan_checks(observed: dict[str, Any], declared: dict[str, Any]) -> Optional[str]:
    """Return why the node itself is to be looked at, or None where its last validation still counts."""
    if not declared.get("enabled"):
        return None
    why = needs_checks(observed["checked"], declared["level"], checks_digest(declared), observed.get("node"))
    return why or ("asked for" if declared.get("rerun") else None)


def lines(part: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return what a plan would take away and what it would put there, as lines for a diff (before, after)."""
    before: list[str] = []
    after: list[str] = []
    for change in part["installation"] + part["shells"] + part["modulefiles"]:
        if change["before"] is not None:
            before.append("%s: %s" % (change["what"], change["before"]))
        if change["after"] is not None:
            after.append("%s: %s" % (change["what"], change["after"]))
    before += ["environment %s: declared no more" % name for name in part["purge"]]
    before += ["generation %s: surplus" % name for name in part["collect"]]
    for name, entry in sorted(part["environments"].items()):
        if entry["action"] == "none":
            continue
        packages = entry.get("packages")
        if packages is None:
            after.append("environment %s: %s (packages unknown until it is locked)" % (name, entry["why"]))
            continue
        after.append("environment %s: %s" % (name, entry["why"]))
        before += ["  %s: %s" % (name, text) for text in one_side(packages, "removed", "before")]
        after += ["  %s: %s" % (name, text) for text in one_side(packages, "added", "after")]
    for name, frameworks in sorted(part["validation"].items()):
        after += ["validation of %s with %s: %s" % (name, key, why) for key, why in sorted(frameworks.items())]
    if part["checks"]:
        after.append("validation of the node: %s" % part["checks"])
    return before, after


def one_side(packages: dict[str, Any], whole: str, side: str) -> list[str]:
    """Return one line a package: those wholly `added` or `removed`, and one side of those that change."""
    found = ["%s %s" % (item["name"], item["version"]) for item in packages.get(whole) or []]
    found += ["%s %s" % (item["name"], item[side]) for item in packages.get("changed") or []]
    return sorted(found)
