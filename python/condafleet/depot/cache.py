"""The build cache: one build at a time, finished artefacts kept, nothing half-written ever looks finished."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from condafleet.depot.files import sha256_of
from condafleet.errors import DepotError

Progress = Callable[[str], None]
LOCK_LIMIT = 1800.0
"""Seconds that a build waits for another one."""


def default_cache_dir() -> Path:
    """`$XDG_CACHE_HOME/condafleet`, else `~/.cache/condafleet`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says that a relative value is to be ignored.
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return root / "condafleet"


@contextmanager
def exclusive(lock_file: Path, *, limit: float = LOCK_LIMIT, progress: Progress, pause: float = 0.2) -> Iterator[None]:
    """Hold LOCK_FILE. Waits up to LIMIT seconds for another process, saying so once; then raises DepotError."""
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _acquire(descriptor, lock_file, limit, progress, pause)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)  # releases the lock too


def _acquire(descriptor: int, lock_file: Path, limit: float, progress: Progress, pause: float) -> None:
    deadline = time.monotonic() + limit
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            if time.monotonic() >= deadline:
                raise DepotError(
                    f"Another build has held {lock_file} for more than {limit:.0f} s (process {holder}). "
                    "Next step: wait for it or stop it, then build again; what is finished is kept."
                ) from None
            if not told:
                progress(f"waiting for another build in this cache (process {holder}), at most {limit:.0f} s")
                told = True
            time.sleep(pause)
        else:
            return


class Store:
    """Finished artefacts under ROOT, each in a folder named after what it was made from.

    An artefact is used again only if its SHA-256 still is what it was when it was finished: depots hold hard links
    to it, so a file that was damaged there is damaged here too, and is then made anew.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def get(self, kind: str, key: str, name: str, *, sha256: str = "") -> Path | None:
        """The artefact, or None if it is missing or damaged. SHA256 is required of it, if given."""
        path = self.root / kind / key / name
        try:
            recorded = (path.parent / ".sha256").read_text().strip()
            whole = sha256_of(path) == recorded and sha256 in ("", recorded)
        except OSError:
            return None
        return path if whole else None

    def put(self, kind: str, key: str, name: str, make: Callable[[Path], None]) -> Path:
        """The artefact, made by MAKE (which writes the file it is given) unless it is there already."""
        found = self.get(kind, key, name)
        if found:
            return found
        with self.workspace() as work:
            made = work / "artefact" / name
            made.parent.mkdir()
            make(made)
            made.chmod(
                0o755 if made.stat().st_mode & 0o100 else 0o644
            )  # whoever serves a depot must be able to read it
            (made.parent / ".sha256").write_text(sha256_of(made) + "\n")
            final = self.root / kind / key
            final.parent.mkdir(parents=True, exist_ok=True)
            if final.exists():
                shutil.rmtree(final)
            made.parent.rename(final)
        return final / name

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """A fresh folder on the cache's own file system, gone afterwards."""
        place = self.root / "work"
        place.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place) as name:
            yield Path(name)

    def sweep(self) -> None:
        """Remove what interrupted builds left behind. Only the holder of the lock may call this."""
        shutil.rmtree(self.root / "work", ignore_errors=True)
