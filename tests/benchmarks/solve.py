"""What a solve costs the controller, by the size of the channel: seconds and peak memory of the solver's process.

A synthetic channel of 400,000 records and one of 4,000, served on the loopback address; a spec of some packages that
need many. `cold` has an empty cache of repodata, `warm` the one that this left, `held` solves again what is locked,
holding it, and `upgrade` moves one package of it.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import measure

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "collections"), str(ROOT / "python")]

from ansible_collections.condafleet.core.plugins.module_utils import lockinputs  # noqa: E402

SIZES = {"large": 400_000, "small": 4_000}
SEED = 1
VARIANTS = ("cold", "warm", "held", "upgrade")
TARGET = {"platform": "linux-64", "glibc": "2.28"}
LIMIT = 300.0  # seconds for one solve


@dataclass(frozen=True)
class Sample:
    """One solve: wall and CPU seconds of its process, and the most memory that it had at a time."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    packages: int


def make_channel(folder: Path, records: int) -> dict[str, Any]:
    """In a process of its own: a child's peak counts what its parent held when it was started."""
    command = [sys.executable, str(Path(__file__).with_name("synthetic_channel.py")), str(folder), str(records)]
    made = subprocess.run([*command, str(SEED)], capture_output=True, text=True, timeout=300, check=True)
    return dict(json.loads(made.stdout))


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def request(channel: str, spec: list[str], locks: Path, variant: str) -> dict[str, Any]:
    """What the action asks of the solver's process, for this variant."""
    asked: dict[str, Any] = {"conda": spec, "pip": [], "channels": [channel], "variables": {}}
    made_from = lockinputs.inputs("e", "t", spec=asked, definition=TARGET, channels=[channel], sources="upstream")
    solve = {
        "environment": "e", "target": "t", "definition": TARGET, "spec": asked, "channels": [channel],
        "inputs": made_from, "conda_lock": str(locks / "t.conda-lock.yml"), "pylock": str(locks / "t.pylock.toml"),
        "given": False, "tos": "decline", "indexes": [], "hold": variant in ("held", "upgrade"),
        "upgrade": spec[1:2] if variant == "upgrade" else [],
    }  # fmt: skip
    return {"schema_version": 1, "solves": [solve], "depot": None, "timeout": LIMIT, "write": variant == "cold"}


def solve(asked: dict[str, Any], cache: Path) -> Sample:
    """Run the solver's process to its end, as condafleet.lock.child does, and read what it took from the kernel."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as heard:
        given.write(json.dumps(asked).encode())
        given.seek(0)
        environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": os.pathsep.join(sys.path[:2])}
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "condafleet.lock"], stdin=given, stdout=said, stderr=heard, env=environment,
            start_new_session=True,
        )  # fmt: skip
        watch = threading.Timer(LIMIT, os.killpg, (process.pid, signal.SIGKILL))
        watch.start()
        try:
            _pid, status, used = os.wait4(process.pid, 0)
        finally:
            watch.cancel()
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        heard.seek(0)
        text = said.read()
        try:
            answer = json.loads(text)
            locks, files = answer["locks"], answer["files"]
        except (ValueError, KeyError) as error:
            raise measure.BenchmarkError(
                f"the solver ended with {process.returncode}: {(text or heard.read())[-2000:].decode()}"
            ) from error
    for path, content in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(content, encoding="utf-8")
    cpu = used.ru_utime + used.ru_stime
    return Sample(round(wall, 3), round(cpu, 3), round(used.ru_maxrss / 1024, 1), len(locks[0]["packages"]))


def run(rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure both channels, interleaved; {sizes: {size: {records, names, …, variants: {variant: medians}}}, …}."""
    taken: dict[str, dict[str, list[Sample]]] = {size: {one: [] for one in VARIANTS} for size in SIZES}
    about: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-solve-") as scratch:
        base = Path(scratch)
        for size, records in SIZES.items():
            about[size] = make_channel(base / size, records)
            say(f"{size}: {about[size]['records']} records of {about[size]['names']} names")
        with serving(base) as url:
            for number in range(rounds):
                for size in SIZES:
                    cache = base / "cache"
                    for variant in VARIANTS:
                        asked = request(f"{url}/{size}", about[size]["spec"], base / "locks" / size, variant)
                        taken[size][variant].append(solve(asked, cache))
                    shutil.rmtree(cache)
                say(f"round {number + 1} of {rounds}")
    return summary(about, taken, rounds)


def summary(about: dict[str, dict[str, Any]], taken: dict[str, dict[str, list[Sample]]], rounds: int) -> dict[str, Any]:
    """Medians, and ratios of samples of the same round."""
    sizes = {}
    for size, variants in taken.items():
        counts = {sample.packages for one in ("cold", "warm", "held") for sample in variants[one]}
        if len(counts) != 1:
            raise measure.BenchmarkError(f"{size}: one spec was solved to {sorted(counts)} packages")
        sizes[size] = {
            **about[size],
            "packages": counts.pop(),
            "variants": {name: medians(samples, taken["small"][name]) for name, samples in variants.items()},
        }
    return {"schema_version": 1, "rounds": rounds, "seed": SEED, "sizes": sizes}


def medians(samples: list[Sample], small: list[Sample]) -> dict[str, Any]:
    found: dict[str, Any] = {"samples": [asdict(one) for one in samples]}
    for key in ("wall_s", "cpu_s", "peak_mib"):
        values = [getattr(one, key) for one in samples]
        pairs = zip(values, (getattr(one, key) for one in small), strict=True)
        found[key] = round(statistics.median(values), 3)
        found[f"{key}_ratio"] = round(statistics.median(one / other for one, other in pairs), 2)
    return found


def table(result: dict[str, Any]) -> str:
    lines = []
    for size, found in result["sizes"].items():
        lines.append(
            f"{size}: {found['records']:,} records, {found['names']:,} names, {found['packages']} packages solved"
        )
        lines.append(f"  {'variant':10} {'wall s':>8} {'CPU s':>8} {'peak MiB':>9}   ratios to small: wall, CPU, peak")
        for name, one in found["variants"].items():
            lines.append(
                f"  {name:10} {one['wall_s']:8.2f} {one['cpu_s']:8.2f} {one['peak_mib']:9.0f}"
                f"   {one['wall_s_ratio']:.1f}, {one['cpu_s_ratio']:.1f}, {one['peak_mib_ratio']:.1f}"
            )
    return "\n".join(lines)
