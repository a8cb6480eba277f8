"""A conda channel out of `.conda` files: repodata and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard
from conda_package_streaming.package_streaming import stream_conda_info

from condafleet.depot.files import link_or_copy, md5_of, sha256_of
from condafleet.errors import DepotError

VIRTUAL = "__"


@dataclass(frozen=True)
class Record:
    """One package of the channel."""

    name: str
    filename: str
    path: Path
    data: dict[str, Any]

    @property
    def depends(self) -> list[str]:
        """Match specs."""
        return list(self.data["depends"])


def read_record(path: Path) -> Record:
    """The repodata record of a finished package: its `info/index.json`, digests and size."""
    for entry, member in stream_conda_info(path):
        if member.name == "info/index.json":
            body = entry.extractfile(member)
            index: dict[str, Any] = json.load(body) if body else {}
            break
    data = {**index, "md5": md5_of(path), "sha256": sha256_of(path), "size": path.stat().st_size}
    return Record(index["name"], path.name, path, data)


def closure(roots: Iterable[str], records: Sequence[Record]) -> list[Record]:
    """ROOTS and all that they need, sorted by name; DepotError when the channel lacks something."""
    by_name = {one.name: one for one in records}
    wanted: dict[str, Record] = {}
    queue = [(root, "the installer") for root in roots]
    while queue:
        name, wanted_by = queue.pop()
        if name in wanted or name.startswith(VIRTUAL):
            continue
        if name not in by_name:
            raise DepotError(
                f"The channel has no {name}, which {wanted_by} depends on. "
                "Next step: add it to [channel] in the depot's embedded.toml."
            )
        wanted[name] = by_name[name]
        queue += [(spec.split()[0], name) for spec in by_name[name].depends]
    return [wanted[name] for name in sorted(wanted)]


def write(folder: Path, subdir: str, records: Sequence[Record]) -> None:
    """Write the channel with its packages under FOLDER; every dependency must be in it (else DepotError)."""
    closure((one.name for one in records), records)
    for place, held in ((subdir, records), ("noarch", ())):
        target = folder / place
        target.mkdir(parents=True)
        for one in held:
            link_or_copy(one.path, target / one.filename)
        body = repodata(place, held)
        for name in ("repodata.json", "current_repodata.json"):
            (target / name).write_bytes(body)
        (target / "repodata.json.zst").write_bytes(zstandard.ZstdCompressor(level=19).compress(body))


def repodata(subdir: str, records: Iterable[Record]) -> bytes:
    """`repodata.json` of one folder of the channel."""
    packages = {one.filename: one.data for one in sorted(records, key=lambda one: one.filename)}
    whole = {
        "info": {"subdir": subdir},
        "packages": {},
        "packages.conda": packages,
        "removed": [],
        "repodata_version": 1,
    }
    return (json.dumps(whole, indent=1, sort_keys=True) + "\n").encode()
