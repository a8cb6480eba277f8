# SPDX-License-Identifier: Apache-2.0
"""Which of some folders a process on this node uses, and how: one look at /proc for all of them.

More than processes.users_of: also open files, and what the environment names. A generation's own path stands in the
environment of whoever was activated, or loaded a module, and is about to start something from there; the path of the
link that leads to it accuses nobody.
"""

from __future__ import annotations

import contextlib
import os
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.processes import described, was_called

MODULES = (b"LOADEDMODULES=", b"_LMFILES_=")
# What may stand in a name: after one of these, another path begins alike.
OF_A_NAME = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+~")


def uses(folders: Mapping[str, Sequence[str]], proc: str = "/proc") -> Dict[str, str]:
    """{folder: "process 123 (alice: python) runs from it"}, of those that are used, one process each.

    `folders` are the keys; the values are other names that the same folder has, or had a moment ago.
    """
    names = {folder: _names(folder, others) for folder, others in folders.items()}
    found: Dict[str, str] = {}
    # Ansible's own Python on the node may lie there.
    own = (os.getpid(), os.getppid())
    for entry in sorted((one for one in os.listdir(proc) if one.isdigit()), key=int):
        left = {folder: paths for folder, paths in names.items() if folder not in found}
        if not left:
            break
        if int(entry) not in own:
            process = os.path.join(proc, entry)
            for folder, how in _uses(process, left):
                found[folder] = "process %s %s" % (described(entry, proc), how)
    return found


def _names(folder: str, others: Iterable[str]) -> List[str]:
    """As they are written, and as the kernel tells them."""
    paths = [folder, *others]
    return sorted({*paths, *(os.path.realpath(path) for path in paths)})


def _uses(process: str, folders: Mapping[str, List[str]]) -> Iterable[Tuple[str, str]]:
    try:
        places = {what: os.readlink(os.path.join(process, name)) for name, what in _PLACES}
    except PermissionError:
        # In a container root may not look into other users' processes; their command lines are open to all.
        return [
            (folder, "may run from it")
            for folder, paths in folders.items()
            if any(was_called(process, path, ()) for path in paths)
        ]
    except OSError:
        return []  # it has ended, or is the kernel's
    opened = _opened(process)
    maps, environment = _content(process, "maps"), _content(process, "environ")
    found = []
    for folder, paths in folders.items():
        how = next((what for what, place in places.items() if _inside(place, paths)), None)
        if not how and any((" %s/" % path).encode() in maps for path in paths):
            how = "has files of it in memory"
        if not how and any(_inside(place, paths) for place in opened):
            how = "has files of it open"
        if not how:
            how = _named(environment, paths, os.path.basename(folder))
        if how:
            found.append((folder, how))
    return found


_PLACES = (("exe", "runs from it"), ("cwd", "works in it"), ("root", "has it for its root"))


def _opened(process: str) -> List[str]:
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir(os.path.join(process, "fd")):
            with contextlib.suppress(OSError):
                found.append(os.readlink(os.path.join(process, "fd", name)))
    return found


def _content(process: str, name: str) -> bytes:
    try:
        with open(os.path.join(process, name), "rb") as stream:
            return stream.read()
    except OSError:
        return b""


def _named(environment: bytes, paths: Sequence[str], name: str) -> Optional[str]:
    """How a process's environment names a generation: by its path, or by its module `ENV/GENERATION`."""
    if any(has_word(environment, os.fsencode(path)) for path in paths):
        return "has it in its environment"
    loaded = [line for line in environment.split(b"\0") if line.startswith(MODULES)]
    if any(has_word(line, b"/" + os.fsencode(name)) for line in loaded):
        return "has loaded its module"
    return None


def has_word(text: bytes, word: bytes) -> bool:
    """Whether a text names a path, and not only a longer one that begins alike."""
    at = text.find(word)
    while at >= 0:
        after = at + len(word)
        if after >= len(text) or text[after] not in OF_A_NAME:
            return True
        at = text.find(word, after)
    return False


def _inside(place: str, paths: Sequence[str]) -> bool:
    return any(place == path or place.startswith(path + "/") for path in paths)
