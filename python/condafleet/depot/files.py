"""Small file operations that several parts of the depot share."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from condafleet.errors import DepotError

CHUNK = 1 << 20


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, hex."""
    return _digest(path, "sha256")


def md5_of(path: Path) -> str:
    """MD5 of a file's content, hex: lock formats of the conda world require it; nothing trusts it."""
    return _digest(path, "md5")


def _digest(path: Path, algorithm: str) -> str:
    mark = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(CHUNK):
            mark.update(block)
    return mark.hexdigest()


def link_or_copy(source: Path, target: Path) -> None:
    """Give SOURCE a second name: a hard link on one file system, else a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def safe_relative(name: str) -> str:
    """Return NAME if it stays inside the folder that it is joined to; raise DepotError if not."""
    parts = name.split("/")
    if not name or name.startswith("/") or "\\" in name or "\0" in name or any(p in ("", ".", "..") for p in parts):
        raise DepotError(
            f"{name!r} is not a path inside the depot or package; nothing was written. "
            "Next step: get that file from its origin again."
        )
    return name


def megabytes(size: int) -> str:
    """SIZE in bytes, for people: `93.1 MB`."""
    return f"{size / 1e6:.1f} MB"
