"""What a status of many nodes costs the controller, once they have answered: plan, report, groups, tables and JSON.

From recorded observations, as conda_facts returns them, read from a file; no node, no Ansible.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from . import measure

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "collections"))

from ansible_collections.condafleet.core.plugins.module_utils.plan_environments import plan_environments  # noqa: E402
from condafleet.cli import status_tables  # noqa: E402
from condafleet.results import FleetResult, HostResult  # noqa: E402

ENVIRONMENTS = 4
PACKAGES = 300
AIM = 1.0  # seconds, for 50 nodes
TARGETS = {"linux-64-cpu": {"platform": "linux-64", "glibc": "2.28"}}
NODE = {
    "platform": "linux-64",
    "architecture": "x86_64",
    "libc": "glibc",
    "glibc": "2.36",
    "cuda": None,
    "driver": None,
}


def digest(number: int) -> str:
    return f"{number:064x}"[::-1]


def packages(version: int) -> list[dict[str, str]]:
    names = (f"package-{number}" for number in range(PACKAGES))
    return [{"manager": "pip", "name": name, "version": f"{version}.0", "build": ""} for name in names]


def generation(name: str, environment: str, version: int, drifted: bool) -> dict[str, Any]:
    changed = [{"manager": "pip", "name": "package-7", "before": "2.0", "after": "2.1", "what": "version"}]
    found = {"added": [], "removed": [], "changed": changed if drifted else []}
    receipt = {"digest": digest(version), "target": "linux-64-cpu", "packages": packages(version)}
    return {
        "name": name, "environment": environment, "digest12": digest(version)[:12], "serial": 1, "finished": True,
        "receipt": receipt, "fingerprint": digest(99 + drifted), "drifted": drifted, "broken": None,
        "drift": {"verified": "quick", "packages": found, "files": None, "notes": []},
    }  # fmt: skip


def observation(number: int) -> dict[str, Any]:
    """A node's: one in 25 has drifted, one in 10 is a lock behind."""
    environments: dict[str, Any] = {}
    generations = []
    for index in range(ENVIRONMENTS):
        environment = f"env{index}"
        for version in (1, 2):
            name = f"{environment}-{digest(version)[:12]}-1"
            generations.append(generation(name, environment, version, number % 25 == 3 and version == 2))
        current = generations[-2 if number % 10 == 1 else -1]["name"]
        target = "/opt/condafleet/generations/" + current
        environments[environment] = {"kind": "link", "target": target, "generation": current, "recorded": current}
    return {
        "node": NODE,
        "installation": {"prefix": "/opt/miniconda3", "state": "present"},
        "environments": environments,
        "generations": generations,
        "validations": {},
        "dependants": None,
    }


def stand(recorded: Path) -> tuple[str, str]:
    """(tables, JSON) of the recorded fleet: all that a controller does once its nodes have answered."""
    declared = [{"name": f"env{index}", "targets": ["linux-64-cpu"]} for index in range(ENVIRONMENTS)]
    wanted = packages(2)
    locks = {one["name"]: {"linux-64-cpu": {"digest": digest(2), "packages": wanted}} for one in declared}
    hosts = {}
    for name, conda in json.loads(recorded.read_text(encoding="utf-8")).items():
        planned = plan_environments(conda, declared, TARGETS, locks)
        data = {"observed": conda, "plan": {"environments": planned, "installation": [], "shells": []}}
        hosts[name] = HostResult(name, "ok", data=data)
    result = FleetResult(hosts, "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z")
    report = result.report()
    console = Console(file=io.StringIO(), width=160)
    console.print(status_tables.nodes(result.hosts), status_tables.environments(report))
    return console.file.getvalue(), json.dumps(report, indent=2)  # type: ignore[attr-defined]


def run(rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure 50 nodes, and 500; {nodes: {NUMBER: {median_s, rows}}, aim_s, holds, …}."""
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-status-") as folder:
        for number in (50, 500):
            recorded = Path(folder) / f"{number}.json"
            fleet = {f"node{one:03}": observation(one) for one in range(1, number + 1)}
            recorded.write_text(json.dumps(fleet), encoding="utf-8")
            samples = []
            for _ in range(rounds):
                started = time.perf_counter()
                text, written = stand(recorded)
                samples.append(time.perf_counter() - started)
            if "package-7 2.1 instead of 2.0 (pip)" not in text:
                raise measure.BenchmarkError(f"the tables of {number} nodes do not name what differs:\n{text}")
            median = round(statistics.median(samples), 3)
            rows = len(text.splitlines())
            found[str(number)] = {"median_s": median, "rows": rows, "json_mb": round(len(written) / 1e6, 2)}
            say(f"{number} nodes: {median} s, {rows} lines on the terminal")
    load = round(os.getloadavg()[0], 2)
    holds = found["50"]["median_s"] < AIM
    return {"schema_version": 1, "rounds": rounds, "load_1min": load, "nodes": found, "aim_s": AIM, "holds": holds}


def table(result: dict[str, Any]) -> str:
    lines = [f"{'nodes':>6} {'seconds':>8} {'lines':>6} {'JSON MB':>8}"]
    lines += [
        f"{number:>6} {one['median_s']:8.3f} {one['rows']:6d} {one['json_mb']:8.2f}"
        for number, one in result["nodes"].items()
    ]
    return "\n".join([*lines, *([] if result["holds"] else [f"MISSED: 50 nodes in less than {result['aim_s']} s"])])
