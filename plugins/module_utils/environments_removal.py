# SPDX-License-Identifier: Apache-2.0
"""Removing what condafleet keeps below ROOT, and the environments' links to it. Users' own environments stay."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Any, Dict, List

from ansible_collections.condafleet.core.plugins.module_utils import (
    environment_adopt,
    files,
    generation_history,
    generation_links,
    generation_spared,
    generations,
    installations,
    metrics_file,
)
from ansible_collections.condafleet.core.plugins.module_utils.build_environment import remove_tree
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.processes import listed, others_in
from ansible_collections.condafleet.core.plugins.module_utils.progress import node_lock
from ansible_collections.condafleet.core.plugins.module_utils.root_folder import MARKER, is_root

# What condafleet makes below ROOT; whatever else lies there is somebody's.
FOLDERS = (
    "generations", "pkgs", "wheels", "uv-cache", "tools", "datasets", "validation", "scratch", "modulefiles",
    "progress", "jobs",
)  # fmt: skip
# What it notes there.
NOTES = (generation_history.FILE, generation_spared.FILE, generation_links.FILE)
LOCK = "lock"


def observe(prefix: str, root: str) -> Dict[str, Any]:
    """{links: [environments of ours], back: {environment: path of what was adopted in its place, and comes back},
    generations: [names], metrics: [path, outside ROOT], folders: [of FOLDERS]}; empty where ROOT is not ours."""
    if not is_root(root):
        return {"links": [], "back": {}, "generations": [], "metrics": [], "folders": []}
    envs = os.path.join(prefix, installations.ENVS)
    try:
        names = sorted(os.listdir(envs))
    except (FileNotFoundError, NotADirectoryError):
        names = []
    states = {name: generations.link_state(prefix, root, name) for name in names if not name.startswith(".")}
    others = {name for name, state in states.items() if state and not state["generation"]}
    return {
        "links": [name for name, state in states.items() if state and state["generation"]],
        "back": {
            one["environment"]: one["path"]
            for one in environment_adopt.adopted(prefix, root)
            if one["environment"] not in others
        },
        "generations": [name for name in generations.list_names(root) if generations.parse_name(name)],
        "metrics": [path for path in [metrics_file.left(root)] if path],
        "folders": [name for name in (*FOLDERS, *NOTES, LOCK, MARKER) if os.path.lexists(os.path.join(root, name))],
    }


def plan(found: Dict[str, Any], root: str) -> List[str]:
    """What would be removed, a line each."""
    lines = ["environment %s" % name for name in found["links"]]
    lines += ["adopted %s, which comes back to its place" % path for path in found["back"].values()]
    lines += ["generation %s" % name for name in found["generations"]]
    return lines + found["metrics"] + [os.path.join(root, name) for name in found["folders"]]


def refuse_while_used(prefix: str, root: str) -> None:
    """FleetError where a process uses a generation or an installation; then nothing is changed."""
    places = [generations.generations_dir(root), installations.folder(prefix)]
    # Folders of users' environments lie in PREFIX.d too, and stay.
    apart = [installations.envs_folder(prefix)]
    busy = others_in(places, apart)
    if busy:
        raise FleetError(
            "environments_root: what is below %s and %s can't be removed while processes use it: %s. "
            "Next: wait until they end, or end them, and run again. Nothing was changed." % (root, prefix, listed(busy))
        )


def carry_out(prefix: str, root: str, timeout: float) -> List[str]:
    """Remove it; the paths that were left since condafleet did not make them: below ROOT, and what was adopted where
    somebody has made another one since; and metrics that could not be removed."""
    refuse_while_used(prefix, root)
    metrics = metrics_file.left(root)
    if os.path.isdir(root):
        with node_lock(root, "removal of %s" % root, timeout):
            _remove(prefix, root)
        # The marker goes last but for the lock: without it, nothing here would be removed by a second attempt.
        files.remove_quietly(os.path.join(root, MARKER))
        files.remove_quietly(os.path.join(root, LOCK))
        with contextlib.suppress(OSError):
            os.rmdir(root)
    left = [os.path.join(root, name) for name in sorted(os.listdir(root))] if os.path.isdir(root) else []
    left += [path for path in [metrics] if path and os.path.exists(path)]
    return left + [one["path"] for one in environment_adopt.adopted(prefix, root)]


def _remove(prefix: str, root: str) -> None:
    found = observe(prefix, root)
    # First what users reach, so that nobody starts in a generation that is half gone.
    environment_adopt.tidy(prefix, root)
    for name in found["back"]:
        environment_adopt.give_back(prefix, root, name)
    for name in set(found["links"]).difference(found["back"]):
        os.unlink(os.path.join(prefix, installations.ENVS, name))
    for name in found["generations"]:
        path = os.path.join(generations.generations_dir(root), name)
        if os.path.isdir(path) and not os.path.islink(path):
            remove_tree(path)
    for path in found["metrics"]:
        files.remove_quietly(path)
    for name in FOLDERS:
        path = os.path.join(root, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
    for name in NOTES:
        files.remove_quietly(os.path.join(root, name))
