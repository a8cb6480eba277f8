"""What our block costs each start of a shell, beside a bare one, conda's static hook alone, and `conda init`'s block.

Real shells and a genuine conda from the depot (or an installation that is named), each variant in a home of its own,
interleaved, in one run. Every shell also reads the system's files, the same for all variants.
"""

from __future__ import annotations

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
sys.path.insert(0, str(ROOT / "collections"))

from ansible_collections.condafleet.core.plugins.module_utils import shell_edit, shell_files, shell_text  # noqa: E402

HOOKS = {"fish": "etc/fish/conf.d/conda.fish", "tcsh": "etc/profile.d/conda.csh"}
# {name: (the shell, how it is started, the file in a home where a hook alone is sourced, what `conda init` calls it)}
STARTS = {
    "bash interactive": ("bash", ["bash", "-ic", "true"], ".bashrc", "bash"),
    "bash login": ("bash", ["bash", "-lic", "true"], ".profile", "bash"),
    "zsh interactive": ("zsh", ["zsh", "-ic", "true"], ".zshrc", "zsh"),
    "fish interactive": ("fish", ["fish", "-ic", "true"], ".config/fish/config.fish", "fish"),
    "tcsh": ("tcsh", ["tcsh", "-c", "true"], ".tcshrc", "tcsh"),
    "dash login": ("posix", ["dash", "-lc", "true"], ".profile", None),
}
DEBIAN_S = 'if [ -n "$BASH_VERSION" ] && [ -f "$HOME/.bashrc" ]; then . "$HOME/.bashrc"; fi\n'


def homes(base: Path, prefix: Path, name: str) -> dict[str, Path]:
    """A home for each variant of a start; a login of bash reads ~/.bashrc too, as Debian's ~/.profile has it."""
    shell, command, place, init = STARTS[name]
    made = {}
    for variant in ("bare", "static", "ours", *(["conda_init"] if init else [])):
        home = base / f"{name}-{variant}".replace(" ", "-")
        (home / ".config/fish").mkdir(parents=True)
        if command[:2] == ["bash", "-lic"]:
            (home / ".profile").write_text(DEBIAN_S, encoding="utf-8")
        made[variant] = home
    hook = prefix / HOOKS.get(shell, "etc/profile.d/conda.sh")
    with (made["static"] / place).open("a", encoding="utf-8") as stream:
        stream.write(f"{'source' if shell in HOOKS else '.'} {hook}\n")
    declared = {"shells": [shell], "prefix": str(prefix), "scope": "users", "starts": list(shell_text.STARTS)}
    for kind, path, shells in shell_files.user_files(str(made["ours"])):
        entry = {"kind": kind, "shells": shells, "env": "$HOME/" + shell_files.ENV_FILE}
        lines = shell_text.wanted(entry, declared)
        if lines is not None:
            shell_edit.write_block(path, str(prefix), lines, shell_text.leads(entry, declared))
    if init:
        subprocess.run(
            [prefix / "bin/conda", "init", init],
            env=environment(made["conda_init"]), stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=120,
        )  # fmt: skip
    return made


def environment(home: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(home), "USER": "bench", "TERM": "dumb", "LC_ALL": "C.UTF-8"}


def install(depot: Path, prefix: Path) -> None:
    installer = next((depot / "installers").glob("*.sh"))
    home = {**os.environ, "HOME": str(prefix.parent)}
    subprocess.run(["bash", installer, "-b", "-p", prefix], check=True, capture_output=True, env=home)


def run(depot: Path | None, installation: Path | None, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure every shell that is here; {starts: {start: {variant: {median_ms, over_bare_ms, ratio_to_static}}}, …}."""
    with tempfile.TemporaryDirectory(prefix="bench-shells-") as folder:
        base = Path(folder)
        prefix = installation or base / "mc"
        if installation is None and depot is not None:
            install(depot, prefix)
        said = subprocess.run([prefix / "bin/conda", "--version"], capture_output=True, text=True, check=True).stdout
        say(said.strip())
        places = {name: homes(base, prefix, name) for name in STARTS if shutil.which(STARTS[name][1][0])}
        taken: dict[str, dict[str, list[float]]] = {name: {one: [] for one in made} for name, made in places.items()}
        for number in range(rounds + 1):
            for name, made in places.items():
                for variant, home in made.items():
                    passed = timed(STARTS[name][1], home)
                    if number:  # the first round fills the caches
                        taken[name][variant].append(passed)
            say(f"round {number} of {rounds}")
    return {
        "schema_version": 1,
        "conda": said.split()[1],
        "rounds": rounds,
        "load_1min": round(os.getloadavg()[0], 2),
        "starts": {name: {one: figures(samples, one) for one in samples} for name, samples in taken.items()},
    }


def timed(command: list[str], home: Path) -> float:
    # A session of its own: an interactive shell would reach for the terminal of whoever measures.
    started = time.perf_counter()
    done = subprocess.run(
        command, env=environment(home), stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60,
        start_new_session=True,
    )  # fmt: skip
    passed = time.perf_counter() - started
    if done.returncode or done.stdout:
        raise measure.BenchmarkError(
            f"{' '.join(command)} in {home.name}: rc {done.returncode}: {done.stdout[-300:]!r}"
        )
    return passed


def figures(samples: dict[str, list[float]], variant: str) -> dict[str, float]:
    """Medians; differences and ratios are those of samples of the same round."""
    own, bare, static = samples[variant], samples["bare"], samples["static"]
    return {
        "median_ms": round(statistics.median(own) * 1000, 2),
        "over_bare_ms": round(statistics.median(one - other for one, other in zip(own, bare, strict=True)) * 1000, 2),
        "ratio_to_static": round(statistics.median(one / other for one, other in zip(own, static, strict=True)), 2),
    }


def table(result: dict[str, Any]) -> str:
    lines = [
        f"{'start':18} {'bare':>8} {'static':>8} {'ours':>8} {'conda init':>11}   ours / static   conda init / static"
    ]
    for name, found in result["starts"].items():
        init = found.get("conda_init")
        lines.append(
            f"{name:18} {found['bare']['median_ms']:8.1f} {found['static']['median_ms']:8.1f} "
            f"{found['ours']['median_ms']:8.1f} {init['median_ms'] if init else float('nan'):11.1f} "
            f"{found['ours']['ratio_to_static']:15.2f} {init['ratio_to_static'] if init else float('nan'):21.1f}"
        )
    return "\n".join(lines)
