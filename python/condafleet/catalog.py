"""Catalogs of installers: reading the built-in one, and adding to one of the site's own."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ansible_collections.condafleet.core.plugins.module_utils import catalog as known
from ansible_collections.condafleet.core.plugins.module_utils import download
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError as NodeError
from condafleet.collection import collection_root
from condafleet.errors import InputError

BUILT_IN = "ansible_collections/condafleet/core/roles/miniconda/files/installers.json"
PLATFORMS = {"linux-64": "x86_64", **{f"linux-{arch}": arch for arch in known.ARCHITECTURES[1:]}}
HEADER_BYTES = 4096
# constructor writes `# NAME:  Miniforge3` and so on; the embedded installer says it in shell.
FIELDS = {"name": ("NAME", "name"), "version": ("VER", "version"), "platform": ("PLAT", "platform")}

Say = Callable[[str], None]


@dataclass(frozen=True)
class Added:
    """One installer in a catalog; `trust` says where its sha256 came from."""

    entry: dict[str, Any]
    trust: str
    new: bool


@dataclass(frozen=True)
class Version:
    """One version of a distribution."""

    distribution: str
    version: str
    architectures: list[str]


def distributions(catalog: Mapping[str, Any]) -> list[str]:
    """What is known, by name."""
    return list(known.distributions(catalog))


def versions(catalog: Mapping[str, Any], names: list[str]) -> list[Version]:
    """Every version of these distributions, newest first."""
    return [
        Version(name, version, sorted(known.entries(catalog, name, version)))
        for name in names
        for version in known.versions(catalog, name)
    ]


def read(own: Path | None = None) -> dict[str, Any]:
    """The built-in catalog, with the site's own over it. Raises InputError."""
    built_in: dict[str, Any] = json.loads((collection_root() / BUILT_IN).read_text(encoding="utf-8"))
    return dict(known.merge(built_in, read_own(own))) if own else built_in


def add(file: Path, places: list[str], *, sha256: str | None = None, say: Say = lambda text: None) -> list[Added]:
    """Add installers, given by URL or path, to the catalog `file`; nothing is written unless all can be added.

    The sha256 is the caller's, else the publisher's own `URL.sha256`, else that of what came, which is then said.
    Raises InputError.
    """
    if sha256 is not None and (len(places) != 1 or not re.fullmatch(r"[0-9a-fA-F]{64}", sha256)):
        raise InputError(
            f"--sha256: {sha256} is not accepted with {len(places)} installers. Accepted: 64 hexadecimal digits, with "
            "one installer. Next: add them one by one. Nothing was written."
        )
    own = read_own(file) if file.exists() else {"base_url": {}, "installers": []}
    everything = known.merge(read(), own)
    added = []
    for place in places:
        try:
            one = _look(place, sha256.lower() if sha256 else None, everything, say)
        except NodeError as error:
            raise InputError(f"{error.message} Nothing was written.") from error
        own = known.merge(own, {"installers": [one.entry]})
        everything = known.merge(everything, own)
        added.append(one)
    known.check("FILE", str(file), own)
    _write(file, own)
    return added


def read_own(file: Path) -> dict[str, Any]:
    """A catalog of the site's own. Raises InputError."""
    try:
        return dict(known.check("FILE", str(file), json.loads(file.read_text(encoding="utf-8"))))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(
            f"FILE: {file} can't be read ({why}). Accepted: a catalog as `condafleet catalog add` writes it, or a new "
            "file. Next: correct the path. Nothing was written."
        ) from error
    except NodeError as error:
        raise InputError(f"{error.message} Nothing was written.") from error


def rendered(catalog: Mapping[str, Any]) -> str:
    """The text of a catalog: one installer a line, sorted, so that a change is one line of a diff."""
    lines = ",\n".join("  " + json.dumps(entry) for entry in catalog["installers"])
    return f'{{"base_url": {json.dumps(catalog["base_url"], sort_keys=True)},\n "installers": [\n{lines}\n ]}}\n'


def header_of(content: bytes, place: str) -> dict[str, str]:
    """{name, version, platform} as the installer's own first lines say them. Raises InputError."""
    head = content[:HEADER_BYTES].decode("utf-8", "replace")
    found = {}
    for field, (comment, variable) in FIELDS.items():
        said = re.search(rf"^# {comment}:\s*(\S+)\s*$|^{variable}='([^']+)'$", head, re.MULTILINE)
        if not head.startswith("#!") or not said:
            raise InputError(
                f"{place}: its first lines name no {field}. Accepted: an installer (.sh) that constructor made, such "
                "as Miniconda's. Next: correct the address. Nothing was written."
            )
        found[field] = said.group(1) or said.group(2)
    return found


def entry_of(header: Mapping[str, str], filename: str, sha256: str, size: int, place: str) -> dict[str, Any]:
    """What the catalog holds of an installer. Raises InputError for a platform that no node has."""
    if header["platform"] not in PLATFORMS:
        raise InputError(
            f"{place}: it is for {header['platform']}. Accepted: installers for {', '.join(PLATFORMS)}. "
            "Next: take the one for Linux. Nothing was written."
        )
    return {
        "distribution": known.distribution_of(header["name"]),
        "version": header["version"],
        "arch": PLATFORMS[header["platform"]],
        "file": filename,
        "sha256": sha256,
        "size": size,
    }


def _look(place: str, sha256: str | None, everything: Mapping[str, Any], say: Say) -> Added:
    is_url = bool(re.match(r"https?://", place))
    path = None if is_url else _local(place)
    filename = unquote(urlsplit(place).path).rsplit("/", 1)[-1] if path is None else path.name
    if not re.fullmatch(known.FIELDS["file"], filename) or "@" in urlsplit(place).netloc:
        raise InputError(
            f"{download.mask(place)}: is not accepted. Accepted: a path or an http(s) URL without credentials whose "
            "file name ends in .sh. Next: correct it. Nothing was written."
        )
    said = _published(place) if path is None else None
    with tempfile.TemporaryDirectory(prefix="condafleet-catalog-") as folder:
        if path is None:
            say(f"fetching {place}")
            path = Path(folder) / filename
            download.fetch_unverified(place, str(path), say=say)
        with path.open("rb") as stream:
            head = stream.read(HEADER_BYTES)
            stream.seek(0)
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        size = path.stat().st_size
    trust = _trust(place, found, sha256, said)
    entry = entry_of(header_of(head, place), filename, found, size, place)
    former = known.entries(everything, entry["distribution"], entry["version"]).get(entry["arch"])
    if former and former["sha256"] != found:
        raise InputError(
            f"{place}: has sha256 {found}, but the catalog knows {entry['distribution']} {entry['version']} for "
            f"{entry['arch']} with {former['sha256']}. Accepted: the file that is known, or another version. Next: "
            "see who changed it; if it is right, remove that line from the catalog first. Nothing was written."
        )
    if is_url and known.upstream(everything, entry) != place:
        entry["url"] = place
    elif not is_url:
        entry["path"] = str(path.absolute())
    return Added(entry, trust, former is None)


def _local(place: str) -> Path:
    path = Path(unquote(urlsplit(place).path)) if place.startswith("file:///") else Path(place).expanduser()
    if not path.is_file():
        raise InputError(
            f"{place}: there is no such file. Accepted: a path or an http(s) URL of an installer. Next: correct it. "
            "Nothing was written."
        )
    return path


def _published(url: str) -> str | None:
    """The sha256 in the publisher's file beside the installer, where there is one."""
    try:
        text = download.read(url + ".sha256", limit=4096).decode("ascii", "replace")
    except NodeError:
        return None
    found = re.match(r"\s*([0-9a-fA-F]{64})\b", text)
    return found.group(1).lower() if found else None


def _trust(place: str, found: str, given: str | None, published: str | None) -> str:
    for source, expected in (("--sha256", given), (f"{place}.sha256", published)):
        if expected and expected != found:
            raise InputError(
                f"{place}: has sha256 {found}, expected {expected} ({source}). Accepted: the file that was meant. "
                "Next: see who changed it. Nothing was written."
            )
    if given and published:
        return "as you gave it, and as the publisher's own .sha256 file says"
    if given:
        return "as you gave it"
    if published:
        return "as the publisher's own .sha256 file says, from the same server"
    return "computed from what was read; nobody has confirmed it: compare it with the publisher's page"


def _write(file: Path, catalog: Mapping[str, Any]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(rendered(catalog))
        Path(name).chmod(0o644)
        Path(name).replace(file)
    except OSError as error:
        raise InputError(
            f"FILE: {file} can't be written ({error.strerror}). Accepted: a file that you may write. Next: choose one."
        ) from error
