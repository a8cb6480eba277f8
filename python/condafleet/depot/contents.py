"""What a depot offers, for people: installers, conda packages, wheels, data sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from condafleet.depot import manifest
from condafleet.depot.manifest import Installer, Manifest


@dataclass(frozen=True)
class Item:
    """One package or data set; `size` in bytes, `build` is empty for wheels and data sets."""

    name: str
    version: str
    build: str
    size: int
    path: str


@dataclass(frozen=True)
class DepotContents:
    """Everything of use in a depot, each list sorted by name."""

    path: Path
    kind: str
    platform: str
    glibc: str
    python: str
    manifest_sha256: str
    bytes: int
    installers: tuple[Installer, ...]
    conda_packages: tuple[Item, ...]
    wheels: tuple[Item, ...]
    datasets: tuple[Item, ...]


def contents(directory: Path) -> DepotContents:
    """Read what the depot in DIRECTORY offers, from its manifest alone. Raises DepotError when that cannot be read."""
    listed = manifest.read(Path(directory))
    return DepotContents(
        path=Path(directory),
        kind=listed.kind,
        platform=listed.platform,
        glibc=listed.glibc,
        python=listed.python,
        manifest_sha256=listed.sha256,
        bytes=listed.bytes,
        installers=tuple(listed.installers),
        conda_packages=_conda_packages(listed),
        wheels=_wheels(listed),
        datasets=tuple(
            Item(
                name,
                "",
                "",
                sum(file.size for file in dataset.files),
                str(PurePosixPath(dataset.files[0].path).parent) if dataset.files else "",
            )
            for name, dataset in sorted(listed.datasets.items())
        ),
    )


def _conda_packages(listed: Manifest) -> tuple[Item, ...]:
    found = []
    for path, entry in listed.files.items():
        if path.endswith(".conda"):
            # NAME-VERSION-BUILD: only the name may hold a hyphen.
            name, version, build = PurePosixPath(path).name.removesuffix(".conda").rsplit("-", 2)
            found.append(Item(name, version, build, entry.size, path))
    return tuple(sorted(found, key=lambda item: (item.name, item.version, item.build)))


def _wheels(listed: Manifest) -> tuple[Item, ...]:
    found = []
    for path, entry in listed.files.items():
        if path.endswith(".whl"):
            try:
                name, version, _, _ = parse_wheel_filename(PurePosixPath(path).name)
            except InvalidWheelFilename:
                continue
            found.append(Item(name, str(version), "", entry.size, path))
    return tuple(sorted(found, key=lambda item: (item.name, item.version)))
