"""A channel of made-up packages in the size and shape of a large public one: `python -m … FOLDER RECORDS SEED`.

Many versions of each name, builds for each Python, a few packages that half of the others need, and ranges on what they
need. The same records and seed give the same bytes. Metadata only: it can be solved from, and not installed.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
KINDS = {"noarch": 1, "compiled": 2, "python": len(PYTHONS)}  # records of one version
MOST_VERSIONS = 150
ROOTS = 12  # how many names a spec asks for


@dataclass
class Project:
    """One name, with what it needs. `kind` is noarch, compiled, or python: compiled for each Python."""

    name: str
    kind: str
    versions: int
    needs: list[Project] = field(default_factory=list)

    def version(self, number: int) -> str:
        """Five major versions over a project's life, however many releases it has."""
        return f"{1 + number * 5 // self.versions}.{number}"


def make_projects(records: int, chance: random.Random) -> list[Project]:
    """Projects with so many records together. Each needs only such as stand before it, and rather the first ones."""
    found: list[Project] = []
    left = records - 2 * len(PYTHONS)
    while left > 0:
        number = len(found)
        kind = chance.choices(tuple(KINDS), (50, 20, 30))[0] if left >= max(KINDS.values()) else "noarch"
        # Most names have a handful of versions, some a hundred.
        versions = min(MOST_VERSIONS, int(chance.paretovariate(0.9) * 4), left // KINDS[kind])
        one = Project(f"{kind}-{number}", kind, versions)
        for _ in range(min(number, chance.randint(0, 9))):
            other = found[int(number * chance.random() ** 3)]
            if other not in one.needs:
                one.needs.append(other)
        found.append(one)
        left -= versions * KINDS[kind]
    return found


def requirement(need: Project, age: float, chance: random.Random) -> str:
    """What a release of this age (0 to 1) asks of another project: a least version, at times a greatest major one."""
    number = int(age * (need.versions - 1))
    least = need.version(int(number * chance.uniform(0.5, 1)))
    major = int(need.version(number).split(".")[0])
    return f"{need.name} >={least}" + (f",<{major + 1}.0a0" if chance.random() < 0.3 else "")


def records_of(project: Project, chance: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """All records of one project: (platform, record)."""
    found = []
    for number in range(project.versions):
        age = number / max(1, project.versions - 1)
        depends = [requirement(need, age, chance) for need in project.needs]
        if project.kind == "noarch":
            found.append(("noarch", record(project, number, "pyhd_0", ["python >=3.9", *depends])))
        elif project.kind == "compiled":
            found += [
                ("linux-64", record(project, number, f"h{build}_{build}", ["__glibc >=2.17", *depends], build))
                for build in range(KINDS["compiled"])
            ]
        else:
            for python in PYTHONS:
                minor = int(python.split(".")[1])
                own = [f"python >={python},<3.{minor + 1}.0a0", f"python_abi {python}.* *_cp3{minor}", "__glibc >=2.17"]
                found.append(("linux-64", record(project, number, f"py3{minor}_0", [*own, *depends])))
    return found


def record(project: Project, number: int, build: str, depends: list[str], build_number: int = 0) -> dict[str, Any]:
    return entry(project.name, project.version(number), build, depends, build_number, 1_500_000_000 + number)


def entry(name: str, version: str, build: str, depends: list[str], number: int = 0, second: int = 0) -> dict[str, Any]:
    sha256 = hashlib.sha256(f"{name}-{version}-{build}".encode()).hexdigest()
    return {
        "build": build, "build_number": number, "depends": depends, "license": "BSD-3-Clause", "md5": sha256[:32],
        "name": name, "sha256": sha256, "size": 100_000 + int(sha256[:5], 16), "timestamp": second * 1000,
        "version": version,
    }  # fmt: skip


def write(folder: Path, records: int, seed: int) -> dict[str, Any]:
    """Write repodata.json and repodata.json.zst for both platforms; {records, names, spec}."""
    chance = random.Random(seed)
    found = make_projects(records, chance)
    packages: dict[str, dict[str, Any]] = {"linux-64": {}, "noarch": {}}
    for python in PYTHONS:
        abi = f"{python.replace('.', '')}"
        for one in (
            entry("python", f"{python}.9", f"h0_0_cp{abi}", [f"python_abi {python}.* *_cp{abi}", "__glibc >=2.17"]),
            entry("python_abi", python, f"8_cp{abi}", []),
        ):
            packages["linux-64"][f"{one['name']}-{one['version']}-{one['build']}.conda"] = one
    for project in found:
        for platform, one in records_of(project, chance):
            one["subdir"] = platform
            packages[platform][f"{one['name']}-{one['version']}-{one['build']}.conda"] = one
    for platform, held in packages.items():
        body = {"info": {"subdir": platform}, "packages": {}, "packages.conda": held, "repodata_version": 1}
        text = json.dumps(body, separators=(",", ":")).encode()
        place = folder / platform
        place.mkdir(parents=True)
        (place / "repodata.json").write_bytes(text)
        (place / "repodata.json.zst").write_bytes(zstandard.ZstdCompressor(level=3).compress(text))
    count = sum(map(len, packages.values()))
    # Late ones stand on many others, as frameworks do.
    late = [one.name for one in found[len(found) * 4 // 5 :] if len(one.needs) > 4][:ROOTS]
    return {"records": count, "names": len(found) + 2, "spec": ["python=3.12", *late]}


if __name__ == "__main__":
    print(json.dumps(write(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
