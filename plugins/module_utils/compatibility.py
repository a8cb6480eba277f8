# SPDX-License-Identifier: Apache-2.0
"""Why a node can't take what is planned for it, before anything is downloaded: GPUs, driver, room. Pure.

Architecture, glibc and the driver's CUDA are a target's own conditions (`targets.py`). Here is what only the lock and
the node together tell. What is not known, a GPU model, a build, a number of inodes, stops nobody.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils.disk import amount
from ansible_collections.condafleet.core.plugins.module_utils.driver_libraries import mismatch
from ansible_collections.condafleet.core.plugins.module_utils.gpu_builds import label, row_of, runs_on
from ansible_collections.condafleet.core.plugins.module_utils.gpu_models import kinds
from ansible_collections.condafleet.core.plugins.module_utils.lock_needs import joined, room_for

# What is built needs room; what is only switched to needs a node that it runs on.
BUILDS = ("build", "repair")
MOVES = (*BUILDS, "switch")

Planned = Mapping[str, Mapping[str, Any]]
Locks = Mapping[str, Mapping[str, Mapping[str, Any]]]


def unfit(
    observed: Mapping[str, Any],
    planned: Planned,
    targets: Mapping[str, Mapping[str, Any]],
    locks: Locks,
    node_target: Optional[str] = None,
) -> List[str]:
    """Sentences, none for a node that can take it. `planned` is {ENV: {action, target, …}} of `plan_environments`.

    Where the node's target is declared (`node_target`: images, container builds), the GPUs and the driver that can be
    seen are the build host's, and do not count.
    """
    sentences = []
    if not node_target:
        cuda = [name for name, entry in planned.items() if _has_cuda(entry, targets)]
        refusal = refuse_driver(observed["node"]) if cuda else None
        sentences += [refusal] if refusal else []
        sentences += [
            refusal for name in sorted(cuda) for refusal in _refuse_builds(observed, name, planned, targets, locks)
        ]
    refusal = refuse_room(observed, planned, locks)
    return sentences + ([refusal] if refusal else [])


def refuse_missing_conda(observed: Mapping[str, Any], planned: Planned) -> Optional[str]:
    """The sentence for a node that is to build something and has no conda to build it with: before any download."""
    installation = observed.get("installation") or {}
    if installation.get("state") != "absent" or not any(one.get("action") in BUILDS for one in planned.values()):
        return None
    return (
        "There is no conda at %s (environments_prefix), which environments are built with. Accepted: a node with an "
        "installation. Next: run the playbook install (condafleet install), then this again. Nothing was changed."
    ) % installation.get("prefix")


def refuse_driver(node: Mapping[str, Any]) -> Optional[str]:
    """The sentence for a driver whose parts are of two versions."""
    other = mismatch(node.get("driver"), node.get("driver_libraries") or [])
    if not other:
        return None
    return (
        "The NVIDIA driver's kernel module is %s and its libraries are %s, as after an update without a reboot: no "
        "program can use a GPU. Accepted: both of one version. Next: reboot the node. Nothing was changed."
    ) % (node["driver"], other)


def _refuse_builds(
    observed: Mapping[str, Any],
    name: str,
    planned: Planned,
    targets: Mapping[str, Mapping[str, Any]],
    locks: Locks,
) -> List[str]:
    target = planned[name]["target"]
    platform = targets[target].get("platform")
    models = kinds(observed["node"].get("gpus") or [])
    sentences = []
    for build in (_needs(locks, name, target).get("gpu_builds")) or []:
        row = row_of(build, platform)
        strange = {model: found for model, found in models.items() if row and not runs_on(row, found[0])}
        if row and strange:
            sentences.append(
                "environments_list: environment %r has no code for this node's GPUs: %s of target %s is built for "
                "compute capability %s, and %s. Next: declare another target first for this node (another CUDA "
                "version's builds cover other GPUs), another version, or leave the node out. Nothing was changed."
                % (
                    name,
                    label(build),
                    target,
                    row.capabilities.replace(" ", ", ").replace("+PTX", " and newer"),
                    " and ".join("%s has %s" % (model, found[0]) for model, found in sorted(strange.items())),
                )
            )
    return sentences


def refuse_room(observed: Mapping[str, Any], planned: Planned, locks: Locks) -> Optional[str]:
    """The sentence for a file system on which a download and a build would not fit beside what is kept there."""
    root = (observed.get("root") or {}).get("path")
    wanted = {name: entry["target"] for name, entry in planned.items() if entry.get("action") in BUILDS}
    node, cache = observed["node"], observed.get("cache") or {}
    if not wanted or not root:
        return None
    have = set(cache.get("pkgs") or []) | set(cache.get("wheels") or [])
    need = room_for(joined((name, _needs(locks, name, target)) for name, target in wanted.items()), have)
    free = (node.get("free_bytes") or {}).get(root)
    inodes = (node.get("free_inodes") or {}).get(root)
    names = ", ".join(sorted(wanted))
    if free is not None and need.download + need.unpacked > free:
        return (
            "environments_root: %s has %s free, and %s needs about %s (%s to download, %s unpacked, beside the "
            "generations that are kept). Next: free some space, choose another file system, or lower environments_keep "
            "for the runs to come. Nothing was fetched."
        ) % (
            root,
            amount(free),
            names,
            amount(need.download + need.unpacked),
            amount(need.download),
            amount(need.unpacked),
        )
    if inodes is not None and need.inodes > inodes:
        return (
            "environments_root: %s has %d inodes free, and %s needs about %d. Next: choose a file system with more of "
            "them. Nothing was fetched."
        ) % (root, inodes, names, need.inodes)
    return None


def _has_cuda(entry: Mapping[str, Any], targets: Mapping[str, Mapping[str, Any]]) -> bool:
    return entry.get("action") in MOVES and bool((targets.get(str(entry.get("target"))) or {}).get("cuda"))


def _needs(locks: Locks, name: str, target: str) -> Dict[str, Any]:
    return dict(((locks.get(name) or {}).get(target) or {}).get("needs") or {})
