"""Validations of nodes as the collection writes them, for tests that read them: made by its own functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.condafleet.core.plugins.module_utils import findings
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Limit, asked
from ansible_collections.condafleet.core.plugins.module_utils.validation_record import record_of
from condafleet.results import FleetResult, HostResult

H100 = "NVIDIA H100 80GB HBM3"
RUN, EARLIER = "2026-01-08T03:00:00Z", "2026-01-01T03:00:00Z"
GPUS = ("GPU-aaaaaaaa-0000", "GPU-bbbbbbbb-1111")
FRAMEWORKS = {"jax": "jax", "keras": "keras-torch", "pytorch": "torch", "tensorflow": "tensorflow"}


def identity(**more: Any) -> dict[str, Any]:
    known = {
        "node": "node1",
        "machine_id": "0123456789abcdef",
        "cpu": "AMD EPYC 9654",
        "gpus": [{"uuid": gpu, "serial": None, "name": H100, "bus_id": f"0000:{17 + number:02X}:00.0"}
                 for number, gpu in enumerate(GPUS)],
        "driver": "570.86.15",
        "cuda": "12.8",
        "kernel": "6.1.0-28-amd64",
        "generations": {name: f"{name}-0123456789ab-1" for name in FRAMEWORKS},
    }  # fmt: skip
    return {**known, **more}


def sound(bf16: float = 720.0) -> list[dict[str, Any]]:
    """What a sound node with two GPUs came to."""
    limits = asked("standard", {}, H100)
    found = [
        findings.judged(BY_NAME["host.shm"], "node", 64.0, limits["host.shm"].limit, "mount it larger"),
        findings.passed(BY_NAME["gpu.count"], "node", 2, evidence=["2 GPUs by NVML"], seconds=0.25),
        findings.skipped(BY_NAME["gpu.dcgm"], "node", "DCGM is not installed", "install it for its own diagnosis"),
    ]
    for gpu in GPUS:
        found.append(findings.judged(BY_NAME["gpu.ecc"], gpu, 0, limits["gpu.ecc"].limit, "drain it"))
        speed = limits["speed.matmul.bf16"]
        found.append(findings.judged(speed.check, gpu, bf16, speed.limit, "look at clocks and power", seconds=2.5))
    for name, framework in FRAMEWORKS.items():
        found.append(findings.judged(BY_NAME["train.mnist"], f"{name}/{framework}", 0.978, None, "compare the losses"))
        found.append(findings.passed(BY_NAME["train.speed"], f"{name}/{framework}", 9000.0))
    return found


def remap_pending() -> dict[str, Any]:
    return findings.failed(
        BY_NAME["gpu.remaps"], GPUS[1], 1, "a row's remapping is pending", "drain the node and reset the GPU",
        asked("standard", {})["gpu.remaps"].limit, evidence=["pending: yes"],
    )  # fmt: skip


def slow_for_the_fleet() -> dict[str, Any]:
    band = Limit(least=8100.0, source="median of 12: 9000, ± 4 deviations by the MAD, at least 10 %")
    return findings.judged(BY_NAME["train.speed"], "pytorch/torch", 4000.0, band, "compare its clocks with another's")


def log_unreadable() -> dict[str, Any]:
    return findings.unknown(
        BY_NAME["gpu.xid"], GPUS[0], "the kernel's log can't be read \x1b[31m(dmesg)\x1b[0m", "run as root"
    )


def record(found: Sequence[dict[str, Any]], run: str = RUN, level: str = "standard", **more: Any) -> dict[str, Any]:
    """Return a validation as `ROOT/validation/node.json` has it."""
    return record_of(run, level, "0" * 64, found, identity(**more), run, run)


def trained(verdict: str = "PASS", **more: Any) -> dict[str, dict[str, Any]]:
    epochs = [{"epoch": number, "loss": 0.5 / number, "accuracy": 0.9, "seconds": 6.0} for number in (1, 2)]
    result = {"verdict": verdict, "reason": None, "test_accuracy": 0.978, "test_loss": 0.0712, **more}
    result.setdefault("images_per_second", 9000.0)
    result.update(epochs=epochs, device={"kind": "cuda", "name": H100})
    return {name: {framework: {**result, "framework": framework}} for name, framework in FRAMEWORKS.items()}


def fleet(**hosts: Sequence[dict[str, Any]]) -> FleetResult:
    """Return the result of a run in which these hosts were validated, {NAME: findings}; a bad verdict fails a host."""
    made = {}
    for name, found in hosts.items():
        bad = [findings.sentence(one) for one in found if one["verdict"] in findings.BAD]
        data = {"checks": record(found, node=name), "validation": trained()}
        task = "Refuse a node that could not prove it" if bad else None
        made[name] = HostResult(name, "failed" if bad else "ok", " ".join(bad) or None, task, data)
    return FleetResult(made, "2026-01-08T03:00:00Z", "2026-01-08T03:10:00Z")


def report(**hosts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the report of such a run."""
    return fleet(**hosts).report()
