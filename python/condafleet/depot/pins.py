"""The pins of the embedded depot, read from embedded.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PINS_FILE = Path(__file__).with_name("embedded.toml")


@dataclass(frozen=True)
class CondaPin:
    """Where conda's own code comes from."""

    version: str
    source: str
    tree: str
    sha256: str
    renamed: tuple[tuple[str, str], ...]
    depends: tuple[str, ...]


@dataclass(frozen=True)
class SourcePin:
    """A project that is published as source only."""

    sha256: str
    build_with: tuple[str, ...]


@dataclass(frozen=True)
class DatasetPin:
    """A data set: where it may be had, and the digest of each of its files."""

    npm: str
    npm_folder: str
    mirrors: tuple[str, ...]
    files: dict[str, str]


@dataclass(frozen=True)
class Pins:
    """Everything that embedded.toml says."""

    installer_name: str
    installer_version: str
    installer_base: tuple[str, ...]
    conda: CondaPin
    pythons: tuple[str, ...]
    sources: dict[str, SourcePin]
    channel: tuple[str, ...]
    channel_renamed: dict[str, str]
    channel_extra_depends: dict[str, tuple[str, ...]]
    index_always: tuple[str, ...]
    frameworks: dict[str, tuple[str, ...]]
    cpu_index: dict[str, str]
    versions: dict[str, str]
    datasets: dict[str, DatasetPin]


def load(path: Path = PINS_FILE) -> Pins:
    """Read the pins. The file is part of the package: a fault in it is a programming error and raises as it comes."""
    data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    conda, channel, index = data["conda"], data["channel"], data["index"]
    return Pins(
        installer_name=data["installer"]["name"],
        installer_version=data["installer"]["version"],
        installer_base=tuple(data["installer"]["base"]),
        conda=CondaPin(
            version=conda["version"],
            source=conda["source"],
            tree=conda["tree"],
            sha256=conda["sha256"],
            renamed=tuple((old, new) for old, new in conda["renamed"]),
            depends=tuple(conda["depends"]),
        ),
        pythons=tuple(data["python"]["accepted"]),
        sources={name: SourcePin(pin["sha256"], tuple(pin["with"])) for name, pin in data["source"].items()},
        channel=tuple(channel["packages"]),
        channel_renamed=dict(channel["renamed"]),
        channel_extra_depends={name: tuple(specs) for name, specs in channel["extra_depends"].items()},
        index_always=tuple(index["always"]),
        frameworks={name: tuple(roots) for name, roots in index["frameworks"].items()},
        cpu_index=dict(index["cpu"]),
        versions=dict(data["versions"]),
        datasets={
            name: DatasetPin(pin["npm"], pin["npm_folder"], tuple(pin["mirrors"]), dict(pin["files"]))
            for name, pin in data["datasets"].items()
        },
    )
