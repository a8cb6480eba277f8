# SPDX-License-Identifier: Apache-2.0
"""The folder of modulefiles: what is in it, what should be, and the steps from the one to the other.

    FOLDER/ENV/GENERATION   a link to the modulefile that the generation carries
    FOLDER/ENV/.version     the default: where PREFIX/envs/ENV leads when it is loaded, so that it moves with that link
    FOLDER/CONDA/VERSION    the installation

and a line in the file where a module system that is there keeps its search path (modulefile_lines). Ours is only what
names this prefix or leads below this root: a folder may be the site's, or shared with other fleets. What stands in the
way of ours is refused before anything changes.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils import modulefile_lines as search
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
    quote,
)
from ansible_collections.condafleet.core.plugins.module_utils.modulefile_folders import (
    default_folder,
    note_folders,
    noted_folders,
)

DEFAULT = ".version"
# Whose a file is.
OURS = "ours"
SITE = "the site's own"
OTHERS = "condafleet's for another installation or root"
GONE = "removed meanwhile"
# How many of the paths that are in the way an error names.
NAMED = 3
Entries = Dict[str, List[str]]


def module_name(prefix: str) -> str:
    """What the installation's module is called: /opt/miniconda3 is `miniconda`."""
    base = os.path.basename(prefix.rstrip("/"))
    return base.rstrip("0123456789.-_") or base


def observe_modulefiles(folder: str, prefix: str, root: str, system_root: str = "/") -> Dict[str, Any]:
    """{folder, prefix, root, system_root, found, wanted, others, shared, systems, former}; reads names and small files.

    `found` and `wanted` are {path below the folder: [link|text, content]}, `others` {path where ours may have to be:
    whose it is}, `shared` says whether another fleet has modulefiles there. `systems` is what observe_lines returns.
    `former` is {FOLDER: {found, shared, systems}} of folders that were declared before, if anything of ours is left.
    """
    folder = folder.rstrip("/") or "/"
    former = {}
    for one in sorted({*noted_folders(root, system_root), default_folder(root)} - {folder}):
        seen = {**_look(one, prefix, root, {}), "systems": search.observe_lines(one, system_root)}
        del seen["others"]
        if seen["found"] or (search.OURS in seen["systems"].values() and not seen["shared"]):
            former[one] = seen
    wanted = _wanted(prefix, root)
    return {
        "folder": folder,
        "prefix": prefix,
        "root": root,
        "system_root": system_root,
        "wanted": wanted,
        **_look(folder, prefix, root, wanted),
        "systems": search.observe_lines(folder, system_root),
        "former": former,
    }


def _look(folder: str, prefix: str, root: str, wanted: Mapping[str, List[str]]) -> Dict[str, Any]:
    """{found, others, shared} of one folder."""
    found: Entries = {}
    others: Dict[str, str] = {}
    shared = False
    for name in _names(folder):
        if not os.path.isdir(os.path.join(folder, name)):
            others[name] = SITE
            continue
        of_another_root = False
        for version in _names(os.path.join(folder, name)):
            path = "%s/%s" % (name, version)
            entry, whose = _entry(os.path.join(folder, path), prefix, root)
            if entry:
                found[path] = entry
            if whose in (OURS, GONE):
                continue
            shared = shared or whose == OTHERS
            of_another_root = of_another_root or (whose == OTHERS and os.path.islink(os.path.join(folder, path)))
            # Only what may ever be wanted: a site has many modulefiles.
            if version == DEFAULT or parse_name(version) or name == module_name(prefix):
                others[path] = whose
        # Another root's default for this prefix: it would be written anew each time.
        default = "%s/%s" % (name, DEFAULT)
        if of_another_root and default not in wanted:
            found.pop(default, None)
    return {"found": found, "others": others, "shared": shared}


def _entry(path: str, prefix: str, root: str) -> Tuple[Optional[List[str]], str]:
    """([link|text, content] of what is ours, whose it is)."""
    try:
        if os.path.islink(path):
            target = os.readlink(path)
            if not target.endswith("/" + PLACE):
                return None, SITE
            return (["link", target], OURS) if target.startswith(generations_dir(root) + "/") else (None, OTHERS)
        text = files.read_text(path)
    except FileNotFoundError:
        text = None
    except OSError:
        # A folder, or not for this user to read.
        return None, SITE
    if text is None:
        return None, GONE
    if not (text.startswith("#%Module") and MARK in text[:200]):
        return None, SITE
    # As a word of Tcl begins: a longer path that ends alike is another one.
    return (["text", text], OURS) if quote(os.path.join(prefix, ""))[:-1] in text else (None, OTHERS)


def _wanted(prefix: str, root: str) -> Entries:
    wanted = _of_installation(prefix, _conda_version(prefix))
    for name in list_names(root):
        parsed = parse_name(name)
        path = os.path.join(generations_dir(root), name)
        # Those of before there were modulefiles have none.
        if parsed and os.path.isfile(os.path.join(path, PLACE)) and read_receipt(path) is not None:
            wanted["%s/%s" % (parsed.environment, name)] = ["link", os.path.join(path, PLACE)]
            link = os.path.join(prefix, "envs", parsed.environment)
            wanted["%s/%s" % (parsed.environment, DEFAULT)] = ["text", default_text(link)]
    return wanted


def _of_installation(prefix: str, version: Optional[str]) -> Entries:
    return {"%s/%s" % (module_name(prefix), version): ["text", installation_text(prefix)]} if version else {}


def _conda_version(prefix: str) -> Optional[str]:
    found = [
        re.match(r"conda-(\d[0-9a-z.]*)-[^-]+\.json$", name) for name in _names(os.path.join(prefix, "conda-meta"))
    ]
    versions = sorted(match.group(1) for match in found if match)
    return versions[-1] if versions else None


def plan_modulefiles(
    observed: Optional[Mapping[str, Any]],
    declared: bool,
    environments: Mapping[str, Mapping[str, Any]],
    conda: Optional[str] = None,
) -> List[Dict[str, Any]]:
    """[{what, before, after}]; `environments` is the plan's, whose generations get their modulefile once built, and
    `conda` the version of an installation that is to come."""
    if not observed:
        return []
    found: Mapping[str, List[str]] = observed["found"]
    wanted = _to_come(observed, environments, conda) if declared else {}
    changes = []
    for path in sorted(set(found) | set(wanted)):
        before, after = found.get(path), wanted.get(path)
        if before != after:
            changes.append({"what": "modulefile %s" % path, "before": _shown(before), "after": _shown(after)})
    changes += _line_changes(observed["folder"], observed, declared)
    for folder, former in sorted(observed["former"].items()):
        for path, entry in sorted(former["found"].items()):
            changes.append({"what": os.path.join(folder, path), "before": _shown(entry), "after": None})
        changes += _line_changes(folder, former, False)
    return changes


def refuse_modulefiles(
    observed: Optional[Mapping[str, Any]],
    declared: bool,
    environments: Mapping[str, Mapping[str, Any]],
    conda: Optional[str] = None,
) -> Optional[str]:
    """Why what is declared can't be put there, in one message; None where it can."""
    if not observed or not declared:
        return None
    for path, state in sorted(observed["systems"].items()):
        if state not in (search.ABSENT, search.OURS, search.SITE):
            return search.refusal(path, state, observed["system_root"])
    others: Mapping[str, str] = observed["others"]
    wanted = _to_come(observed, environments, conda)
    blocking = sorted({one for path in wanted for one in (path, path.split("/")[0]) if one in others})
    if not blocking:
        return None
    named = ["%s (%s)" % (os.path.join(observed["folder"], one), others[one]) for one in blocking[:NAMED]]
    more = " and %d more" % (len(blocking) - NAMED) if len(blocking) > NAMED else ""
    return (
        "environments_modulepath: %s can't be used, since modulefiles would take the place of what condafleet did not "
        "write for %s and %s: %s%s. Accepted: a folder where nothing has these names, or what this fleet wrote there. "
        "Next: let environments_modulepath be a folder of its own, or move what is there away yourself. "
        "Nothing was changed."
    ) % (observed["folder"], observed["prefix"], observed["root"], ", ".join(named), more)


def _to_come(
    observed: Mapping[str, Any], environments: Mapping[str, Mapping[str, Any]], conda: Optional[str]
) -> Entries:
    """What is wanted once the plan is carried out."""
    wanted: Entries = dict(observed["wanted"])
    prefix = observed["prefix"]
    if conda:
        now = ["text", installation_text(prefix)]
        wanted = {path: entry for path, entry in wanted.items() if entry != now}
        wanted.update(_of_installation(prefix, conda))
    for name, entry in environments.items():
        if entry.get("action") in ("build", "repair") and entry.get("generation"):
            wanted.setdefault("%s/%s" % (name, entry["generation"]), ["link", "the one that it is built with"])
        if entry.get("action") in ("build", "repair", "unknown"):
            link = os.path.join(prefix, "envs", name)
            wanted.setdefault("%s/%s" % (name, DEFAULT), ["text", default_text(link)])
    return wanted


def _line_changes(folder: str, seen: Mapping[str, Any], declared: bool) -> List[Dict[str, Any]]:
    changes: List[Dict[str, Any]] = []
    for path, named in sorted(seen["systems"].items()):
        line = search.line_of(folder, path)
        if declared and named == search.ABSENT:
            changes.append({"what": path, "before": None, "after": line})
        elif _superfluous(named, seen, declared):
            changes.append({"what": path, "before": line, "after": None})
    return changes


def _superfluous(named: str, seen: Mapping[str, Any], declared: bool) -> bool:
    """Whether our line has to go; another fleet that has modulefiles in that folder needs it too."""
    return not declared and named == search.OURS and not seen["shared"]


def _shown(entry: Optional[List[str]]) -> Optional[str]:
    if entry is None:
        return None
    return entry[1] if entry[0] == "link" else "text of %d characters" % len(entry[1])


def apply_modulefiles(observed: Mapping[str, Any], declared: bool) -> None:
    """Carry out what plan_modulefiles says, each file in one step: new ones first, then the search path, and what
    lies in former folders last."""
    folder, root, system_root = observed["folder"], observed["root"], observed["system_root"]
    found: Mapping[str, List[str]] = observed["found"]
    wanted: Mapping[str, List[str]] = observed["wanted"] if declared else {}
    noted = noted_folders(root, system_root)
    if declared and folder != default_folder(root):
        noted.setdefault(folder, not os.path.isdir(folder))
        note_folders(root, noted, system_root)
    for path, (kind, content) in sorted(wanted.items()):
        if found.get(path) != [kind, content]:
            _put(os.path.join(folder, path), kind, content)
    _remove(folder, sorted(set(found) - set(wanted)))
    _register(folder, observed, declared, system_root)
    gone = dict(observed["former"]) if declared else {folder: observed, **observed["former"]}
    for former, seen in sorted(gone.items()):
        if former != folder:
            _remove(former, sorted(seen["found"]))
            _register(former, seen, False, system_root)
        # A folder that was there before us stays, also where it is empty.
        if former == default_folder(root) or noted.get(former):
            _remove_if_empty(former)
    note_folders(root, {folder: noted[folder]} if declared and folder in noted else {}, system_root)


def _remove(folder: str, paths: List[str]) -> None:
    for path in paths:
        # Another node may have been quicker.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, path))
        _remove_if_empty(os.path.join(folder, os.path.dirname(path)))


def _register(folder: str, seen: Mapping[str, Any], declared: bool, system_root: str) -> None:
    for path, named in sorted(seen["systems"].items()):
        if (declared and named == search.ABSENT) or _superfluous(named, seen, declared):
            search.register(folder, path, system_root, declared)


def _put(path: str, kind: str, content: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    # Several nodes may work in one folder. What an end of the machine leaves is ours by its content, and removed.
    part = os.path.join(os.path.dirname(path), ".condafleet-%s-%d" % (socket.gethostname(), os.getpid()))
    files.remove_quietly(part)
    if kind == "text":
        files.write_atomic(part, content)
    else:
        os.symlink(content, part)
    os.replace(part, path)


def _remove_if_empty(path: str) -> None:
    with contextlib.suppress(OSError):
        os.rmdir(path)


def _names(path: str) -> List[str]:
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []
