# SPDX-License-Identifier: Apache-2.0
"""All that is on a node, in one reading: files only, no conda, no driver, no network."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import files, generation_history
from ansible_collections.condafleet.core.plugins.module_utils.clock import now
from ansible_collections.condafleet.core.plugins.module_utils.dependants import find_dependants
from ansible_collections.condafleet.core.plugins.module_utils.environment_adopt import adopted, observe_plain
from ansible_collections.condafleet.core.plugins.module_utils.environment_standing import recorded
from ansible_collections.condafleet.core.plugins.module_utils.generation_spared import read_spared
from ansible_collections.condafleet.core.plugins.module_utils.generations import (
    observe_environments,
    observe_generation,
    removing,
)
from ansible_collections.condafleet.core.plugins.module_utils.modulefile_tree import observe_modulefiles
from ansible_collections.condafleet.core.plugins.module_utils.observe_installation import observe_installation
from ansible_collections.condafleet.core.plugins.module_utils.observe_node import observe_node
from ansible_collections.condafleet.core.plugins.module_utils.observe_shells import observe_shells
from ansible_collections.condafleet.core.plugins.module_utils.root_folder import refuse_root
from ansible_collections.condafleet.core.plugins.module_utils.users_environments import find_environments
from ansible_collections.condafleet.core.plugins.module_utils.validation_place import node_file, validation_folder
from ansible_collections.condafleet.core.plugins.module_utils.validation_plan import KINDS, TRAIN

SCHEMA_VERSION = 1
# What of a node's record decides whether it still counts (node_standing.py); its findings stay on the node.
CHECKED = ("level", "run", "ended", "digest", "verdict")


def observe(
    prefix: str,
    root: str,
    users: Sequence[str] = (),
    environments: Optional[Sequence[str]] = None,
    system_root: str = "/",
    group: Optional[str] = None,
    with_files: bool = False,
    dependants: float = 0,
    modulepath: Optional[str] = None,
    adopt: Sequence[str] = (),
    full_within: Optional[float] = None,
    all_fingerprints: bool = False,
) -> Dict[str, Any]:
    """What conda_facts returns under `conda` (docs/architecture.md). With `environments`, only these are looked at.

    `with_files` compares every file of the installation with its record, which reads them all. `dependants` are the
    seconds that a search in users' homes may take for what stands on all this, and another one for their environments.
    `modulepath` is the folder of modulefiles. What stands at the names `adopt`, and is not condafleet's, is looked at
    more closely.
    With `full_within`, seconds, every file of current generations is compared with its list. `all_fingerprints` takes
    those of all finished generations, not only of current ones.
    """
    found, generations = observe_environments(prefix, root, environments, full_within)
    noted = generation_history.read(root)
    for name, state in found.items():
        state["recorded"] = recorded(noted.get(name, []), state)
    for one in adopted(prefix, root):
        if one["environment"] in found:
            # The last of several is the one that can come back.
            found[one["environment"]]["adopted"] = one["path"]
    for name in set(adopt).intersection(found):
        if not found[name]["generation"]:
            found[name]["plain"] = observe_plain(prefix, root, name, system_root=system_root)
    if all_fingerprints:
        generations = [_fingerprinted(root, record) for record in generations]
    known = {name: entries for name, entries in noted.items() if environments is None or name in environments}
    histories = generation_history.reconcile(known, found)
    generation_history.annotate(generations, histories, read_spared(root))
    return {
        "schema_version": SCHEMA_VERSION,
        "time": now(),
        "node": observe_node([prefix, root]),
        "root": {"path": root, "refusal": refuse_root(root), "removing": _to_remove(root)},
        "cache": observe_cache(root),
        "installation": observe_installation(prefix, with_files),
        "environments": found,
        "generations": generations,
        "history": histories,
        "shells": observe_shells(prefix, users, system_root, group),
        "validations": observe_validations(root, environments),
        "validations_of_kind": {
            kind: observe_validations(root, environments, kind + ".json") for kind in KINDS if kind != TRAIN
        },
        "checked": observe_checked(root),
        "modulefiles": observe_modulefiles(modulepath, prefix, root, system_root) if modulepath else None,
        "dependants": find_dependants(prefix, root, dependants, system_root) if dependants > 0 else None,
        "users_environments": find_environments(prefix, root, dependants, system_root) if dependants > 0 else None,
    }


def _fingerprinted(root: str, record: Dict[str, Any]) -> Dict[str, Any]:
    if not record["finished"] or record["fingerprint"]:
        return record
    return observe_generation(root, record["name"], with_fingerprint=True) or record


def _to_remove(root: str) -> List[str]:
    """What cut-short removals have left, but for what the last collection could not remove either."""
    spared = read_spared(root)
    return [name for name in removing(root) if name not in spared]


def observe_cache(root: str) -> Dict[str, List[str]]:
    """The names in ROOT's package cache: {pkgs: conda's archives and what is unpacked of them, wheels: by sha256}."""
    return {name: _names(os.path.join(root, name)) for name in ("pkgs", "wheels")}


def observe_validations(
    root: str, environments: Optional[Sequence[str]] = None, name_of_file: str = "result.json"
) -> Dict[str, Dict[str, Any]]:
    """{environment: {framework: the stored result}} from ROOT/validation/ENV/FRAMEWORK/, as stored there."""
    home = validation_folder(root)
    results: Dict[str, Dict[str, Any]] = {}
    for name in _folders(home):
        if environments is not None and name not in environments:
            continue
        for framework in _folders(os.path.join(home, name)):
            stored = files.read_json(os.path.join(home, name, framework, name_of_file))
            if isinstance(stored, dict):
                results.setdefault(name, {})[framework] = stored
    return results


def observe_checked(root: str) -> Optional[Dict[str, Any]]:
    """What the node's last validation came to, {level, run, ended, digest, verdict, driver, gpus: [UUID]}; None where
    there was none. The last two are what it was that was looked at, null where that is not known."""
    stored = files.read_json(node_file(root))
    if not isinstance(stored, dict):
        return None
    identity = stored.get("identity")
    identity = identity if isinstance(identity, dict) else {}
    known = identity.get("gpus")
    gpus = [one.get("uuid") for one in known if isinstance(one, dict)] if isinstance(known, list) else None
    return {**{key: stored.get(key) for key in CHECKED}, "driver": identity.get("driver"), "gpus": gpus}


def _names(path: str) -> List[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def _folders(path: str) -> List[str]:
    try:
        return sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
    except OSError:
        return []
