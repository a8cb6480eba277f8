"""Is a depot still what its manifest says? Every byte is read."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from condafleet.depot import manifest
from condafleet.depot.cache import Progress
from condafleet.depot.files import megabytes, sha256_of
from condafleet.depot.manifest import FileEntry

Problem = Literal["missing", "damaged", "unexpected", "unreadable", "manifest"]
TOLD_EVERY = 1 << 28
"""Bytes between two lines of progress."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as the manifest says; `path` is relative to the depot."""

    path: str
    problem: Problem
    detail: str


@dataclass(frozen=True)
class VerifyResult:
    """What was found: `files` and `bytes` are what the manifest lists, `manifest_sha256` is what it has now."""

    path: Path
    manifest_sha256: str
    files: int
    bytes: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether the depot is exactly what its manifest (and the pinned digest, if one was given) says."""
        return not self.findings


def verify(directory: Path, *, expected_sha256: str | None = None, progress: Progress | None = None) -> VerifyResult:
    """Compare every file of the depot in DIRECTORY with its manifest: size, SHA-256, missing ones, extra ones.

    EXPECTED_SHA256 (hex) is the digest of manifest.json that the controller pinned; without it, a depot that was
    changed together with its manifest passes. Findings are returned, never raised. Raises DepotError when there is no
    manifest or it cannot be read.
    """
    directory = Path(directory)
    listed = manifest.read(directory)
    findings: list[Finding] = []
    if expected_sha256 and listed.sha256 != expected_sha256.lower():
        findings.append(Finding(manifest.NAME, "manifest", f"sha256 is {listed.sha256}, pinned is {expected_sha256}"))
    present = manifest.list_files(directory)
    done = told = 0
    # Hashing releases the interpreter lock, so threads use every core and any disk queue.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        names = sorted(listed.files)
        for name, finding in zip(
            names, pool.map(lambda name: _check(directory, name, listed.files[name]), names), strict=True
        ):
            if finding:
                findings.append(finding)
            done += listed.files[name].size
            if progress and done - told >= TOLD_EVERY:
                told = done
                progress(f"verified {megabytes(done)} of {megabytes(listed.bytes)}")
    for name in sorted(set(present) - set(listed.files)):
        findings.append(Finding(name, "unexpected", "not in the manifest"))
    if progress:
        progress(f"verified {len(listed.files)} files, {megabytes(listed.bytes)}, {len(findings)} findings")
    return VerifyResult(directory, listed.sha256, len(listed.files), listed.bytes, tuple(findings))


def _check(directory: Path, name: str, entry: FileEntry) -> Finding | None:
    path = directory / name
    try:
        if path.is_symlink():
            return Finding(name, "unexpected", "a symbolic link stands where a file belongs")
        if not path.is_file():
            return Finding(name, "missing", "not there")
        size = path.stat().st_size
        if size != entry.size:
            return Finding(name, "damaged", f"{size} bytes, listed are {entry.size}")
        found = sha256_of(path)
    except OSError as problem:
        return Finding(name, "unreadable", str(problem.strerror or problem))
    return None if found == entry.sha256 else Finding(name, "damaged", f"sha256 is {found}, listed is {entry.sha256}")
