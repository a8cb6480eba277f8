"""What judging a whole fleet costs the controller once its nodes have answered: gather, compare, judge, report.

From recorded findings of nodes with eight GPUs each; no node, no Ansible.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import measure

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "collections"))

from ansible_collections.condafleet.core.plugins.action.validation_verdicts import judged  # noqa: E402
from ansible_collections.condafleet.core.plugins.module_utils import findings, node_findings  # noqa: E402
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import CHECKS  # noqa: E402
from ansible_collections.condafleet.core.plugins.module_utils.fleet_verdicts import compare, merged  # noqa: E402
from ansible_collections.condafleet.core.plugins.module_utils.validation_record import record_of  # noqa: E402
from condafleet.results import FleetResult, HostResult  # noqa: E402

AIM = 3.0  # seconds, for 500 nodes of 60 findings or more
GPUS = 8
H100 = "NVIDIA H100 80GB HBM3"
TIME = "2026-01-01T00:00:00Z"


def variables(number: int, gpus: int) -> dict[str, Any]:
    """A node's, as the role leaves them; one in 50 has a slow disk."""
    uuids = [f"GPU-{number:04}-{one}" for one in range(gpus)]
    found = []
    for index, check in enumerate(CHECKS):
        if check.scope in ("node", "gpu"):
            slow = check.name == "speed.disk" and number % 50 == 7
            value = 5.0 if slow else 100.0 + (number * 7 + index) % 5 if check.fleet != "same" else 8
            subjects = uuids if check.scope == "gpu" and uuids else ["node"]
            found += [findings.passed(check, one, value, evidence=["as measured"]) for one in subjects]
    identity = {"cpu": "AMD EPYC 9654", "gpus": [{"uuid": uuid, "name": H100} for uuid in uuids]}
    epochs = [{"epoch": one, "loss": 0.5 / one + number % 3 * 0.001} for one in range(1, 6)]
    trained = {
        "kind": "train", "environment": "pytorch", "framework": "torch", "verdict": "PASS", "test_accuracy": 0.98,
        "images_per_second": 9000.0, "versions": {"torch": "2.13"}, "device": {"kind": "cuda", "name": H100},
        "job_digest": "d", "epochs": epochs,
    }  # fmt: skip
    return {
        "__validation_checked": {"declared": {"level": "full", "checks": {}, "group": "fleet"}},
        "__validation_node": {"findings": found, "identity": identity},
        "__validation_trained": {"results": [{"result": trained}]},
    }


def stand(hosts: dict[str, dict[str, Any]]) -> tuple[dict[str, str], str]:
    """({host: verdict}, report as JSON): all that a controller does with what the nodes found."""
    known = {name: node_findings.known_of(one) for name, one in hosts.items()}
    fleet = compare({name: one.node for name, one in known.items()}, 4, 10)
    verdicts = {name: judged(one, fleet.changed[name], hosts[name]) for name, one in known.items()}
    made = {}
    for name, one in known.items():
        whole = merged(one.node.findings, verdicts[name]["findings"])
        record = record_of(TIME, "full", "0" * 64, whole, one.identity, TIME, TIME)
        made[name] = HostResult(name, "ok", data={"checks": record})
    result = FleetResult(made, TIME, TIME, figures=fleet.figures)
    return {name: one["verdict"] for name, one in verdicts.items()}, json.dumps(result.report())


def run(rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure 500 nodes with two GPUs (some 60 findings) and with eight: {nodes: {NAME: {median_s}}, aim_s, holds}."""
    found: dict[str, dict[str, Any]] = {}
    for name, gpus in (("500 with 2 GPUs", 2), (f"500 with {GPUS} GPUs", GPUS)):
        hosts = {f"node{one:03}": variables(one, gpus) for one in range(500)}
        count = len(hosts["node000"]["__validation_node"]["findings"])
        samples = []
        for _ in range(rounds):
            started = time.perf_counter()
            verdicts, written = stand(hosts)
            samples.append(time.perf_counter() - started)
        bad = [host for host, verdict in verdicts.items() if verdict == "FAIL"]
        if bad != [f"node{one:03}" for one in range(7, 500, 50)]:
            raise measure.BenchmarkError(f"{name}: not the slow nodes alone are named: {bad}")
        median = round(statistics.median(samples), 3)
        found[name] = {"findings": count, "median_s": median, "json_mb": round(len(written) / 1e6, 1)}
        say(f"{name}, {count} findings each: {median} s")
    load = round(os.getloadavg()[0], 2)
    holds = all(one["median_s"] < AIM for one in found.values() if one["findings"] < 100)
    return {"schema_version": 1, "rounds": rounds, "load_1min": load, "nodes": found, "aim_s": AIM, "holds": holds}


def table(result: dict[str, Any]) -> str:
    lines = [f"{'nodes':<20} {'findings':>8} {'seconds':>8} {'JSON MB':>8}"]
    lines += [
        f"{name:<20} {one['findings']:8d} {one['median_s']:8.3f} {one['json_mb']:8.1f}"
        for name, one in result["nodes"].items()
    ]
    return "\n".join([*lines, *([] if result["holds"] else [f"MISSED: 500 nodes in less than {result['aim_s']} s"])])
