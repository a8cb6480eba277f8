"""Files that belong together, written all or none, as far as a file system allows."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from condafleet.errors import LockError


@dataclass(frozen=True)
class _File:
    """A file to be: its content stands ready at `new`, and what is to be put back, if anything, at `former`."""

    path: Path
    new: Path
    former: Path | None


def write_all(texts: Mapping[Path, str]) -> None:
    """Give each path its text, in this order. What holds it already stays untouched.

    All texts, and copies of what they replace, are complete on disk before the first name changes: a full disk or a
    folder that may not be written is noticed by then. Where a name can't be changed, those changed before are changed
    back. Raises LockError, which names the file and says what stands.
    """
    folders: list[Path] = []
    files: list[_File] = []
    path = Path()
    try:
        for path, text in texts.items():
            if not _holds(path, text):
                _make_folders(path.parent, folders)
                files.append(_prepared(path, text))
        for file in files:
            path = file.path
            file.new.replace(path)
    except BaseException as error:
        stuck = _put_back(files)
        _discard(files)
        for folder in reversed(folders):
            with contextlib.suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError):
            raise LockError(_said(path, error, stuck)) from error
        raise
    _discard(files)


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


def _make_folders(folder: Path, made: list[Path]) -> None:
    """The folder with all above it; those that were not there are added to `made`, the outermost first."""
    if not folder.is_dir():
        _make_folders(folder.parent, made)
        folder.mkdir()
        made.append(folder)


def _prepared(path: Path, text: str) -> _File:
    former = _beside(path, path.read_bytes()) if path.is_file() else None
    try:
        if former:
            shutil.copymode(path, former)
        return _File(path, _beside(path, text.encode()), former)
    except BaseException:
        if former:
            former.unlink()
        raise


def _beside(path: Path, content: bytes) -> Path:
    """A finished file in the same folder, to be renamed to `path`."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
    except BaseException:
        Path(name).unlink()
        raise
    return Path(name)


def _put_back(files: Sequence[_File]) -> list[tuple[Path, OSError]]:
    """What was there before, for each file whose name was changed; those where that failed are returned."""
    stuck = []
    for file in reversed(files):
        if file.new.exists():
            continue
        try:
            if file.former:
                file.former.replace(file.path)
            else:
                file.path.unlink()
        except OSError as error:
            stuck.append((file.path, error))
    return stuck


def _discard(files: Sequence[_File]) -> None:
    for name in [one for file in files for one in (file.new, file.former) if one]:
        with contextlib.suppress(OSError):
            name.unlink()


def _said(path: Path, error: OSError, stuck: Sequence[tuple[Path, OSError]]) -> str:
    wrong = (
        f"environments_locks_dir: {path} can't be written: {error.strerror}. Accepted: a folder that the user who "
        "locks may write. Next: correct environments_locks_dir or its permissions"
    )
    if not stuck:
        return f"{wrong}. Nothing was written: all locks are as they were."
    held = ", ".join(f"{one} ({why.strerror})" for one, why in stuck)
    return (
        f"{wrong}, and restore from Git, or delete, what could not be put back: {held}. That holds what was just "
        "solved; all other locks are as they were."
    )
