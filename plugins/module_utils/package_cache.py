# SPDX-License-Identifier: Apache-2.0
"""condafleet's own package cache below ROOT: every archive of a lock, verified, and nothing linked from damage."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import shutil
import threading
import time
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import download, files, origins
from ansible_collections.condafleet.core.plugins.module_utils.disk import amount
from ansible_collections.condafleet.core.plugins.module_utils.download_errors import DiskError
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress
from ansible_collections.condafleet.core.plugins.module_utils.root_folder import MARKER, mark_root

# Folders that only root (or the one user whose ROOT this is) may look into: what lies there gets linked.
PRIVATE = ("pkgs", "wheels", "uv-cache", "tools")
OPEN = ("generations", "progress")
# A job's files are removed by its controller, if that is still there. Other runs may be at work with young ones.
JOB_FOLDERS = ("jobs", "progress")
LEFT_IN = ("", "pkgs", *JOB_FOLDERS)
LEFT_SECONDS = 7 * 24 * 3600.0

FETCHES_AT_ONCE = 4
# A lock names no size for conda packages. Estimates err on the side of asking for more.
UNKNOWN_SIZE = 12 << 20
UNPACKED = 4


def ensure_root(root: str) -> bool:
    """The folders below ROOT with their modes; True where something had to be done."""
    changed = mark_root(root)
    for name, mode in [("", 0o755)] + [(name, 0o755) for name in OPEN] + [(name, 0o700) for name in PRIVATE]:
        path = os.path.join(root, name) if name else root
        if not os.path.isdir(path):
            try:
                # Another run may be making the same.
                os.makedirs(path, exist_ok=True)
            except OSError as error:
                raise FleetError(
                    "environments_root: %s can't be made: %s. Next: choose a folder that can be written, or run with "
                    "become: true." % (path, error.strerror)
                ) from error
            changed = True
        if os.stat(path).st_mode & 0o7777 != mode:
            os.chmod(path, mode)
            changed = True
    return changed


@contextlib.contextmanager
def scratch_folder(root: str) -> Iterator[str]:
    """An empty folder for one step's temporary files; what killed steps have left goes too. Only under the lock."""
    path = os.path.join(root, "scratch")
    shutil.rmtree(path, ignore_errors=True)
    _tidy(root)
    os.makedirs(path, mode=0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _tidy(root: str) -> None:
    """Remove what killed steps and controllers have left where no name of it is ever used again."""
    oldest = time.time() - LEFT_SECONDS
    for name in LEFT_IN:
        folder = os.path.join(root, name)
        for entry in os.scandir(folder) if os.path.isdir(folder) else ():
            ours = name in JOB_FOLDERS or (entry.name.startswith(files.TEMPORARY) and entry.name != MARKER)
            if ours and not entry.is_dir() and entry.stat(follow_symlinks=False).st_mtime < oldest:
                files.remove_quietly(entry.path)


def archive_path(root: str, package: Package) -> str:
    """Where its archive lies: conda's as conda wants them, wheels by their hash (file names are not unique)."""
    if package.manager == "conda":
        return os.path.join(root, "pkgs", package.filename)
    return os.path.join(root, "wheels", package.sha256, package.filename)


def extracted_path(root: str, package: Package) -> str:
    """The folder that conda unpacks a package into."""
    name = package.filename
    return os.path.join(root, "pkgs", name[: -len(".conda")] if name.endswith(".conda") else name[: -len(".tar.bz2")])


def missing(root: str, packages: Sequence[Package]) -> List[Package]:
    """Those whose archive is not there; whether it is whole is seen when it is fetched."""
    return [package for package in packages if not os.path.isfile(archive_path(root, package))]


def damaged_archives(root: str, packages: Sequence[Package]) -> List[Tuple[Package, str]]:
    """The archives that a build would read and that are missing, or not what the lock says, each with what is wrong.

    Of what conda has unpacked the archive is not read: that is verified by itself (drop_damaged).
    """

    def wrong(package: Package) -> Optional[str]:
        path = archive_path(root, package)
        if not os.path.isfile(path):
            return "is missing"
        if package.manager == "conda" and os.path.isdir(extracted_path(root, package)):
            return None
        return None if files.sha256_file(path) == package.sha256.lower() else "differs from its sha256"

    with concurrent.futures.ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
        found = zip(packages, pool.map(wrong, packages))
        return [(package, said) for package, said in found if said]


def needed_bytes(root: str, packages: Sequence[Package]) -> int:
    """About how much the file system of ROOT has to take yet until these packages are an environment."""
    absent = set(missing(root, packages))
    need = 0
    for package in packages:
        size = package.size or _size_of(archive_path(root, package)) or UNKNOWN_SIZE
        unpacked = package.manager == "conda" and os.path.isdir(extracted_path(root, package))
        need += (size if package in absent else 0) + (0 if unpacked else size * UNPACKED)
    return need


def check_space(root: str, packages: Sequence[Package], done: str) -> None:
    """FleetError where what is to be fetched and unpacked would not fit. `done` ends it: `Nothing was fetched.`"""
    need, free = needed_bytes(root, packages), files.free_bytes(root)
    if need > free:
        raise FleetError(
            "environments_root: %s has %s free, and about %s are needed for %d packages. %s "
            "Next: free some space, or choose another file system."
            % (root, amount(free), amount(need), len(packages), done)
        )


def fetch_all(
    root: str,
    packages: Sequence[Package],
    depot_url: Optional[str],
    depot_origins: Optional[Mapping[str, str]],
    progress: Progress,
    access: Optional[download.Access] = None,
) -> Dict[str, Any]:
    """Have every archive, verified; {fetched: number, bytes: number}. A fetch that was cut short is resumed."""
    sizes: Dict[str, int] = {}
    guard = threading.Lock()
    total = sum(package.size or 0 for package in packages) if all(package.size for package in packages) else None
    failed = threading.Event()

    def report(package: Package) -> Callable[[int, Optional[int]], None]:
        def note(have: int, _total: Optional[int]) -> None:
            with guard:
                sizes[package.url] = have
                progress("fetch", sum(sizes.values()), total, "bytes", package.name)

        return note

    def fetch_one(package: Package) -> bool:
        if failed.is_set():
            return False
        path = archive_path(root, package)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        try:
            url = origins.rewrite(package.url, depot_origins, depot_url)
            done = download.fetch(
                url, path, sha256=package.sha256, size=package.size, access=access, progress=report(package)
            )
        except DiskError:
            failed.set()
            # Nobody resumes it where there is no room, and the room is wanted for saying so.
            files.remove_quietly(path + ".part")
            raise
        except FleetError:
            failed.set()
            raise
        if not done:
            # Needed again: a collection leaves it alone until it is built.
            os.utime(path)
        if done and package.manager == "conda":
            # What was unpacked from an archive that is no longer this one.
            shutil.rmtree(extracted_path(root, package), ignore_errors=True)
        with guard:
            sizes[package.url] = os.path.getsize(path)
            progress("fetch", sum(sizes.values()), total, "bytes", package.name)
        return done

    progress("fetch", 0, total, "bytes", "%d packages" % len(packages))
    with concurrent.futures.ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
        done = list(pool.map(fetch_one, packages))
    fetched = [package for package, was in zip(packages, done) if was]
    return {"fetched": len(fetched), "bytes": sum(sizes[package.url] for package in fetched)}


def drop_damaged(root: str, packages: Sequence[Package], progress: Progress) -> List[str]:
    """Remove unpacked conda packages that differ from their own list; conda unpacks them again from the archive.

    They are hard-linked into environments: a file edited there is edited here, and would be in every later build.
    """
    conda = [package for package in packages if package.manager == "conda"]
    present = [package for package in conda if os.path.isdir(extracted_path(root, package))]

    def check(package: Package) -> Optional[str]:
        return damage(extracted_path(root, package), package)

    dropped = []
    with concurrent.futures.ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
        for index, (package, found) in enumerate(zip(present, pool.map(check, present))):
            progress("verify", index + 1, len(present), "packages", package.name)
            if found:
                shutil.rmtree(extracted_path(root, package))
                dropped.append("%s: %s" % (package.name, found))
    return dropped


def damage(folder: str, package: Package) -> Optional[str]:
    """What is wrong with an unpacked conda package, or None."""
    record = files.read_json(os.path.join(folder, "info", "repodata_record.json"), {})
    if record.get("sha256") not in (None, package.sha256) or record.get("md5") not in (None, package.md5):
        return "it was unpacked from another archive"
    if record.get("channel") == "<unknown>":
        return "it was unpacked before its URL was known, so conda would look for it elsewhere"
    listed = files.read_json(os.path.join(folder, "info", "paths.json"))
    if not isinstance(listed, dict):
        return "info/paths.json is missing or unreadable"
    for entry in listed.get("paths") or []:
        path = os.path.join(folder, entry["_path"])
        if entry.get("path_type") == "softlink":
            if not os.path.islink(path):
                return "%s is missing" % entry["_path"]
        elif not os.path.isfile(path):
            return "%s is missing" % entry["_path"]
        elif entry.get("sha256") and files.sha256_file(path) != entry["sha256"]:
            return "%s differs from its sha256" % entry["_path"]
    return None


def register_urls(root: str, packages: Sequence[Package]) -> None:
    """Tell conda where the archives in its cache come from: their canonical URLs, never a depot's.

    conda takes an archive for the one that is asked for only by this list, and copies the URL into its records.
    """
    path = os.path.join(root, "pkgs", "urls.txt")
    known = (files.read_text(path) or "").split()
    urls = [package.url for package in packages if package.manager == "conda"]
    # The last line for a file name is the one that counts.
    lines = [url for url in known if url not in set(urls)] + urls
    if lines != known:
        files.write_atomic(path, "".join(line + "\n" for line in lines), 0o600)


def _size_of(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
