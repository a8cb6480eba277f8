"""Write a staged folder as a `.conda` package, with the same bytes for the same content."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from condafleet.depot.files import sha256_of

PLACEHOLDER = "/opt/condafleet_prefix_placeholder_" + "x" * 45
"""Stands for the prefix in text files until the package is linked."""
EPOCH = 315532800
"""1980-01-01, the earliest time that a zip can hold: the mtime of everything."""
LEVEL = 12


@dataclass
class Package:
    """What goes into one conda package: STAGE is laid out as the prefix will be."""

    name: str
    version: str
    build: str
    subdir: str
    stage: Path
    depends: list[str] = field(default_factory=list)
    license: str = ""
    summary: str = ""
    home: str = ""
    prefix_files: set[str] = field(default_factory=set)
    licenses: dict[str, bytes] = field(default_factory=dict)
    build_number: int = 0

    @property
    def stem(self) -> str:
        """The file name without `.conda`."""
        return f"{self.name}-{self.version}-{self.build}"

    def index(self) -> dict[str, Any]:
        """`info/index.json`, which is also the core of the repodata record."""
        platform, _, arch = self.subdir.partition("-")
        index: dict[str, Any] = {
            "arch": {"64": "x86_64"}.get(arch, arch),
            "build": self.build,
            "build_number": self.build_number,
            "depends": sorted(self.depends),
            "license": self.license,
            "name": self.name,
            "platform": platform,
            "subdir": self.subdir,
            "timestamp": EPOCH * 1000,
            "version": self.version,
        }
        return index


def content_digest(stage: Path) -> str:
    """SHA-256 (hex) over names, modes and contents below STAGE, byte-compiled files left out."""
    mark = hashlib.sha256()
    for name in staged(stage):
        path = stage / name
        if name.endswith(".pyc"):
            continue
        body = str(path.readlink()) if path.is_symlink() else sha256_of(path)
        mark.update(f"{name}\0{_mode(path):o}\0{body}\n".encode())
    return mark.hexdigest()


def staged(stage: Path) -> list[str]:
    """Every file and link below STAGE, as sorted relative paths."""
    found = []
    for folder, folders, names in os.walk(stage):
        base = Path(folder)
        links = [name for name in folders if (base / name).is_symlink()]
        found += [(base / name).relative_to(stage).as_posix() for name in (*names, *links)]
    return sorted(found)


def write(package: Package, target: Path) -> None:
    """Write PACKAGE to the file TARGET."""
    names = staged(package.stage)
    info = {
        "info/about.json": _json({"home": package.home, "license": package.license, "summary": package.summary}),
        "info/files": "".join(f"{name}\n" for name in names).encode(),
        "info/index.json": _json(package.index()),
        "info/paths.json": _json({"paths": [_path_entry(package, name) for name in names], "paths_version": 1}),
        **{f"info/licenses/{name}": body for name, body in package.licenses.items()},
    }
    if package.prefix_files:
        lines = (f'"{PLACEHOLDER}" "text" "{name}"\n' for name in sorted(package.prefix_files))
        info["info/has_prefix"] = "".join(lines).encode()
    parts = {
        "metadata.json": b'{"conda_pkg_format_version": 2}',
        f"pkg-{package.stem}.tar.zst": _tar(_from_disk(package.stage, name) for name in names),
        f"info-{package.stem}.tar.zst": _tar(_from_memory(name, body) for name, body in sorted(info.items())),
    }
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, body in parts.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, body)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _mode(path: Path) -> int:
    if path.is_symlink():
        return 0o777
    return 0o755 if path.stat().st_mode & 0o111 else 0o644


def _path_entry(package: Package, name: str) -> dict[str, Any]:
    path = package.stage / name
    entry: dict[str, Any] = {"_path": name, "path_type": "softlink" if path.is_symlink() else "hardlink"}
    if path.is_file():  # a link's entry describes what it leads to
        entry |= {"sha256": sha256_of(path), "size_in_bytes": path.stat().st_size}
    if name in package.prefix_files:
        entry |= {"prefix_placeholder": PLACEHOLDER, "file_mode": "text"}
    return entry


Member = tuple[tarfile.TarInfo, bytes | Path | None]


def _from_disk(stage: Path, name: str) -> Member:
    path = stage / name
    entry = _member(name, _mode(path))
    if path.is_symlink():
        entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
        return entry, None
    entry.size = path.stat().st_size
    return entry, path


def _from_memory(name: str, body: bytes) -> Member:
    entry = _member(name, 0o644)
    entry.size = len(body)
    return entry, body


def _member(name: str, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.mtime = mode, EPOCH
    return entry


def _tar(members: Iterable[Member]) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for entry, body in members:
            if isinstance(body, Path):
                with body.open("rb") as stream:
                    archive.addfile(entry, stream)
            else:
                archive.addfile(entry, None if body is None else io.BytesIO(body))
    return zstandard.ZstdCompressor(level=LEVEL).compress(plain.getbuffer())
