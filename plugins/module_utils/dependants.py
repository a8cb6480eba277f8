# SPDX-License-Identifier: Apache-2.0
"""What users built on an installation or a generation: virtual environments, Jupyter kernels, and saved collections of
modules that name a generation. Reads files only.

They hold the path of the Python that they were made from, and break when that goes. Homes may be many, large, or on a
network file system that does not answer: each is read with its owner's rights, to a limited depth, in a child process
that is left behind when its time is over.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import stat
import time
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import files, module_pins
from ansible_collections.condafleet.core.plugins.module_utils.acting import acting_as
from ansible_collections.condafleet.core.plugins.module_utils.shell_users import (
    User,
    accounts,
    current_user,
    find_user,
    under,
)

SECONDS = 10.0
# A venv in ~/projects/x/y/.venv is found, a copy of a whole file system is not walked through.
DEPTH = 4
# Nothing of what is looked for lies there, or nothing that a user looks after.
PASSED_BY = frozenset(
    [".cache", ".git", ".npm", ".local", ".conda", ".cargo", ".mozilla", "node_modules", "site-packages", "__pycache__"]
)
# Where tools keep them, below folders that are passed by.
VENVS_OF_TOOLS = (
    ".local/share/virtualenvs",
    ".local/share/pipx/venvs",
    ".local/pipx/venvs",
    ".local/share/uv/tools",
    ".cache/pypoetry/virtualenvs",
)
KERNELS_OF_USER = (".local/share/jupyter/kernels", ".ipython/kernels")
KERNELS_OF_SYSTEM = ("/usr/local/share/jupyter/kernels", "/usr/share/jupyter/kernels")
# No file of those that are read is near that.
LARGEST = 1 << 20

Found = Dict[str, Any]


def find_dependants(prefix: str, root: str, seconds: float = SECONDS, system_root: str = "/") -> Dict[str, Any]:
    """{found: [{kind, path, user, stands_on, through, there}], complete, why: text|null} for all that is condafleet's.

    `kind` is venv, kernel or module; `stands_on` the installation, generation or environment that it needs, `through`
    the path as it is written there, and `there` whether that still leads somewhere.
    """
    return find_on([os.path.join(root, "generations"), prefix + ".d", prefix], seconds, system_root)


def dependants_of(path: str, seconds: float = SECONDS, system_root: str = "/") -> List[Found]:
    """What stands on this one folder (an installation, a generation, an environment).

    A search that was stopped adds an entry of kind `unknown`, so that nothing is taken for free that may be in use.
    """
    looked = find_on([path], seconds, system_root)
    found: List[Found] = looked["found"]
    if not looked["complete"]:
        unknown = {"kind": "unknown", "path": "users' homes", "user": looked["why"], "stands_on": path}
        found.append({**unknown, "through": path, "there": True})
    return found


def find_on(
    bases: Sequence[str], seconds: float = SECONDS, system_root: str = "/", modulepaths: Sequence[str] = ()
) -> Dict[str, Any]:
    """As find_dependants, for what lies in the folders `bases`. A site's defaults are looked for in `modulepaths`."""
    deadline = time.monotonic() + seconds
    found, complete = in_child(lambda: search(bases, system_root, modulepaths), deadline)
    why = None
    if not complete and time.monotonic() < deadline:
        why = "the search in users' homes failed"
    elif not complete:
        why = "the search was stopped after %g s: homes are slow, or large" % seconds
    return {"found": sorted(found, key=lambda one: (one["path"], one["kind"])), "complete": complete, "why": why}


def describe(found: Sequence[Mapping[str, Any]]) -> str:
    """`venv /home/alice/v (alice), kernel /home/bob/… (bob)`: for a warning."""
    return ", ".join("%s %s (%s)" % (one["kind"], one["path"], one["user"]) for one in found)


def search(bases: Sequence[str], system_root: str = "/", modulepaths: Sequence[str] = ()) -> Iterator[Found]:
    """All that stands on `bases`, one after the other. Changes the rights of the process that runs it meanwhile."""
    places = [(base, os.path.realpath(base)) for base in bases]
    for folder in KERNELS_OF_SYSTEM:
        yield from _kernels(under(system_root, folder), "system", places)
    folders = [*(under(system_root, folder) for folder in module_pins.SYSTEM), *modulepaths]
    yield from _modules(module_pins.of_system(folders, _read), "system", places)
    for user in everybody(system_root):
        yield from _of_user(user, places)


def _of_user(user: User, places: Sequence["tuple[str, str]"]) -> List[Found]:
    """Everything of one user, read with that user's rights: a link leads root nowhere, and root may see no NFS home."""
    found: List[Found] = []
    with contextlib.suppress(OSError), acting_as(user):
        for folder in KERNELS_OF_USER:
            found += _kernels(os.path.join(user.home, folder), user.name, places)
        found += _modules(module_pins.of_home(user.home, _read), user.name, places)
        found += _venvs(user, places)
    return found


def _modules(named: Iterable["tuple[str, str]"], user: str, places: Sequence["tuple[str, str]"]) -> Iterator[Found]:
    for path, name in named:
        for base, real_base in places:
            generation = module_pins.standing_on(name, real_base) or module_pins.standing_on(name, base)
            if generation:
                entry = {"kind": "module", "path": path, "user": user, "stands_on": generation}
                yield {**entry, "through": name, "there": os.path.isdir(generation)}
                break


def everybody(system_root: str) -> List[User]:
    """Everybody who may have a home with such things: people and root, each home once."""
    found: Dict[str, User] = {}
    for user in [*accounts(system_root), *_owners_of_homes(under(system_root, "/home"))]:
        if (user.uid == 0 or 1000 <= user.uid < 65534) and user.home not in ("", "/", "/nonexistent"):
            found.setdefault(user.home, user)
    if os.geteuid() != 0:
        mine = current_user()
        return [user for user in found.values() if user.name == mine] or [find_user(mine, system_root)]
    return list(found.values())


def _owners_of_homes(folder: str) -> List[User]:
    """Users by the homes that are there: a directory service may answer for names, and list none."""
    found = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode) and status.st_uid:
                    found.append(User(entry.name, status.st_uid, status.st_gid, entry.path))
    return found


def _venvs(user: User, places: Sequence["tuple[str, str]"]) -> Iterator[Found]:
    folders = [(user.home, 0)] + [(os.path.join(user.home, folder), DEPTH - 1) for folder in VENVS_OF_TOOLS]
    while folders:
        folder, depth = folders.pop(0)
        try:
            with os.scandir(folder) as entries:
                names = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
        except OSError:
            continue
        if "pyvenv.cfg" in names:
            home = _home_of(os.path.join(folder, "pyvenv.cfg"))
            yield from _standing([home] if home else [], "venv", folder, user.name, places)
        elif "conda-meta" not in names and depth < DEPTH:
            below = (name for name, is_folder in sorted(names.items()) if is_folder and name not in PASSED_BY)
            folders += [(os.path.join(folder, name), depth + 1) for name in below]


def _home_of(path: str) -> Optional[str]:
    """The folder with the Python that a virtual environment was made from."""
    for line in _read(path).splitlines():
        key, sign, value = line.partition("=")
        if sign and key.strip() == "home":
            return value.strip()
    return None


def _kernels(folder: str, user: str, places: Sequence["tuple[str, str]"]) -> Iterator[Found]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        try:
            spec = json.loads(_read(os.path.join(folder, name, "kernel.json")))
        except (ValueError, RecursionError):
            continue  # no kernel can be started by it
        if not isinstance(spec, dict):
            continue
        values = list(spec.get("argv") or []) if isinstance(spec.get("argv"), list) else []
        if isinstance(spec.get("env"), dict):
            values += [part for value in spec["env"].values() for part in str(value).split(":")]
        paths = [value for value in values if isinstance(value, str) and value.startswith("/")]
        yield from _standing(paths, "kernel", os.path.join(folder, name), user, places)


def _standing(
    paths: Sequence[str], kind: str, place: str, user: str, places: Sequence["tuple[str, str]"]
) -> Iterator[Found]:
    """At most one entry: the first of the paths that leads to something of ours."""
    for path in paths:
        if "\0" in path:
            continue  # no file has such a name
        real = os.path.realpath(path)
        for base, real_base in places:
            inside = _below(real, real_base) or _below(os.path.normpath(path), base)
            if inside is not None:
                yield {
                    "kind": kind,
                    "path": place,
                    "user": user,
                    "stands_on": _thing(real_base, inside),
                    "through": path,
                    "there": os.path.exists(path),
                }
                return


def _below(path: str, base: str) -> Optional[str]:
    """The rest of a path below `base`, an empty one for `base` itself, None for a path elsewhere."""
    if path == base:
        return ""
    return path[len(base) + 1 :] if path.startswith(base.rstrip("/") + "/") else None


def _thing(base: str, inside: str) -> str:
    """The installation, generation or environment that a path below one of the bases belongs to."""
    parts = inside.split("/")
    if base.endswith(("/generations", ".d")) and parts[0] != "envs":
        return os.path.join(base, parts[0]) if parts[0] else base
    return os.path.join(base, *parts[:2]) if parts[0] == "envs" and len(parts) > 1 else base


def _read(path: str) -> str:
    """The beginning of a small file; nothing of what is no regular file, or can't be read."""
    return (files.read_regular(path, LARGEST) or b"").decode("utf-8", "replace")


def in_child(work: Callable[[], Iterator[Found]], deadline: float) -> "tuple[List[Found], bool]":
    """(what came until the deadline, whether that was all). A child that hangs in a file system is not waited for."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            with os.fdopen(writer, "w", encoding="utf-8") as stream:
                for one in work():
                    stream.write(json.dumps(one) + "\n")
                    stream.flush()
                stream.write("\n")
        finally:
            # Nothing of the parent's is to be tidied up here.
            os._exit(0)
    os.close(writer)
    said = b""
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([reader], [], [], left)[0]:
                break
            piece = os.read(reader, 65536)
            if not piece:
                break
            said += piece
    finally:
        os.close(reader)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        _reap(child)
    complete = said.endswith(b"\n\n") or said == b"\n"
    lines = [line for line in said.split(b"\n")[:-1] if line]
    return [json.loads(line) for line in lines], complete


def _reap(child: int) -> None:
    """Take the child's end, if it comes at once: one that a file system holds ends when that answers."""
    for _dummy in range(20):
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(child, os.WNOHANG)[0]:
                return
        time.sleep(0.005)
