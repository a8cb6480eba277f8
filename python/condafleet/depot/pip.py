"""pip as a subprocess of the building interpreter: it knows the user's index, proxy and certificates."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from condafleet.errors import DepotError

LIMIT = 3600
"""Seconds that one pip call may take: gigabytes on a slow line."""
CUDA_NAMES = ("nvidia-", "triton", "cuda-")


@dataclass(frozen=True)
class Candidate:
    """One wheel as the index offers it, not yet fetched."""

    name: str
    version: str
    url: str
    sha256: str
    requires: tuple[str, ...]
    options: tuple[str, ...] = ()
    """Options for pip under which this wheel was found."""

    @property
    def filename(self) -> str:
        """The wheel's file name."""
        return unquote(urlsplit(self.url).path.rsplit("/", 1)[-1])

    @property
    def cpu_only(self) -> bool:
        """Whether it asks for no part of CUDA."""
        local = Version(self.version).local or ""
        if local.startswith("cpu"):
            return True
        names = (canonicalize_name(Requirement(line).name) for line in self.requires)
        return not local.startswith(("cu", "rocm")) and not any(name.startswith(CUDA_NAMES) for name in names)


def offered(requirements: Sequence[str], *, options: Sequence[str] = ()) -> list[Candidate]:
    """Ask the index what it would give for exact REQUIREMENTS, without their dependencies and without fetching."""
    output = run(
        [
            "install",
            "--dry-run",
            "--ignore-installed",
            "--no-deps",
            "--only-binary=:all:",
            "--quiet",
            "--report",
            "-",
            *options,
            *requirements,
        ],
        doing=f"ask the Python package index for {len(requirements)} pinned wheels",
    )
    return parse_report(output)


def parse_report(text: str) -> list[Candidate]:
    """Read pip's installation report (format version 1)."""
    report: dict[str, Any] = json.loads(text)
    found = []
    for item in report["install"]:
        metadata, source = item["metadata"], item["download_info"]
        digest = source.get("archive_info", {}).get("hashes", {}).get("sha256", "")
        found.append(
            Candidate(
                name=canonicalize_name(metadata["name"]),
                version=metadata["version"],
                url=source["url"],
                sha256=digest,
                requires=tuple(metadata.get("requires_dist", ())),
            )
        )
    return sorted(found, key=lambda candidate: candidate.name)


def closure(roots: Iterable[str], candidates: Iterable[Candidate]) -> set[str]:
    """Names of ROOTS and of all that they need here (markers of this interpreter). DepotError if a pin is missing."""
    by_name = {candidate.name: candidate for candidate in candidates}
    environment = {**{key: str(value) for key, value in default_environment().items()}, "extra": ""}
    wanted, queue = set[str](), list(roots)
    while queue:
        name = queue.pop()
        if name in wanted:
            continue
        if name not in by_name:
            raise DepotError(
                f"{name} is needed here, but has no pin in the depot's embedded.toml: the pins do not fit Python "
                f"{environment['python_version']} on {environment['platform_machine']}. "
                "Next step: build with the Python version that the pins were made for, or renew them (docs/depot.md)."
            )
        wanted.add(name)
        for line in by_name[name].requires:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate(environment):
                queue.append(canonicalize_name(requirement.name))
    return wanted


def download(requirements: Sequence[str], target: Path, *, options: Sequence[str] = ()) -> None:
    """Fetch exact REQUIREMENTS into TARGET as wheels, without their dependencies."""
    run(
        ["download", "--no-deps", "--only-binary=:all:", "--quiet", "--dest", str(target), *options, *requirements],
        doing="download " + ", ".join(requirements),
    )


def build_wheel(requirement: str, sha256: str, target: Path, *, tools: Path, work: Path) -> Path:
    """Build a wheel of an exact REQUIREMENT that is published as source with that SHA256, into TARGET.

    TOOLS holds the unpacked build tools; pip checks the hash before any of the source's code runs.
    """
    wanted = work / "requirement.txt"
    wanted.write_text(f"{requirement} --hash=sha256:{sha256}\n")
    run(
        [
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            f"--no-binary={requirement.partition('==')[0]}",
            "--no-cache-dir",
            "--require-hashes",
            "--quiet",
            "--wheel-dir",
            str(target),
            "--requirement",
            str(wanted),
        ],
        doing=f"build {requirement} from source",
        path=(tools,),
        # No paths, dates or debug information in what is built.
        extra={"SOURCE_DATE_EPOCH": "315532800", "CFLAGS": "-O2 -g0"},
    )
    return next(target.glob("*.whl"))


def run(arguments: Sequence[str], *, doing: str, path: Sequence[Path] = (), extra: dict[str, str] | None = None) -> str:
    """Run pip and return its standard output; DepotError says what it was to do and how it failed."""
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", **(extra or {})}
    environment.pop("PIP_REQUIRE_VIRTUALENV", None)
    environment.pop("PYTHONPATH", None)
    if path:
        environment["PYTHONPATH"] = os.pathsep.join(map(str, path))
    command = [sys.executable, "-m", "pip", *arguments]
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DepotError(
            f"pip did not {doing} within {LIMIT} s. Next step: look at the network, then build again; "
            "what is finished is kept."
        ) from None
    if done.returncode == 0:
        return done.stdout
    if "No module named pip" in done.stderr:
        raise DepotError(
            f"{sys.executable} has no pip, which fetches the wheels. Next step: {sys.executable} -m ensurepip"
        )
    raise DepotError(
        f"pip could not {doing}: {last_words(done.stderr)}. Next step: check that the Python package "
        "index can be reached from here (proxy, certificates, pip's configuration), then build again; what is "
        "finished is kept."
    )


def last_words(text: str, *, lines: int = 4) -> str:
    """The last lines of a program's complaint that say something, on one line: errors before warnings."""
    told = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in told if line.startswith("ERROR")]
    return " | ".join((errors or told)[-lines:]) or "no message"
