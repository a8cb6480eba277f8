"""A converged fleet, run again: site.yml, beside what public roles do, beside three pings."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from . import figures, fleet, measure
from .fleet import ROOT

HERE = Path(__file__).parent
OUT = ROOT / "build" / "bench"
FORKS = 10
YARDSTICK = "three_pings"
PREPARE_LIMIT = 1500  # seconds; ten nodes that install and build at once on two cores
RUN_LIMIT = 600
TRIES = 3  # a connection that breaks on a busy machine costs its run, not the benchmark; the result tells of each

OURS = {
    "miniconda_distribution": "embedded",
    "miniconda_prefix": "/opt/miniconda3",
    "shell_init_shells": ["bash", "zsh"],
    "environments_root": "/opt/condafleet",
    "environments_locks_dir": str(OUT / "locks"),
    "environments_list": [
        {
            "name": "tools",
            "spec": {"conda": ["python", "pip", "requests"], "pip": ["jinja2", "rich"]},
            "targets": ["linux-64-cpu"],
            "frameworks": [],
        }
    ],
    "validation_enabled": False,
}


@dataclass(frozen=True)
class Variant:
    """A playbook to measure, with its variables."""

    name: str
    what: str
    playbook: Path
    variables: dict[str, Any]
    slow: bool = False


PEER = HERE / "playbooks" / "peer.yml"
STUB = {"peer_conda": "{{ peer_stub }}/conda", "peer_pip": "{{ peer_stub }}/pip"}
VARIANTS = [
    Variant(YARDSTICK, "a playbook of exactly three pings", HERE / "playbooks" / "three_pings.yml", {}),
    Variant("condafleet", "site.yml, validation off", ROOT / "site.yml", {}),
    Variant("peer_stub", "the tasks of public roles, conda and pip answer at once", PEER, STUB),
    Variant(
        "peer_stub_facts",
        "the same with facts gathered, as those roles do",
        PEER,
        {**STUB, "peer_facts": True},
        slow=True,
    ),
    Variant("peer", "the tasks of public roles, genuine conda and pip", PEER, {}, slow=True),
]


def peer_variables(depot: dict[str, Any], url: str) -> dict[str, Any]:
    """What peer.yml needs: the same installer, channel, index, environment as ours, in a prefix of its own."""
    installer = depot["installers"][0]
    prefix = "/opt/peer"
    wanted = [{"name": one["name"], **one["spec"]} for one in OURS["environments_list"]]
    return {
        "peer_prefix": prefix,
        "peer_stub": "/opt/peer-stub",
        "peer_conda": f"{prefix}/bin/conda",
        "peer_pip": f"{prefix}/envs/{wanted[0]['name']}/bin/pip",
        "peer_installer_url": f"{url}/{installer['path']}",
        "peer_installer_sha256": installer["sha256"],
        "peer_condarc": f"channels:\n  - {url}/{next(iter(depot['channels'].values()))['path']}\n",
        "peer_index_url": f"{url}/{depot['index']['path']}/",
        "peer_index_host": urlsplit(url).hostname,
        "peer_shell_line": f". {prefix}/etc/profile.d/conda.sh",
        "peer_shell_files": ["/etc/bash.bashrc", "/etc/zsh/zshrc"],
        "peer_environments": wanted,
    }


class Bench:
    """One measurement: nodes that run, and what was seen on them."""

    def __init__(self, nodes: fleet.containers.Fleet, say: Callable[[str], None]) -> None:
        self.nodes = nodes
        self.hosts = list(nodes.nodes)
        self.say = say
        self.cgroups = fleet.cgroups(nodes)
        self.discarded: list[dict[str, Any]] = []
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_NOCOLOR": "1",
            "PYTHONPATH": f"{ROOT / 'python'}{os.pathsep}{ROOT / 'collections'}",  # the clone's, for making the locks
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def play(self, variant: Variant, log: str, limit: float, *more: str) -> tuple[measure.Sample, str]:
        """Run a variant once; returns what it cost and its words."""
        words = OUT / "logs" / f"{log}.log"
        command = [str(Path(sys.executable).parent / "ansible-playbook"), str(variant.playbook)]
        command += ["--inventory", str(self.nodes.inventory), "--forks", str(FORKS), *more]
        command += ["--extra-vars", json.dumps(variant.variables)] if variant.variables else []
        sample = measure.measure(command, self.env, words, self.cgroups, limit, ROOT)
        return sample, words.read_text(encoding="utf-8", errors="replace")

    def prepare(self, variant: Variant) -> dict[str, Any]:
        """Bring the nodes to where the variant has nothing left to do; returns what that cost."""
        self.say(f"{variant.name}: preparing {len(self.hosts)} nodes")
        first, _ = self.play(variant, f"{variant.name}-first", PREPARE_LIMIT)
        self.say(f"{variant.name}: prepared in {first.wall_s:.0f} s")
        return asdict(first)

    def count(self, variant: Variant) -> dict[str, float]:
        """Run a variant once unmeasured, so that its files are in memory, and count what it does to a node."""
        _, words = self.play(variant, f"{variant.name}-counted", RUN_LIMIT, "-vvv")
        self.assert_converged(variant, words)
        tasks = figures.tasks_per_node(words, self.hosts)
        self.say(f"{variant.name}: {tasks['ran']:g} tasks a node, {tasks['remote_commands']:g} commands over SSH")
        return tasks

    def assert_converged(self, variant: Variant, words: str) -> None:
        """Refuse a run that had something left to do."""
        left = figures.work_left(words, self.hosts)
        if left:
            raise measure.BenchmarkError(
                f"{variant.name}: not a run of a converged fleet: {left} (logs: {OUT / 'logs'})"
            )

    def measured(self, variant: Variant, number: int) -> measure.Sample:
        """One sample that counts."""
        attempt = 0
        while True:
            attempt += 1
            log = f"{variant.name}-{number}" + (f"-try{attempt}" if attempt > 1 else "")
            try:
                sample, words = self.play(variant, log, RUN_LIMIT)
            except measure.UnreachableError as error:
                if attempt == TRIES:
                    raise
                self.discarded.append({"variant": variant.name, "round": number, "why": "unreachable", "log": log})
                self.say(f"once more: {error}")
            else:
                self.assert_converged(variant, words)
                return sample

    def rounds(self, variants: list[Variant], rounds: int, slow_rounds: int) -> dict[str, list[dict[str, float]]]:
        """Measure all variants in turn, round by round; slow ones in the first rounds only."""
        samples: dict[str, list[dict[str, float]]] = {variant.name: [] for variant in variants}
        for number in range(1, rounds + 1):
            for variant in variants:
                if variant.slow and number > slow_rounds:
                    continue
                sample = self.measured(variant, number)
                samples[variant.name].append({"round": number, **asdict(sample)})
                self.say(f"round {number}/{rounds}: {variant.name} {sample.wall_s:.1f} s")
        return samples


def run(
    count: int, rounds: int, slow_rounds: int, depot: Path, only: list[str], keep: bool, say: Callable[[str], None]
) -> dict[str, Any]:
    """The whole benchmark, on nodes of its own; returns its result."""
    variants = [one for one in VARIANTS if not only or one.name in (*only, YARDSTICK)]
    manifest = json.loads((depot / "manifest.json").read_text(encoding="utf-8"))
    began, load_before = datetime.now(UTC), os.getloadavg()
    say(f"starting {count} containers")
    nodes = fleet.make(count, depot)
    with contextlib.ExitStack() as stack:
        if not keep:
            stack.callback(nodes.down)
        nodes.up()
        settings = nodes.inventory.parent / "group_vars" / "all.yml"
        settings.parent.mkdir(exist_ok=True)
        settings.write_text(yaml.safe_dump({**OURS, **peer_variables(manifest, nodes.depot_url)}), encoding="utf-8")
        bench = Bench(nodes, say)
        prepared = {}
        for variant in variants:
            if variant.name in ("condafleet", "peer"):
                prepared[variant.name] = bench.prepare(variant)
        if any(variant.playbook == PEER for variant in variants):
            if "peer" not in prepared:
                prepared["peer"] = bench.prepare(next(one for one in VARIANTS if one.name == "peer"))
            bench.prepare(Variant("stub", "", HERE / "playbooks" / "stub.yml", {}))
            bench.prepare(next(one for one in VARIANTS if one.name == "peer_stub"))  # the stub learns its answers
        tasks = {variant.name: bench.count(variant) for variant in variants}
        samples = bench.rounds(variants, rounds, slow_rounds)
    return {
        "schema_version": 1,
        "benchmark": "converged",
        "began": began.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {**machine(), "load_before": load_before, "load_after": os.getloadavg()},
        "software": software(manifest),
        "settings": {
            "nodes": count, "image": fleet.IMAGE, "forks": FORKS, "pipelining": True, "gather_facts": False,
            "strategy": "linear", "rounds": rounds, "slow_rounds": slow_rounds, "yardstick": YARDSTICK,
        },
        "prepared": prepared,
        "discarded": bench.discarded,
        "variants": {
            variant.name: {
                "what": variant.what,
                "tasks_per_node": tasks[variant.name],
                "samples": samples[variant.name],
                "summary": figures.summary(samples[variant.name]),
                "ratio_to_yardstick": figures.ratios(samples[variant.name], samples[YARDSTICK]),
                **(
                    {"ratio_to_condafleet": figures.ratios(samples[variant.name], samples["condafleet"])}
                    if "condafleet" in samples
                    else {}
                ),
            }
            for variant in variants
        },
    }  # fmt: skip


def machine() -> dict[str, Any]:
    """What this was measured on."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cores": len(os.sched_getaffinity(0)), "cpu": model, "memory_bytes": memory, "kernel": platform.release()}


def software(manifest: dict[str, Any]) -> dict[str, str]:
    """The versions that matter, and the commit that was measured."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    ).stdout.strip()
    return {
        "condafleet": commit,
        "ansible_core": version("ansible-core"),
        "python": platform.python_version(),
        "engine": fleet.engine_version(),
        "conda": manifest["installers"][0]["conda_version"],
    }


def progress(began: float) -> Callable[[str], None]:
    """Words with the time that has passed."""
    return lambda words: print(f"[{time.monotonic() - began:5.0f} s] {words}", flush=True)
