# SPDX-License-Identifier: Apache-2.0
"""Generations that are named for a module system: in collections that users saved, and as a site's or a user's default.

What is loaded is seen in the processes' environments (process_uses); this is about what will be loaded by name.
"""

from __future__ import annotations

import os
import re
from typing import Callable, Iterator, List, Sequence, Tuple

# Lmod (8.7 moved them) and Environment Modules: a file for each saved collection.
COLLECTIONS = (".lmod.d", ".config/lmod", ".module")
DEFAULTS = (".modulerc", ".modulerc.lua", ".version")
SYSTEM = ("/etc/lmod", "/etc/environment-modules")
# `ENV/GENERATION`, or a path that ends so.
_NAMED = re.compile(r"/([^\s/\"'{}()\[\]=,;:]+-[0-9a-f]{12}-[1-9][0-9]*)(?![0-9A-Za-z._+~-])")

Read = Callable[[str], str]


def of_home(home: str, read: Read) -> Iterator[Tuple[str, str]]:
    """(file, name of a generation) of what a user saved. `read` gives a small file's text."""
    folders = [os.path.join(home, folder) for folder in COLLECTIONS]
    yield from _named([path for folder in folders for path in _files(folder)], read)
    yield from _named([os.path.join(home, name) for name in DEFAULTS[:2]], read)


def of_system(folders: Sequence[str], read: Read) -> Iterator[Tuple[str, str]]:
    """The same for what a site set: in its module systems' own folders, and beside the modulefiles in `folders`."""
    yield from _named([path for folder in folders for path in _files(folder)], read)
    below = [one for folder in folders for one in [folder, *_folders(folder)]]
    yield from _named([os.path.join(folder, name) for folder in below for name in DEFAULTS], read)


def standing_on(name: str, base: str) -> str:
    """The path of a generation of that name that is `base`, or lies right below it; empty where there is none."""
    if os.path.basename(base) == name:
        return base
    path = os.path.join(base, name)
    return path if base.endswith("/generations") and os.path.isdir(path) else ""


def _named(paths: Sequence[str], read: Read) -> Iterator[Tuple[str, str]]:
    for path in paths:
        for name in sorted(set(_NAMED.findall(read(path)))):
            yield path, name


def _files(folder: str) -> List[str]:
    return [os.path.join(folder, name) for name in _names(folder) if os.path.isfile(os.path.join(folder, name))]


def _folders(folder: str) -> List[str]:
    return [os.path.join(folder, name) for name in _names(folder) if os.path.isdir(os.path.join(folder, name))]


def _names(folder: str) -> List[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
