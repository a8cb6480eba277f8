# SPDX-License-Identifier: Apache-2.0
"""Removing environments that are declared no more, surplus generations, and what belonged to them. Effects only.

What is surplus says generation_surplus; here it is found out what of that is in use all the same. A removal renames
first, so that half of a generation is never taken for whole, and one that was cut short is finished by the next. Every
step can be cut short: the next collection finds what is left by looking at the node, never by a note of what was done.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import files, generation_history, installations
from ansible_collections.condafleet.core.plugins.module_utils import generations as gen
from ansible_collections.condafleet.core.plugins.module_utils.archive_collection import collect_archives
from ansible_collections.condafleet.core.plugins.module_utils.clock import now
from ansible_collections.condafleet.core.plugins.module_utils.dependants import SECONDS, describe, find_on
from ansible_collections.condafleet.core.plugins.module_utils.environment_adopt import give_back, newest
from ansible_collections.condafleet.core.plugins.module_utils.generation_links import reached
from ansible_collections.condafleet.core.plugins.module_utils.generation_spared import (
    spared_as_shared,
    write_spared,
)
from ansible_collections.condafleet.core.plugins.module_utils.generation_surplus import purged, surplus
from ansible_collections.condafleet.core.plugins.module_utils.modulefile_tree import (
    apply_modulefiles,
    observe_modulefiles,
)
from ansible_collections.condafleet.core.plugins.module_utils.process_uses import uses
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress, node_lock
from ansible_collections.condafleet.core.plugins.module_utils.root_folder import is_root
from ansible_collections.condafleet.core.plugins.module_utils.shared_files import is_shared, kind_of
from ansible_collections.condafleet.core.plugins.module_utils.validation_place import validation_folder


@dataclass
class Request:
    """What is to be kept, as the module's options say it."""

    prefix: str
    root: str
    declared: Sequence[str]
    keep: int = 2
    pinned: Sequence[str] = ()
    purge: bool = False
    # Also where other nodes' processes can't be seen.
    collect_shared: bool = False
    modulefiles: bool = False
    modulepath: Optional[str] = None
    system_root: str = "/"
    # In check mode: the links that the run would have moved by now.
    moves: Mapping[str, str] = field(default_factory=dict)
    seconds: float = SECONDS
    lock_timeout: float = 600.0
    check: bool = False


@dataclass
class Outcome:
    """What was removed, or would be; and what was not, though surplus: {generation: why}."""

    purged: List[str] = field(default_factory=list)
    removed: List[str] = field(default_factory=list)
    spared: Dict[str, str] = field(default_factory=dict)
    archives: List[str] = field(default_factory=list)
    freed_bytes: int = 0

    @property
    def changed(self) -> bool:
        return bool(self.purged or self.removed or self.archives)


def collect(request: Request, progress: Progress) -> Outcome:
    """Remove what is surplus and in no use; in check mode say what that would be."""
    if not is_root(request.root):
        return Outcome()
    if request.check:
        observed = observe(request)
        names = surplus_of(request, observed)
        gone = purged(observed["environments"], request.declared) if request.purge else []
        spared = in_use(request, names, apart=[*gone, *request.moves])
        going = [name for name in names if name not in spared] + gen.removing(request.root)
        return Outcome(gone, going, spared)

    def waiting(holder: str) -> None:
        progress("wait", message="for %s, which holds %s" % (holder, request.root))

    with node_lock(request.root, "collection of generations", request.lock_timeout, waiting=waiting):
        free = files.free_bytes(request.root)
        outcome = Outcome(purged=purge(request))
        progress("collect", message="what a former run has left")
        left = {}
        for name in gen.removing(request.root):
            reason = finish(os.path.join(gen.generations_dir(request.root), name))
            if reason:
                left[name] = reason
            else:
                outcome.removed.append(name)
        names = surplus_of(request, observe(request))
        outcome.spared = {**left, **in_use(request, names)}
        for number, name in enumerate(names):
            progress("collect", number, len(names), "generations", name)
            if name not in outcome.spared:
                reason = remove(os.path.join(gen.generations_dir(request.root), name))
                if reason:
                    outcome.spared[name] = reason
                else:
                    outcome.removed.append(name)
        if outcome.removed and request.modulepath:
            seen = observe_modulefiles(request.modulepath, request.prefix, request.root, request.system_root)
            apply_modulefiles(seen, request.modulefiles)
        remove_validations(request)
        if outcome.removed:
            outcome.archives = collect_archives(request.root)
        write_spared(request.root, {name: {"why": why, "checked": now()} for name, why in outcome.spared.items()})
        outcome.freed_bytes = max(0, files.free_bytes(request.root) - free)
    return outcome


def observe(request: Request) -> Dict[str, Any]:
    """What generation_surplus needs to know; no fingerprint is taken."""
    environments = links(request)
    records = [
        gen.observe_generation(request.root, name, with_fingerprint=False) for name in gen.list_names(request.root)
    ]
    histories = generation_history.reconcile(generation_history.read(request.root), environments)
    return {
        "time": now(),
        "environments": environments,
        "generations": [record for record in records if record],
        "history": histories,
    }


def links(request: Request) -> Dict[str, Dict[str, Any]]:
    """{ENV: its link} of all environments that lead to a generation."""
    envs = os.path.join(request.prefix, installations.ENVS)
    names = [name for name in os.listdir(envs) if not name.startswith(".")] if os.path.isdir(envs) else []
    states = {name: gen.link_state(request.prefix, request.root, name) for name in sorted(names)}
    return {name: state for name, state in states.items() if state and state["generation"]}


def surplus_of(request: Request, observed: Mapping[str, Any]) -> List[str]:
    moves = request.moves if request.check else None
    return surplus(
        observed, request.declared, keep=request.keep, pinned=request.pinned, purge=request.purge, moves=moves
    )


def purge(request: Request) -> List[str]:
    """Take away the links of environments that are declared no more. What a user had there before adoption returns."""
    if not request.purge:
        return []
    gone = []
    environments = links(request)
    for name in purged(environments, request.declared):
        generation_history.announce(request.root, name, environments[name], None, generation_history.PURGE)
        if newest(request.prefix, request.root, name):
            give_back(request.prefix, request.root, name)
        else:
            os.unlink(os.path.join(request.prefix, installations.ENVS, name))
        generation_history.confirm(request.root, name)
        gone.append(name)
    return gone


def in_use(request: Request, names: Sequence[str], apart: Sequence[str] = ()) -> Dict[str, str]:
    """{generation: why it can't go}, of those that a link leads to, that a process needs, or what users built or saved.

    `apart` are the links that will have been moved or removed by then, in check mode.
    """
    if not names:
        return {}
    if is_shared(request.root) and not request.collect_shared:
        return dict.fromkeys(names, spared_as_shared(request.root, kind_of(request.root)))
    paths = {os.path.join(gen.generations_dir(request.root), name): name for name in names}
    links = reached(request.root, request.prefix, apart)
    found = {name: "%s leads to it" % links[name] for name in names if name in links}
    for path, why in uses(dict.fromkeys(paths, ())).items():
        found.setdefault(paths[path], why)
    modulepaths = [request.modulepath] if request.modulepath else []
    looked = find_on(list(paths), request.seconds, request.system_root, modulepaths)
    for path, name in paths.items():
        real = os.path.realpath(path)
        built = [one for one in looked["found"] if one["stands_on"] in (path, real)]
        if built:
            found.setdefault(name, describe(built[:3]))
        if not looked["complete"]:
            found.setdefault(name, str(looked["why"]))
    return found


def remove(path: str) -> Optional[str]:
    """Remove a generation, or say why not: somebody may have come to use it since that was looked at."""
    aside = path + gen.REMOVING
    try:
        os.rename(path, aside)
    except OSError as error:
        return "it can't be removed: %s" % error.strerror
    return finish(aside)


def finish(aside: str) -> Optional[str]:
    """Remove what a removal has renamed, or say why not. It gets its name back where somebody has come to use it, as
    long as nothing of it is gone: its receipt is what goes first."""
    path = aside[: -len(gen.REMOVING)]
    used = uses({path: (aside,)})
    if used:
        if gen.read_receipt(aside) and not os.path.lexists(path):
            os.rename(aside, path)
        return used[path]
    try:
        files.remove_quietly(os.path.join(aside, gen.RECEIPT))
        shutil.rmtree(aside)
    except OSError as error:
        return "%s can't be removed: %s. Next: see what keeps it there (lsattr, mount), and remove %s by hand" % (
            error.filename, error.strerror, aside,
        )  # fmt: skip
    return None


def remove_validations(request: Request) -> None:
    """Remove the stored results of environments that are gone: neither declared, nor linked, nor kept; and of those
    generations that are gone which are named GENERATION.KIND.json (validation_run.py)."""
    home = validation_folder(request.root)
    kept = set(gen.list_names(request.root))
    parsed = [gen.parse_name(name) for name in kept]
    there = {*request.declared, *links(request), *(one.environment for one in parsed if one)}
    for name in folders(home):
        if name not in there:
            shutil.rmtree(os.path.join(home, name))
            continue
        for framework in folders(os.path.join(home, name)):
            folder = os.path.join(home, name, framework)
            for result in os.listdir(folder):
                generation = result.rsplit(".", 2)[0]
                if gen.parse_name(generation) and generation not in kept:
                    files.remove_quietly(os.path.join(folder, result))


def folders(path: str) -> List[str]:
    """Those of environments and frameworks: what begins with a dot is the node's own, such as its history."""
    names = sorted(os.listdir(path)) if os.path.isdir(path) else []
    paths = {name: os.path.join(path, name) for name in names if not name.startswith(".")}
    return [name for name, place in paths.items() if os.path.isdir(place) and not os.path.islink(place)]
