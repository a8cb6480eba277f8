# SPDX-License-Identifier: Apache-2.0
"""The check of what `roles/validation` is given, on the controller, before any node is touched."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional
from urllib.parse import quote

from ansible_collections.condafleet.core.plugins.module_utils import check_limits, paths
from ansible_collections.condafleet.core.plugins.module_utils.dataset import PARTS, part_of
from ansible_collections.condafleet.core.plugins.module_utils.declare_access import check_access
from ansible_collections.condafleet.core.plugins.module_utils.declare_checks import check_checks
from ansible_collections.condafleet.core.plugins.module_utils.declare_environments import check_name
from ansible_collections.condafleet.core.plugins.module_utils.declare_groups import check_groups
from ansible_collections.condafleet.core.plugins.module_utils.declare_outcome import check_outcome
from ansible_collections.condafleet.core.plugins.module_utils.declare_values import (
    boolean,
    list_of,
    seconds,
    share,
    whole,
)
from ansible_collections.condafleet.core.plugins.module_utils.depot_manifest import check_depot
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError
from ansible_collections.condafleet.core.plugins.module_utils.origins import join
from ansible_collections.condafleet.core.plugins.module_utils.validation_plan import (
    CHECK_OF,
    FRAMEWORKS,
    READS_MNIST,
    TRAIN,
    job_digest,
    kinds_of,
)
from ansible_collections.condafleet.core.plugins.module_utils.validation_scripts import read_scripts

# Keras takes none of 2**32 and more, and the transformer's networks take the next two as well.
LARGEST_SEED = 2**32 - 3
HEX64 = re.compile(r"[0-9a-fA-F]{64}")
DATA_ACCEPTED = (
    "depot (with depot_url set), {path: FOLDER ON THE NODE, sha256: {FILE: HASH}} "
    "or {url: BASE URL, sha256: {FILE: HASH}} with the four files %s, each of them plain or .gz" % ", ".join(PARTS)
)


def check_validation(
    values: Mapping[str, Any],
    manifest: Optional[Mapping[str, Any]] = None,
    scripts: Optional[Mapping[str, str]] = None,
) -> Dict[str, Any]:
    """The declaration, resolved: {enabled, rerun, jobs, data, epochs, …} and what declare_checks.py, declare_groups.py
    and declare_outcome.py say.

    `values` are the role's variables without `validation_`, with depot_url and depot_sha256; `manifest` is the depot's.
    A job is {environment, framework, kind, job_digest, timeout, variables}, each environment's kinds one after the
    other. `scripts` are the collection's own unless given.
    InputError names what is wrong.
    """
    schedule: Dict[str, Any] = {
        "epochs": whole("validation_epochs", values.get("epochs", 5), 1),
        "batch_size": whole("validation_batch_size", values.get("batch_size", 32), 1),
        "seed": whole("validation_seed", values.get("seed", 0), 0, LARGEST_SEED),
        "least_accuracy": share("validation_least_accuracy", values.get("least_accuracy", 0.97), "0.97"),
    }
    enabled = boolean("validation_enabled", values.get("enabled", True))
    checks = check_checks(values)
    outcome = check_outcome(values)
    timeout = seconds("validation_timeout", values.get("timeout", 1800))
    asked = check_limits.asked(checks["level"], checks["checks"])
    wanted = _wanted(values.get("environments") or [], kinds_of(asked)) if enabled else []
    # Whoever only smokes environments needs no data set, nor a depot that has one.
    data = check_data(values, manifest) if any(job["kind"] in READS_MNIST for job in wanted) else []
    texts = (read_scripts() if scripts is None else scripts) if wanted else {}
    for job in wanted:
        job["job_digest"] = job_digest(job["framework"], texts, data, schedule, job["kind"])
        # A training has a variable of its own for it.
        job["timeout"] = timeout if job["kind"] == TRAIN else int(asked[CHECK_OF[job["kind"]]].timeout)
    return {
        **schedule,
        **checks,
        **check_groups(values),
        **outcome,
        "enabled": enabled,
        # What the current generation did on another day tells nothing beside what the former one does now.
        "rerun": boolean("validation_rerun", values.get("rerun", False)) or outcome["rerun_previous"],
        "jobs": wanted,
        "data": data,
        "access": check_access(values, "validation"),
        "timeout": timeout,
        "threads": whole("validation_threads", values.get("threads", 0), 0),
        "nice": whole("validation_nice", values.get("nice", 10), 0, 19),
        "user": paths.check_account("validation_user", values.get("user")),
    }


def check_data(values: Mapping[str, Any], manifest: Optional[Mapping[str, Any]]) -> List[Dict[str, str]]:
    """The four files as {name, url, sha256}, from the depot, a folder on the node (as file URLs) or a base URL."""
    declared = values.get("data")
    if declared in (None, "", "depot"):
        return _from_depot(values, manifest)
    if not isinstance(declared, Mapping) or len([key for key in ("path", "url") if declared.get(key)]) != 1:
        raise InputError("validation_data", declared, DATA_ACCEPTED, "name one source")
    if declared.get("path"):
        place = declared["path"]
        if not isinstance(place, str) or not place.startswith("/"):
            raise InputError("validation_data.path", place, "an absolute path of a folder on the node", "correct it")
        base = "file://" + quote(place)
    else:
        base = declared["url"]
        if not isinstance(base, str) or not re.match(r"(file:///|https?://[^/])", base):
            raise InputError("validation_data.url", base, "file:///PATH, http://… or https://…", "correct it")
    hashes = declared.get("sha256")
    if not isinstance(hashes, Mapping):
        raise InputError("validation_data.sha256", hashes, "{FILE: HASH} for the four files", "run sha256sum on them")
    files = []
    for name, sha256 in sorted(hashes.items()):
        if not part_of(str(name)):
            raise InputError(
                "validation_data.sha256", name, "the names %s, plain or .gz" % ", ".join(PARTS), "rename it"
            )
        if not isinstance(sha256, str) or not HEX64.fullmatch(sha256):
            raise InputError(
                "validation_data.sha256.%s" % name, sha256, "64 hexadecimal digits", "run `sha256sum %s`" % name
            )
        files.append({"name": str(name), "url": join(base, str(name)), "sha256": sha256.lower()})
    return _complete(files, "validation_data.sha256")


def _from_depot(values: Mapping[str, Any], manifest: Optional[Mapping[str, Any]]) -> List[Dict[str, str]]:
    depot_url = check_depot(values.get("depot_url"), values.get("depot_sha256"))
    if depot_url is None or manifest is None:
        raise InputError(
            "validation_data",
            "depot (with no depot_url)",
            DATA_ACCEPTED,
            "set depot_url, or validation_enabled to false",
        )
    entries = ((manifest.get("datasets") or {}).get("mnist") or {}).get("files") or []
    files = [
        {"name": entry["name"], "url": join(depot_url, entry["path"]), "sha256": entry["sha256"]}
        for entry in entries
        if part_of(entry["name"])
    ]
    return _complete(files, "depot_url")


def _complete(files: List[Dict[str, str]], variable: str) -> List[Dict[str, str]]:
    parts = [part_of(entry["name"]) for entry in files]
    for name, part in PARTS.items():
        if parts.count(part) != 1:
            found = "it is missing" if part not in parts else "it is there twice"
            raise InputError(variable, "%s (%s)" % (name, found), "each of the four files once", "correct the list")
    return files


def _wanted(environments: Any, kinds: List[str]) -> List[Dict[str, Any]]:
    jobs = []
    for entry in list_of("validation_environments", environments, "a list of {name, frameworks}"):
        if not isinstance(entry, Mapping):
            raise InputError("validation_environments", entry, "{name, frameworks}", "correct it")
        check_name(entry.get("name"), "validation_environments.name")
        for framework in entry.get("frameworks") or []:
            if framework not in FRAMEWORKS:
                raise InputError(
                    "environments_list (%s).frameworks" % entry["name"],
                    framework,
                    "%s (what validation can train with)" % ", ".join(FRAMEWORKS),
                    "correct it, or set validation_enabled to false",
                )
            variables = {str(key): str(value) for key, value in (entry.get("variables") or {}).items()}
            job = {"environment": entry["name"], "framework": framework, "variables": variables}
            jobs += [{**job, "kind": kind} for kind in kinds]
    return jobs
