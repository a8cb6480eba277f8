# SPDX-License-Identifier: Apache-2.0
"""The folder of modulefiles: what is in it, what should be, and the steps from the one to the other.

    FOLDER/ENV/GENERATION   a link to the modulefile that the generation carries
    FOLDER/ENV/.version     the default: where PREFIX/envs/ENV leads when it is loaded, so that it moves with that link
    FOLDER/CONDA/VERSION    the installation

and a line in the file where a module system that is there keeps its search path. Only what condafleet wrote is ever
changed or removed; anything else in the folder is the site's.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.generations import (
    generations_dir,
    list_names,
    parse_name,
    read_receipt,
)
from ansible_collections.condafleet.core.plugins.module_utils.modulefile import (
    MARK,
    PLACE,
    default_text,
    installation_text,
)

LINE_MARK = "# condafleet"
# Where each system keeps its search path, and how a folder is named there: Debian's Lmod, Environment Modules 5 and
# before. Where initrc is, modulespath is not read.
LMOD = "/etc/lmod/modulespath"
MODULES = "/etc/environment-modules/initrc"
OLD_MODULES = "/etc/environment-modules/modulespath"
LINES = {
    LMOD: "%%s %s" % LINE_MARK,
    MODULES: "module use --append {%%s} ;%s" % LINE_MARK,
    OLD_MODULES: "%%s %s" % LINE_MARK,
}


def module_name(prefix: str) -> str:
    """What the installation's module is called: /opt/miniconda3 is `miniconda`."""
    base = os.path.basename(prefix.rstrip("/"))
    return base.rstrip("0123456789.-_") or base


def observe_modulefiles(folder: str, prefix: str, root: str, system_root: str = "/") -> Dict[str, Any]:
    """{folder, found, wanted, systems}: both are {path below the folder: [link|text, content]}; reads names and small
    files only. `systems` is {file: whether the folder is named there}, of the module systems that are there."""
    return {
        "folder": folder,
        "found": _found(folder),
        "wanted": _wanted(prefix, root),
        "systems": {path: _named(folder, path, system_root) for path in _systems(system_root)},
    }


def _found(folder: str) -> Dict[str, List[str]]:
    """What condafleet wrote there."""
    found: Dict[str, List[str]] = {}
    for name in _names(folder):
        for version in _names(os.path.join(folder, name)):
            path = os.path.join(folder, name, version)
            if os.path.islink(path):
                target = os.readlink(path)
                if target.endswith("/" + PLACE):
                    found["%s/%s" % (name, version)] = ["link", target]
            elif os.path.isfile(path):
                text = files.read_text(path) or ""
                if text.startswith("#%Module") and MARK in text[:200]:
                    found["%s/%s" % (name, version)] = ["text", text]
    return found


def _wanted(prefix: str, root: str) -> Dict[str, List[str]]:
    wanted: Dict[str, List[str]] = {}
    version = _conda_version(prefix)
    if version:
        wanted["%s/%s" % (module_name(prefix), version)] = ["text", installation_text(prefix)]
    for name in list_names(root):
        parsed = parse_name(name)
        path = os.path.join(generations_dir(root), name)
        # Those of before there were modulefiles have none.
        if parsed and os.path.isfile(os.path.join(path, PLACE)) and read_receipt(path) is not None:
            wanted["%s/%s" % (parsed.environment, name)] = ["link", os.path.join(path, PLACE)]
            link = os.path.join(prefix, "envs", parsed.environment)
            wanted["%s/.version" % parsed.environment] = ["text", default_text(link)]
    return wanted


def _conda_version(prefix: str) -> Optional[str]:
    found = [
        re.match(r"conda-(\d[0-9a-z.]*)-[^-]+\.json$", name) for name in _names(os.path.join(prefix, "conda-meta"))
    ]
    versions = sorted(match.group(1) for match in found if match)
    return versions[-1] if versions else None


def _systems(system_root: str) -> List[str]:
    there = [path for path in (LMOD, MODULES, OLD_MODULES) if os.path.isfile(_below(system_root, path))]
    return [path for path in there if not (path == OLD_MODULES and MODULES in there)]


def _named(folder: str, path: str, system_root: str) -> str:
    text = files.read_text(_below(system_root, path)) or ""
    if LINES[path] % folder in text.splitlines():
        return "ours"
    words = re.findall(r"[^\s{}\"';]+", _without_comments(text))
    return "site" if folder in [word.rstrip("/") for word in words] else "absent"


def _without_comments(text: str) -> str:
    return "\n".join(line.split("#", 1)[0] for line in text.splitlines())


def plan_modulefiles(
    observed: Optional[Mapping[str, Any]], declared: bool, environments: Mapping[str, Mapping[str, Any]]
) -> List[Dict[str, Any]]:
    """[{what, before, after}]; `environments` is the plan's, whose generations get their modulefile once built."""
    if not observed:
        return []
    found: Mapping[str, List[str]] = observed["found"]
    wanted: Dict[str, List[str]] = dict(observed["wanted"]) if declared else {}
    if declared:
        for name, entry in environments.items():
            if entry.get("action") == "build" and entry.get("generation"):
                wanted.setdefault("%s/%s" % (name, entry["generation"]), ["link", "the one that it is built with"])
    changes = []
    for path in sorted(set(found) | set(wanted)):
        before, after = found.get(path), wanted.get(path)
        if before != after:
            changes.append({"what": "modulefile %s" % path, "before": _shown(before), "after": _shown(after)})
    for path, named in sorted(observed["systems"].items()):
        if declared and named == "absent":
            changes.append({"what": path, "before": None, "after": LINES[path] % observed["folder"]})
        elif not declared and named == "ours":
            changes.append({"what": path, "before": LINES[path] % observed["folder"], "after": None})
    return changes


def _shown(entry: Optional[List[str]]) -> Optional[str]:
    if entry is None:
        return None
    return entry[1] if entry[0] == "link" else "text of %d characters" % len(entry[1])


def apply_modulefiles(observed: Mapping[str, Any], declared: bool, system_root: str = "/") -> None:
    """Carry out what plan_modulefiles says, each file in one step: new ones first, the search path last."""
    folder = observed["folder"]
    found: Mapping[str, List[str]] = observed["found"]
    wanted: Mapping[str, List[str]] = observed["wanted"] if declared else {}
    for path, (kind, content) in sorted(wanted.items()):
        if found.get(path) != [kind, content]:
            _put(os.path.join(folder, path), kind, content)
    for path in sorted(set(found) - set(wanted)):
        os.unlink(os.path.join(folder, path))
        _remove_if_empty(os.path.join(folder, os.path.dirname(path)))
    if not declared and found:
        _remove_if_empty(folder)
    for path, named in sorted(observed["systems"].items()):
        if named == ("absent" if declared else "ours"):
            _register(folder, path, system_root, declared)


def _put(path: str, kind: str, content: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    if kind == "text":
        if os.path.islink(path):
            os.unlink(path)
        files.write_atomic(path, content)
        return
    part = path + ".condafleet-part"
    files.remove_quietly(part)
    os.symlink(content, part)
    os.replace(part, path)


def _register(folder: str, path: str, system_root: str, declared: bool) -> None:
    place = _below(system_root, path)
    text = files.read_text(place) or ""
    line = LINES[path] % folder
    if declared:
        text += ("" if text.endswith("\n") or not text else "\n") + line + "\n"
    else:
        text = "".join(one for one in text.splitlines(True) if one.rstrip("\n") != line)
    mode, owner, group = _status(place)
    files.write_atomic(place, text, mode, owner, group)


def _status(path: str) -> Tuple[int, int, int]:
    status = os.stat(path)
    return status.st_mode & 0o7777, status.st_uid, status.st_gid


def _below(system_root: str, path: str) -> str:
    return os.path.join(system_root, path.lstrip("/"))


def _remove_if_empty(path: str) -> None:
    with contextlib.suppress(OSError):
        os.rmdir(path)


def _names(path: str) -> List[str]:
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []
