"""Where a finished embedded depot goes: kept in the cache, and laid into the folder that was asked for."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from condafleet.depot import manifest
from condafleet.depot.cache import Progress
from condafleet.depot.files import link_or_copy, megabytes, sha256_of
from condafleet.errors import DepotError, InputError

ROOM = 3 << 30
"""Bytes that a first build may need beside what is cached: wheels once as pip keeps them, once as the cache does."""
KEPT = 3
"""Finished depots that stay in the cache."""
UNFINISHED = ".condafleet-unfinished"
"""Stands in a folder that is being made a depot."""


@dataclass(frozen=True)
class DepotSummary:
    """A depot that was built: `bytes` is the size of its `files` files, `manifest_sha256` is what a controller pins."""

    path: Path
    manifest_sha256: str
    kind: str
    platform: str
    files: int
    bytes: int


def check_directory(directory: Path) -> None:
    """Refuse what is neither missing nor empty nor an embedded depot. Raises InputError."""
    if not directory.exists():
        return
    if not directory.is_dir():
        raise InputError(f"directory: {directory} is not a folder. Next step: name a new or empty folder.")
    if not any(directory.iterdir()) or (directory / UNFINISHED).is_dir():
        return
    try:
        kind = manifest.read(directory).kind
    except DepotError:
        kind = ""
    if kind != "embedded":
        raise InputError(
            f"directory: {directory} holds something that is not an embedded depot, and is left as it is. "
            "Accepted: a missing or empty folder, or an embedded depot (it is replaced). "
            "Next step: name another folder."
        )


def check_room(root: Path) -> None:
    """Refuse to begin where a build would run out of room. Raises DepotError."""
    free = shutil.disk_usage(root).free
    if free < ROOM:
        raise DepotError(
            f"{root} has {megabytes(free)} free; a first build may need {megabytes(ROOM)}. "
            "Next step: make room, or name another cache folder (XDG_CACHE_HOME)."
        )


def is_whole(finished: Path) -> bool:
    """Whether a finished depot in the cache still is what its manifest says."""
    try:
        entries = manifest.read(finished).files
        return all(sha256_of(finished / name) == entry.sha256 for name, entry in entries.items())
    except (DepotError, OSError):
        return False


def prune(root: Path, *, keep: Path) -> None:
    """Drop all but the newest finished depots, and the packages and installers that only those held."""
    others = [path for path in keep.parent.iterdir() if path != keep]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)
    for kind in ("packages", "installers"):
        for artefact in (root / kind).glob("*/[!.]*"):
            if artefact.stat().st_nlink == 1:  # no depot holds a hard link to it
                shutil.rmtree(artefact.parent, ignore_errors=True)


def fill(directory: Path, finished: Path, tell: Progress) -> DepotSummary:
    """Put the finished depot into DIRECTORY. The manifest comes last: without it, a folder is no depot.

    Only folders that belong to an embedded depot are replaced; whatever else lies there stays.
    """
    made = manifest.read(finished)
    summary = DepotSummary(directory, made.sha256, made.kind, made.platform, len(made.files), made.bytes)
    fresh = directory / UNFINISHED
    shutil.rmtree(fresh, ignore_errors=True)
    for name in made.files:
        link_or_copy(finished / name, fresh / name)
    (directory / manifest.NAME).unlink(missing_ok=True)
    for part in sorted(path.name for path in fresh.iterdir()):
        if (directory / part).exists():
            (directory / part).rename(fresh / f"former-{part}")
        (fresh / part).rename(directory / part)
    partial = fresh / manifest.NAME
    shutil.copyfile(finished / manifest.NAME, partial)
    partial.rename(directory / manifest.NAME)
    shutil.rmtree(fresh)
    tell(f"depot ready: {directory}, {summary.files} files, {megabytes(summary.bytes)}")
    return summary
