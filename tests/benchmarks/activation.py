"""What activating an environment costs a job's rank: our ready scripts against conda's own, and a bare shell.

Real shells, a genuine conda and a real environment (a Python alone) from the depot, interleaved, in one run. A rank is
a new shell that activates and starts what it is for; here that is nothing.
"""

from __future__ import annotations

import json
import os
import shutil
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
for _folder in (ROOT / "tests" / "integration", ROOT / "collections"):
    sys.path.insert(0, str(_folder))

from installs import packages_of  # noqa: E402

from ansible_collections.condafleet.core.plugins.module_utils import environment_states as states  # noqa: E402
from ansible_collections.condafleet.core.plugins.module_utils.environment_request import Request  # noqa: E402

# {shell: (start it without a user's files, conda's hook, the suffix of our script)}
SHELLS = {
    "bash": (["bash", "--norc"], ". {conda}/etc/profile.d/conda.sh", ". ", ""),
    "zsh": (["zsh", "-f"], ". {conda}/etc/profile.d/conda.sh", ". ", ""),
    "dash": (["dash"], ". {conda}/etc/profile.d/conda.sh", ". ", ""),
    "fish": (["fish", "-N"], "source {conda}/etc/fish/conf.d/conda.fish", "source ", ".fish"),
    "tcsh": (["tcsh", "-f"], "source {conda}/etc/profile.d/conda.csh", "source ", ".csh"),
}


def variants(shell: str, conda: Path) -> dict[str, list[str]]:
    """{name: command}."""
    start, hook, source, suffix = SHELLS[shell]
    hook = hook.format(conda=conda)
    # `eval`: tcsh looks for aliases when it reads a line, and conda is one there.
    return {
        "bare": [*start, "-c", "true"],
        "ours": [*start, "-c", f"{source}{conda}/envs/x/bin/activate{suffix}"],
        "conda_activate": [*start, "-c", f"{hook}; eval conda activate x"],
    }


def prepare(depot: Path, base: Path) -> Path:
    """Install the depot's conda and one environment `x` below `base`; the installation."""
    home = {**os.environ, "HOME": str(base)}
    installer = next((depot / "installers").glob("*.sh"))
    subprocess.run(["bash", installer, "-b", "-p", base / "mc"], check=True, capture_output=True, env=home)
    manifest = json.loads((depot / "manifest.json").read_text(encoding="utf-8"))
    request = Request(
        name="x", prefix=str(base / "mc"), root=str(base / "root"), target="linux-64-cpu", digest="a" * 64,
        packages=packages_of(depot, ["python"]), variables={"OMP_NUM_THREADS": "1"}, depot_url=depot.as_uri(),
        depot_origins=manifest["origins"], tools=manifest["tools"],
    )  # fmt: skip
    for state in (states.fetched, states.built, states.tested, states.current):
        state(request)
    return base / "mc"


def run(depot: Path, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure every shell that is here; {shells: {shell: {variant: {median_ms, ratio_to_bare}}}, …}."""
    shells = [shell for shell in SHELLS if shutil.which(shell)]
    with tempfile.TemporaryDirectory(prefix="bench-activation-") as folder:
        base = Path(folder)
        conda = prepare(depot, base)
        say("installed")
        environment = {"PATH": "/usr/bin:/bin", "HOME": folder, "LC_ALL": "C.UTF-8"}
        taken: dict[str, dict[str, list[float]]] = {
            shell: {name: [] for name in variants(shell, conda)} for shell in shells
        }
        for number in range(rounds + 1):
            for shell in shells:
                for name, command in variants(shell, conda).items():
                    started = time.perf_counter()
                    done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
                    passed = time.perf_counter() - started
                    if done.returncode or done.stderr:
                        raise measure.BenchmarkError(f"{shell}: {' '.join(command)}: {done.stderr.decode()[-500:]}")
                    if number:  # the first round fills the caches
                        taken[shell][name].append(passed)
            say(f"round {number} of {rounds}")
    found = {}
    for shell, samples in taken.items():
        medians = {name: statistics.median(values) for name, values in samples.items()}
        found[shell] = {
            name: {
                "median_ms": round(median * 1000, 2),
                "over_bare_ms": round((median - medians["bare"]) * 1000, 2),
                "ratio_to_ours": round(median / medians["ours"], 2),
            }
            for name, median in medians.items()
        }
    return {"schema_version": 1, "rounds": rounds, "load_1min": round(os.getloadavg()[0], 2), "shells": found}


def table(result: dict[str, Any]) -> str:
    lines = [f"{'shell':6} {'bare ms':>9} {'ours ms':>9} {'conda activate ms':>18} {'ratio':>7}"]
    for shell, found in result["shells"].items():
        lines.append(
            f"{shell:6} {found['bare']['median_ms']:9.2f} {found['ours']['median_ms']:9.2f} "
            f"{found['conda_activate']['median_ms']:18.1f} {found['conda_activate']['ratio_to_ours']:7.0f}"
        )
    return "\n".join(lines)
