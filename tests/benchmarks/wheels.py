"""What installing wheels costs on a node: uv, with a cold and a warm cache, against pip. The same wheels, one run.

A genuine Python from the depot, copied anew for each round, and the function that a build calls: hashes required, no
network, every file compared with its RECORD afterwards. `sync` is what having all of it on disk costs besides, as it is
had before a receipt is written.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import activation, measure

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from installs import packages_of  # noqa: E402

from ansible_collections.condafleet.core.plugins.module_utils import package_cache as cache  # noqa: E402
from ansible_collections.condafleet.core.plugins.module_utils.build_environment import (  # noqa: E402
    install_wheels,
    link_conda,
)
from ansible_collections.condafleet.core.plugins.module_utils.disk import make_durable  # noqa: E402
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package  # noqa: E402
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress  # noqa: E402
from ansible_collections.condafleet.core.plugins.module_utils.uv_tool import ensure_uv  # noqa: E402
from ansible_collections.condafleet.core.plugins.module_utils.wheel_records import damaged_wheels  # noqa: E402

CONDA = ("python", "pip", "setuptools", "wheel")
WHEELS = ("torch", "numpy", "sympy", "networkx", "mpmath", "jinja2", "filelock", "rich")
VARIANTS = ("pip", "uv_cold", "uv_warm")
SILENT = Progress(None)


def prepare(depot: Path, base: Path) -> tuple[Path, list[Package], str]:
    """An environment with a Python and pip alone below `base`, the wheels in the cache, and uv's program."""
    conda = activation.prepare(depot, base) / "bin" / "conda"
    manifest = json.loads((depot / "manifest.json").read_text(encoding="utf-8"))
    packages = packages_of(depot, CONDA)
    wheels = [packages_of(depot, (), name)[-1] for name in WHEELS]
    root = base / "wheels-root"
    cache.ensure_root(str(root))
    cache.fetch_all(str(root), packages + wheels, depot.as_uri(), manifest["origins"], SILENT)
    (base / "scratch").mkdir()
    link_conda(str(conda), str(base / "python"), str(root), packages, str(base / "scratch"), SILENT)
    uv = ensure_uv(str(root), manifest["tools"], "linux-64", depot.as_uri())
    if uv is None:
        raise measure.BenchmarkError(f"--depot: {depot} has no uv. Accepted: a depot with one. Next: build it anew.")
    return root, wheels, uv


def one(variant: str, base: Path, root: Path, wheels: list[Package], uv: str) -> dict[str, float]:
    """Install into a fresh copy: {install, verify, sync} in seconds."""
    prefix = base / "copy"
    if prefix.exists():
        shutil.rmtree(prefix)
    subprocess.run(["cp", "-a", base / "python", prefix], check=True)
    if variant == "uv_cold":
        shutil.rmtree(root / "uv-cache")
        (root / "uv-cache").mkdir(mode=0o700)
    make_durable(str(base))
    began = time.monotonic()
    program = None if variant == "pip" else uv
    install_wheels(program, str(prefix), str(root), wheels, str(base / "scratch"), SILENT)
    installed = time.monotonic()
    assert damaged_wheels(str(prefix), wheels, SILENT) == {}
    verified = time.monotonic()
    make_durable(str(prefix))
    verify = verified - installed
    # The function verifies too: what is measured apart is taken off.
    return {"install": installed - began - verify, "verify": verify, "sync": time.monotonic() - verified}


def run(depot: Path, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Interleaved rounds, in which a warm cache always follows a cold one: samples, medians, pip's ratios."""
    with tempfile.TemporaryDirectory(prefix="condafleet-bench-") as folder:
        base = Path(folder)
        say("preparing")
        root, wheels, uv = prepare(depot, base)
        samples: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for variant in VARIANTS:
                samples[variant].append(one(variant, base, root, wheels, uv))
    ratios = {
        variant: statistics.median(
            pip["install"] / other["install"] for pip, other in zip(samples["pip"], samples[variant], strict=True)
        )
        for variant in VARIANTS
    }
    size = sum(wheel.size or 0 for wheel in wheels)
    return {"wheels": [f"{w.name} {w.version}" for w in wheels], "bytes": size, "samples": samples, "pip_to": ratios}


def table(result: dict[str, Any]) -> str:
    """One line a variant: medians in seconds."""
    lines = [f"{len(result['wheels'])} wheels, {result['bytes'] // 1_000_000} MB; medians in seconds"]
    lines.append(f"{'':10}{'install':>9}{'verify':>9}{'sync':>9}{'pip to it':>11}")
    for variant, samples in result["samples"].items():
        middle = {key: statistics.median(sample[key] for sample in samples) for key in ("install", "verify", "sync")}
        cells = "".join(f"{middle[key]:9.2f}" for key in ("install", "verify", "sync"))
        lines.append(f"{variant:10}{cells}{result['pip_to'][variant]:11.1f}")
    return "\n".join(lines)
