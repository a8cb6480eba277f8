"""What finding drift costs on a node: quickly against `conda list`, fully against `sha256sum` of the same files.

The functions alone, on synthetic prefixes in memory (tmpfs, where there is one), interleaved, in one run.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import measure

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "collections"))

from ansible_collections.condafleet.core.plugins.module_utils import (  # noqa: E402
    fingerprint,
    generation_drift,
    generation_files,
)

PACKAGES = 300
FILES_OF_A_PACKAGE = 120  # in its record: what conda has to read
FILES = 12_000
MEGABYTES = 700
LIMIT = 600.0
# At most so much of the yardstick's time.
AIMS = {"quick": 1 / 30, "full": 1.1}


def memory() -> str | None:
    """A folder on tmpfs, or None: then the disk's own time is in all figures."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def make_packages(prefix: Path) -> None:
    """The metadata of an environment: conda's records as conda writes them, and a distribution for each."""
    (prefix / "conda-meta").mkdir(parents=True)
    (prefix / "conda-meta" / "history").touch()
    chance = random.Random(1)
    for number in range(PACKAGES):
        name, version = f"package-{number}", f"1.{number}.0"
        stem = f"{name}-{version}-py311_0"
        listed = [f"lib/python3.11/site-packages/package_{number}/part_{one}.py" for one in range(FILES_OF_A_PACKAGE)]
        paths = [
            {"_path": path, "path_type": "hardlink", "sha256": f"{chance.getrandbits(256):064x}", "size_in_bytes": 5000}
            for path in listed
        ]
        for path in paths:
            path["sha256_in_prefix"] = path["sha256"]
        record = {
            "arch": "x86_64", "build": "py311_0", "build_number": 0, "channel": "https://conda.anaconda.org/conda-forge",
            "constrains": [], "depends": ["python >=3.11,<3.12.0a0"], "files": listed, "fn": f"{stem}.conda",
            "license": "BSD-3-Clause", "link": {"source": f"/opt/pkgs/{stem}", "type": 1},
            "md5": f"{chance.getrandbits(128):032x}", "name": name, "paths_data": {"paths": paths, "paths_version": 1},
            "requested_spec": "", "sha256": f"{chance.getrandbits(256):064x}", "size": 100000, "subdir": "linux-64",
            "timestamp": 1700000000000, "url": f"https://conda.anaconda.org/conda-forge/linux-64/{stem}.conda",
            "version": version,
        }  # fmt: skip
        text = json.dumps(record, indent=2, sort_keys=True)
        (prefix / "conda-meta" / f"{stem}.json").write_text(text, encoding="utf-8")
        info = prefix / "lib/python3.11/site-packages" / f"package_{number}-{version}.dist-info"
        info.mkdir(parents=True)
        rows = [f"{path.split('/', 3)[3]},sha256={chance.getrandbits(256):043x},5000" for path in listed]
        (info / "RECORD").write_text("\n".join([*rows, "../../../bin/tool,sha256=x,200"]) + "\n", encoding="utf-8")
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n" + "words of a description " * 300
        (info / "METADATA").write_text(about, encoding="utf-8")


def make_files(prefix: Path) -> None:
    """Files as an environment has them: very many small ones, a few that hold most of it."""
    chance = random.Random(2)
    sizes = [int(chance.lognormvariate(8.2, 1.4)) for _ in range(FILES - 8)]
    rest = MEGABYTES * 1_000_000 - sum(sizes)
    sizes += [max(1, int(rest * share)) for share in (0.35, 0.2, 0.15, 0.1, 0.08, 0.06, 0.04, 0.02)]
    for number, size in enumerate(sizes):
        folder = prefix / "lib" / f"package_{number % 600}" / f"part_{number % 7}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file_{number}").write_bytes(chance.randbytes(size))


def install(depot: Path, prefix: Path) -> None:
    installer = next((depot / "installers").glob("*.sh"))
    home = {**os.environ, "HOME": str(prefix.parent)}
    subprocess.run(["bash", installer, "-b", "-p", prefix], check=True, capture_output=True, env=home)


def timed(action: Callable[[], Any]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def run(depot: Path, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure; {parts: {quick|full: {samples, median_ms, yardstick_ms, ratio, aim, holds}}, …}."""
    with tempfile.TemporaryDirectory(prefix="bench-drift-", dir=memory()) as folder:
        base = Path(folder)
        install(depot, base / "mc")
        make_packages(base / "quick")
        make_files(base / "full")
        lines = fingerprint.package_lines(str(base / "quick"))
        receipt = {"fingerprint": fingerprint.fingerprint_of(lines)}
        listed = generation_files.list_files(str(base / "full"), LIMIT)
        say("installed and made")
        names = b"\0".join(
            os.fsencode(base / "full" / place / name) for place, (_, found) in listed.items() for name in found
        )
        workers = generation_files.workers()
        conda = [str(base / "mc/bin/conda"), "list", "--json", "--prefix", str(base / "quick")]
        summed = ["xargs", "-0", "-P", str(workers), "-n", "128", "sha256sum"]

        def quick() -> None:
            if generation_drift.look(str(base / "quick"), receipt)["drifted"]:
                raise measure.BenchmarkError("quick: what nobody touched was called drifted")

        def full() -> None:
            if generation_files.is_damaged(generation_files.verify(str(base / "full"), listed, LIMIT)):
                raise measure.BenchmarkError("full: what nobody touched was called damaged")

        def conda_list() -> None:
            done = subprocess.run(conda, capture_output=True, check=True, env={"PATH": "/usr/bin:/bin", "HOME": folder})
            found = sum(one["name"].startswith("package-") for one in json.loads(done.stdout))
            if found != PACKAGES:
                raise measure.BenchmarkError(f"conda list told of {found} packages, not {PACKAGES}")

        def sha256sum() -> None:
            subprocess.run(summed, input=names, stdout=subprocess.DEVNULL, check=True)

        parts = {"quick": (quick, conda_list), "full": (full, sha256sum)}
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in parts}
        for number in range(rounds + 1):
            for name, (ours, theirs) in parts.items():
                pair = (timed(ours), timed(theirs))
                if number:  # the first round fills the caches
                    taken[name].append(pair)
            say(f"round {number} of {rounds}")
        return {
            "schema_version": 1,
            "rounds": rounds,
            "workers": workers,
            "tmpfs": memory() is not None,
            "packages": PACKAGES,
            "files": FILES,
            "megabytes": MEGABYTES,
            "load_1min": round(os.getloadavg()[0], 2),
            "parts": {name: figures(pairs, AIMS[name]) for name, pairs in taken.items()},
        }


def figures(pairs: list[tuple[float, float]], aim: float) -> dict[str, Any]:
    """Medians in milliseconds; the ratio is of samples of the same round."""
    ratios = [ours / theirs for ours, theirs in pairs]
    return {
        "median_ms": round(statistics.median(ours for ours, _ in pairs) * 1000, 2),
        "yardstick_ms": round(statistics.median(theirs for _, theirs in pairs) * 1000, 2),
        "ratio": round(statistics.median(ratios), 4),
        "ratios": [round(one, 4) for one in ratios],
        "aim": round(aim, 4),
        "holds": statistics.median(ratios) <= aim,
    }


def table(result: dict[str, Any]) -> str:
    lines = [f"{'':6} {'ours ms':>9} {'yardstick ms':>13} {'ratio':>8} {'aim':>8}"]
    for name, found in result["parts"].items():
        lines.append(
            f"{name:6} {found['median_ms']:9.1f} {found['yardstick_ms']:13.1f} {found['ratio']:8.4f} "
            f"{found['aim']:8.4f}" + ("" if found["holds"] else "  MISSED")
        )
    return "\n".join(lines)
