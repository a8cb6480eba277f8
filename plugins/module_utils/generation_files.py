# SPDX-License-Identifier: Apache-2.0
"""Every file of a generation, as it was when it was finished: written down once, and compared with what is there.

The list is `.condafleet-files.json` in the generation, its own sha256 stands in the receipt. What Python makes by
itself is normal and left out: `__pycache__`, and a `.pyc` beside the `.py` that it was made of. A `.pyc` without one
counts, since Python imports it. Left out too are condafleet's own notes, which lie at the top and have names of their
own, and folders without a file in them.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from typing import Any, Callable, Container, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.cgroup import cpu_quota, usable_cpus
from ansible_collections.condafleet.core.plugins.module_utils.drift import FILE_KINDS
from ansible_collections.condafleet.core.plugins.module_utils.parallel import MOST_PIECES, in_parallel

FILES = ".condafleet-files.json"
OURS = ".condafleet"
SCHEMA_VERSION = 1
# Names of each kind that a result holds; the rest is a number.
SHOWN = 10
MOST_WORKERS = 8
# A file of this size is a piece of work by itself.
LARGE = 8 << 20
# What opening a file costs, in bytes that could have been read meanwhile.
OPENING = 16 << 10
READ = 1 << 20

# {folder: (its mode, {name: (sha256, size, mode) of a file, or the target of a link})}; the folder "" is the prefix.
Folders = Dict[str, Tuple[int, Dict[str, Any]]]


class Found(NamedTuple):
    """What is in a folder: files and links that count, and folders to look into."""

    files: Dict[str, os.stat_result]
    links: Dict[str, str]
    folders: List[str]


def write_list(prefix: str, limit: float) -> str:
    """Write the list of a prefix; its sha256, for the receipt. FleetError where it takes more than `limit` seconds."""
    text = json.dumps({"schema_version": SCHEMA_VERSION, "folders": list_files(prefix, limit)}, sort_keys=True) + "\n"
    files.write_atomic(os.path.join(prefix, FILES), text)
    return files.sha256_bytes(text.encode("ascii"))


def read_list(prefix: str, sha256: str) -> Optional[Folders]:
    """The list, or None where it is missing or not the one of which the receipt tells."""
    content = files.read_bytes(os.path.join(prefix, FILES))
    if content is None or files.sha256_bytes(content) != sha256:
        return None
    listed: Folders = json.loads(content.decode("ascii"))["folders"]
    return listed


def list_files(prefix: str, limit: float) -> Folders:
    """What is in the prefix now, file by file."""
    folders: Folders = {}
    wanted: List[Tuple[str, int]] = []
    for folder, found, mode in walk(prefix, ""):
        entries: Dict[str, Any] = dict(found.links)
        for name, status in found.files.items():
            entries[name] = ["", status.st_size, stat.S_IMODE(status.st_mode)]
            wanted.append((_join(folder, name), status.st_size))
        folders[folder] = (mode, entries)

    def digests(names: Sequence[Tuple[str, int]]) -> List[str]:
        return [sha256_of(os.path.join(prefix, name), size) for name, size in names]

    pieces = portions(wanted, lambda one: one[1] + OPENING)
    for names, found_digests in zip(pieces, in_parallel(digests, pieces, workers(), limit, "Listing %s" % prefix)):
        for (path, _size), digest in zip(names, found_digests):
            folder, _slash, name = path.rpartition("/")
            folders[folder][1][name][0] = digest
    return folders


def verify(prefix: str, listed: Folders, limit: float) -> Dict[str, Any]:
    """How the prefix differs from its list: {checked, counts, changed, missing, added, more}.

    `changed`, `missing` and `added` are paths below the prefix, sorted, at most SHOWN of each; a folder whose mode
    changed ends with a slash. `counts` has all of each kind, `more` those that are not named. Memory holds the list,
    and of each file no more than a piece.
    """

    def look(piece: Sequence[Tuple[str, Optional[str]]]) -> Dict[str, Any]:
        differences: Dict[str, List[str]] = {kind: [] for kind in FILE_KINDS}
        for folder, single in piece:
            if single is None:
                _compare_folder(prefix, folder, listed, differences)
            elif _as_listed(os.path.join(prefix, _join(folder, single)), listed[folder][1][single]):
                _compare_content(prefix, folder, single, listed[folder][1][single], differences)
        return {kind: [len(names), sorted(names)[:SHOWN]] for kind, names in differences.items()}

    pieces = portions(list(_work(listed)), lambda one: _weight(listed, *one))
    answers = in_parallel(look, pieces, workers(), limit, "Comparing the files of %s" % prefix)
    counts = {kind: sum(answer[kind][0] for answer in answers) for kind in FILE_KINDS}
    shown = {kind: sorted(name for answer in answers for name in answer[kind][1])[:SHOWN] for kind in FILE_KINDS}
    return {
        "checked": sum(len(entries) for _mode, entries in listed.values()),
        "counts": counts,
        **shown,
        "more": sum(counts.values()) - sum(len(names) for names in shown.values()),
    }


def is_damaged(found: Optional[Mapping[str, Any]]) -> bool:
    return bool(found) and any((found or {})["counts"].values())


def workers() -> int:
    return min(MOST_WORKERS, usable_cpus(cpu_quota()))


def walk(prefix: str, start: str) -> Iterator[Tuple[str, Found, int]]:
    """(folder, what is in it, its mode) for a folder of the prefix and all below it."""
    todo = [start]
    while todo:
        folder = todo.pop()
        path = os.path.join(prefix, folder) if folder else prefix
        found = look_into(path, top=not folder)
        yield folder, found, stat.S_IMODE(os.lstat(path).st_mode)
        todo += [_join(folder, name) for name in found.folders]


def look_into(path: str, top: bool, listed: Container[str] = ()) -> Found:
    """What counts in a folder, and what is `listed` does. `top`: it is the prefix itself, where our own notes are."""
    found = Found({}, {}, [])
    compiled = []
    with os.scandir(path) as entries:
        for entry in entries:
            name = entry.name
            if top and name.startswith(OURS):
                continue
            if entry.is_symlink():
                found.links[name] = os.readlink(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                if name != "__pycache__":
                    found.folders.append(name)
            elif name.endswith(".pyc"):
                compiled.append(entry)
            else:
                found.files[name] = entry.stat(follow_symlinks=False)
    for entry in compiled:
        if entry.name in listed or entry.name[:-1] not in found.files:
            found.files[entry.name] = entry.stat(follow_symlinks=False)
    return found


def sha256_of(path: str, size: int) -> str:
    """The sha256 of a file's content, read in pieces; `size` is what it is expected to be.

    A special file is never read, which could take for ever: its digest is empty.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return ""
        if size < READ:
            content = os.read(handle, size + 1)
            digest = hashlib.sha256(content)
            if len(content) == size:
                return digest.hexdigest()
        else:
            digest = hashlib.sha256()
        while True:
            content = os.read(handle, READ)
            if not content:
                return digest.hexdigest()
            digest.update(content)
    finally:
        os.close(handle)


def portions(items: Sequence[Any], weight: Callable[[Any], int]) -> List[List[Any]]:
    """The items in portions that weigh about the same, the heaviest first, and few enough for `in_parallel`."""
    weighed = sorted(((weight(item), index) for index, item in enumerate(items)), reverse=True)
    most = max(sum(one for one, _index in weighed) // (MOST_PIECES // 4), LARGE)
    made: List[List[Any]] = []
    room = 0
    for heavy, index in weighed:
        if not made or heavy > room:
            made.append([])
            room = most
        made[-1].append(items[index])
        room -= heavy
    return made


def _work(listed: Folders) -> Iterator[Tuple[str, Optional[str]]]:
    """Each folder, and by itself each large file in one."""
    for folder, (_mode, entries) in listed.items():
        yield folder, None
        for name, entry in entries.items():
            if not isinstance(entry, str) and entry[1] >= LARGE:
                yield folder, name


def _weight(listed: Folders, folder: str, single: Optional[str]) -> int:
    entries = listed[folder][1]
    if single is not None:
        return int(entries[single][1])
    return sum(
        OPENING + (entry[1] if entry[1] < LARGE else 0) for entry in entries.values() if not isinstance(entry, str)
    )


def _compare_folder(prefix: str, folder: str, listed: Folders, differences: Dict[str, List[str]]) -> None:
    """Everything in one folder but for the content of large files, and everything below folders that are new."""
    mode, wanted = listed[folder]
    path = os.path.join(prefix, folder) if folder else prefix
    found = Found({}, {}, [])
    try:
        status = os.lstat(path)
        if stat.S_ISDIR(status.st_mode):
            found = look_into(path, not folder, wanted)
            if stat.S_IMODE(status.st_mode) != mode:
                differences["changed"].append(folder + "/")
    except (FileNotFoundError, NotADirectoryError):
        pass  # all that was in it is missing
    seen: Set[str] = set()
    for name, target in found.links.items():
        if name in wanted:
            seen.add(name)
            if wanted[name] != target:
                differences["changed"].append(_join(folder, name))
        else:
            differences["added"].append(_join(folder, name))
    for name, status in found.files.items():
        entry = wanted.get(name)
        if entry is None:
            differences["added"].append(_join(folder, name))
            continue
        seen.add(name)
        if isinstance(entry, str) or status.st_size != entry[1] or stat.S_IMODE(status.st_mode) != entry[2]:
            differences["changed"].append(_join(folder, name))
        elif entry[1] < LARGE:
            _compare_content(prefix, folder, name, entry, differences)
    for name in found.folders:
        below = _join(folder, name)
        if name in wanted:
            seen.add(name)
            differences["changed"].append(below)
        if below not in listed:
            for inner, new, _mode in walk(prefix, below):
                differences["added"] += [_join(inner, one) for one in (*new.files, *new.links)]
    differences["missing"] += [_join(folder, name) for name in wanted if name not in seen]


def _as_listed(path: str, entry: Sequence[Any]) -> bool:
    """Whether a file is of its listed size and mode; where it is not, the look into its folder tells."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    regular = stat.S_ISREG(status.st_mode)
    return regular and status.st_size == entry[1] and stat.S_IMODE(status.st_mode) == entry[2]


def _compare_content(
    prefix: str, folder: str, name: str, entry: Sequence[Any], differences: Dict[str, List[str]]
) -> None:
    path = _join(folder, name)
    try:
        same = sha256_of(os.path.join(prefix, path), entry[1]) == entry[0]
    except (FileNotFoundError, NotADirectoryError):
        return  # taken away since its folder was looked into
    except OSError:
        same = False  # it can't be read: a damaged disk
    if not same:
        differences["changed"].append(path)


def _join(folder: str, name: str) -> str:
    return folder + "/" + name if folder else name
