# SPDX-License-Identifier: Apache-2.0
"""Removing archives that no generation on the node was made of. A repair needs those of every generation that is left.

A receipt names packages, not files: what fits one by name, version and build is kept.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from typing import Any, Dict, List, Mapping, Optional, Set, Tuple
from urllib.parse import unquote

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils import generations as gen
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.package_cache import scratch_folder
from ansible_collections.condafleet.core.plugins.module_utils.programs import clean_environment, run

# Between fetching and building no lock is held: what was fetched, or needed again, belongs to somebody for that long.
SECONDS = 24 * 3600
ENDS = (".conda", ".tar.bz2")
Needed = Tuple[Set[str], Set[Tuple[str, str]]]


def collect_archives(root: str, seconds: float = SECONDS) -> List[str]:
    """Remove what nothing needs, and return the paths below ROOT. Under the node's lock.

    Nothing is removed while there is a generation of which nobody knows what it is made of.
    """
    needed = _needed(root)
    if needed is None:
        return []
    before = time.time() - seconds
    conda = [one for one in _conda(root) if _stem(one) not in needed[0] and _older(os.path.join(root, one), before)]
    wheels = {
        folder: project
        for folder, (project, version) in _wheels(root).items()
        if (project, version) not in needed[1] and _older(os.path.join(root, folder), before)
    }
    for name in [*conda, *wheels]:
        path = os.path.join(root, name)
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    _clean_uv(root, sorted(set(wheels.values())))
    return sorted([*conda, *wheels])


def _needed(root: str) -> Optional[Needed]:
    """(conda packages as their files are called, wheels as (project, version)) of all generations; None: unknown."""
    stems: Set[str] = set()
    projects: Set[Tuple[str, str]] = set()
    for name in gen.list_names(root):
        path = os.path.join(gen.generations_dir(root), name)
        if not gen.parse_name(name) or os.path.islink(path):
            continue
        packages = _packages(path)
        if packages is None:
            return None
        for one in packages:
            if one.get("manager") == "conda":
                stems.add("%s-%s-%s" % (one["name"], one["version"], one["build"]))
            else:
                projects.add((_plain(one["name"]), _plain(one["version"])))
    return stems, projects


def _packages(path: str) -> Optional[List[Mapping[str, Any]]]:
    for mark in (gen.RECEIPT, gen.DRAFT, gen.FAILED):
        record = files.read_json(os.path.join(path, mark))
        if isinstance(record, dict) and isinstance(record.get("packages"), list):
            return list(record["packages"])
    return None


def _conda(root: str) -> List[str]:
    """Archives, and folders that one was unpacked into, below ROOT."""
    home = os.path.join(root, "pkgs")
    return [
        os.path.join("pkgs", name)
        for name in _names(home)
        if name.endswith(ENDS) or os.path.isdir(os.path.join(home, name, "info"))
    ]


def _stem(path: str) -> str:
    name = os.path.basename(path)
    return next((name[: -len(end)] for end in ENDS if name.endswith(end)), name)


def _wheels(root: str) -> Dict[str, Tuple[str, str]]:
    """{folder below ROOT: (project, version)} of wheels, each of which has a folder called by its hash."""
    found = {}
    for folder in _names(os.path.join(root, "wheels")):
        place = os.path.join("wheels", folder)
        for name in _names(os.path.join(root, place)):
            parts = unquote(name).split("-")
            if name.endswith(".whl") and len(parts) > 4:
                found[place] = (_plain(parts[0]), _plain(parts[1]))
    return found


def _clean_uv(root: str, projects: List[str]) -> None:
    """Remove what uv has unpacked of these projects, in whatever version: it is unpacked again where it is needed."""
    tools = os.path.join(root, "tools")
    programs = [os.path.join(tools, name, "uv") for name in _names(tools) if name.startswith("uv-")]
    programs = [path for path in programs if os.access(path, os.X_OK)]
    if not projects or not programs:
        return
    with scratch_folder(root) as scratch:
        environment = clean_environment(scratch)
        environment.update(UV_NO_CONFIG="1", UV_CACHE_DIR=os.path.join(root, "uv-cache"))
        # It is a cache: what stays in it costs room at worst.
        with contextlib.suppress(FleetError):
            run([programs[-1], "cache", "clean", *projects], environment, "uv cache clean")


def _older(path: str, moment: float) -> bool:
    """Whether it, and what lies right in it, was neither put there nor asked for since."""
    places = [path] + [os.path.join(path, name) for name in _names(path)]
    return all(max(os.lstat(place).st_mtime, os.lstat(place).st_ctime) < moment for place in places)


def _plain(text: str) -> str:
    """Names of projects and versions as wheels' file names and as others write them."""
    return re.sub(r"[-_.+!]+", "-", text).lower()


def _names(path: str) -> List[str]:
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []
