"""manifest.json: what a depot holds, with size and SHA-256 of every file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from condafleet.depot.files import safe_relative, sha256_of
from condafleet.errors import DepotError

NAME = "manifest.json"
ORIGIN = "https://depot.condafleet.invalid/embedded/"
"""Stands in locks for wherever the depot is; `.invalid` can never be looked up by accident (RFC 2606)."""
LARGEST = 64 << 20
"""Bytes of a manifest.json that are read at most."""


def _inside(path: str) -> str:
    try:
        return safe_relative(path)
    except DepotError as problem:
        raise ValueError(problem.message) from None


RelativePath = Annotated[str, AfterValidator(_inside)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class FileEntry(_Part):
    """One file; `size` in bytes."""

    sha256: Sha256
    size: int = Field(ge=0)


class Installer(FileEntry):
    """A conda installer."""

    distribution: str
    version: str
    conda_version: str
    arch: str
    path: RelativePath


class Place(_Part):
    """A folder of the depot."""

    path: RelativePath


class Tool(_Part):
    """A program for the nodes."""

    version: str
    path: RelativePath
    sha256: Sha256


class DatasetFile(FileEntry):
    """One file of a data set; `content_sha256` is that of the uncompressed content."""

    name: str
    path: RelativePath
    content_sha256: Sha256


class Dataset(_Part):
    """A data set."""

    files: list[DatasetFile]


class Manifest(_Part):
    """A depot as it describes itself. `location` (URL or path) and `sha256` (of manifest.json) say what was read."""

    schema_version: Literal[1]
    kind: str
    condafleet_version: str
    platform: str
    glibc: str
    python: str
    installers: list[Installer]
    channels: dict[str, Place]
    index: Place
    origins: dict[str, str]
    tools: dict[str, dict[str, Tool]]
    datasets: dict[str, Dataset]
    files: dict[RelativePath, FileEntry]

    _location: str = PrivateAttr(default="")
    _sha256: str = PrivateAttr(default="")

    @property
    def location(self) -> str:
        """Where the depot is: a path, `file://` or `http(s)://`, without a trailing slash."""
        return self._location

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of manifest.json as it was read."""
        return self._sha256

    @property
    def bytes(self) -> int:
        """Size of all listed files together."""
        return sum(entry.size for entry in self.files.values())


def to_json(manifest: Manifest) -> bytes:
    """The bytes of manifest.json: sorted, no times, so the same depot gives the same bytes."""
    return (json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True) + "\n").encode()


def parse(raw: bytes, location: str) -> Manifest:
    """Read the bytes of a manifest.json; DepotError names LOCATION and what is wrong."""
    try:
        manifest = Manifest.model_validate_json(raw)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DepotError(
            f"The manifest of the depot {location} is damaged or of an unknown kind: {where}: {first['msg']}. "
            "Accepted: schema_version 1. Next step: `condafleet depot build --embedded DIR` again, "
            "or point to another depot."
        ) from None
    manifest._location = location
    manifest._sha256 = hashlib.sha256(raw).hexdigest()
    return manifest


def read(directory: Path) -> Manifest:
    """The manifest of the depot in DIRECTORY. DepotError when there is none or it cannot be read."""
    path = directory / NAME
    try:
        raw = path.read_bytes()
    except OSError as problem:
        raise DepotError(
            f"No depot in {directory}: {path} cannot be read ({problem.strerror}). "
            f"Next step: condafleet depot build --embedded {directory}"
        ) from None
    return parse(raw, str(directory))


def open_depot(url: str, *, expected_sha256: str | None = None, timeout: float = 30.0) -> Manifest:
    """Read the manifest of a depot at a plain path, `file://…` or `http(s)://…`.

    TIMEOUT is in seconds, for connecting and for each pause of the server. EXPECTED_SHA256 (hex) is what the
    controller pinned. Raises DepotError, with URL and cause, when the depot is out of reach, damaged or another one.
    """
    base = url.removesuffix("/" + NAME).rstrip("/") or "/"
    raw = _read_http(base, timeout) if urlsplit(base).scheme in ("http", "https") else _read_local(base)
    found = hashlib.sha256(raw).hexdigest()
    if expected_sha256 and found != expected_sha256.lower():
        raise DepotError(
            f"The depot {url} is not the expected one: its manifest has sha256 {found}, pinned is "
            f"{expected_sha256}. Next step: find out who changed it; if that was meant, pin the new one."
        )
    return parse(raw, base)


def _read_local(base: str) -> bytes:
    parts = urlsplit(base)
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
        raise DepotError(f"{base} is no place for a depot. Accepted: a path, file:///PATH, http://… or https://….")
    path = Path(unquote(parts.path) if parts.scheme else base) / NAME
    try:
        return path.read_bytes()
    except OSError as problem:
        raise DepotError(
            f"No depot at {base}: {path} cannot be read ({problem.strerror}). Next step: "
            "check the path, or make one with `condafleet depot build --embedded DIR`."
        ) from None


def _read_http(base: str, timeout: float) -> bytes:
    import httpx  # 0.1 s that readers of local depots need not pay

    try:
        with httpx.stream("GET", f"{base}/{NAME}", timeout=timeout, follow_redirects=True) as answer:
            answer.raise_for_status()
            raw = b""
            for block in answer.iter_bytes():
                raw += block
                if len(raw) > LARGEST:
                    raise DepotError(f"{base}/{NAME} is larger than {LARGEST} bytes, so it is no manifest.")
            return raw
    except httpx.HTTPStatusError as problem:
        cause = f"the server answers {problem.response.status_code} {problem.response.reason_phrase}"
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        cause = f"{type(problem).__name__}: {problem}"
    raise DepotError(
        f"The depot {base} is out of reach: {cause}. Next step: check the address and that the depot is "
        "served (`condafleet depot serve`)."
    )


def list_files(directory: Path) -> dict[str, Path]:
    """Every file below DIRECTORY but its manifest, by relative path, sorted. Links count as files."""
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_symlink() or not path.is_dir():
            found[path.relative_to(directory).as_posix()] = path
    found.pop(NAME, None)
    return found


def describe(directory: Path) -> dict[str, dict[str, Any]]:
    """The `files` part of a manifest for what lies in DIRECTORY."""
    return {
        name: {"sha256": sha256_of(path), "size": path.stat().st_size} for name, path in list_files(directory).items()
    }
