# SPDX-License-Identifier: Apache-2.0
"""Which speed is measured on what, and what a measured figure means. Pure.

A GPU is measured only while no process uses it: a job would be slowed down, and so would the figure be.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import findings
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Asked, Limit
from ansible_collections.condafleet.core.plugins.module_utils.checks_links import missing_field

Finding = Dict[str, Any]

NODE, CPU, CUDA = "node", "cpu", "cuda"
DISK, ALLREDUCE = "speed.disk", "speed.allreduce"
# What has nothing to do with GPUs, also where there are some.
OF_THE_HOST = ("speed.loading",)
# Told by the driver, of the time in which the others load the GPU.
SLOWDOWN = "speed.slowdown"
# What takes all GPUs of the node at once.
OF_ALL_GPUS = ("speed.p2p", ALLREDUCE)
# What CPUs can't be asked for.
GPUS_ONLY = ("speed.matmul.tf32", "speed.matmul.fp8", "speed.h2d", "speed.d2h", SLOWDOWN, *OF_ALL_GPUS)
# A GPU's memory that the driver keeps for itself, at most; more than that belongs to somebody.
OWN_BYTES, OWN_SHARE = 2 << 30, 0.03
# The figures of all-reduce in gpu_figures.py are of nodes with so many GPUs.
FULL_NODE = 8

WAIT = "validate again when no job uses it"
STEPS = {
    "matmul": "look at gpu.throttle, gpu.power and gpu.clocks, and compare with other nodes of the kind",
    "memory": "look at gpu.ecc and gpu.throttle; on CPUs at the memory modules and what else runs",
    "h2d": "look at gpu.pcie, the slot and the firmware's settings",
    "d2h": "look at gpu.pcie, the slot and the firmware's settings",
    "slowdown": "look at fans, filters, the seat of its heat sink and the room's temperature",
    "p2p": "look at gpu.nvlink, nvidia-smi topo -m, and the access control of PCIe switches (ACS)",
    "loading": "look at host.cpus, host.memory and what else runs on the node",
    "disk": "look at the disk's health and what else uses it",
    "allreduce": "look at gpu.nvlink and nvidia-fabricmanager; run it with NCCL_DEBUG=INFO",
}


class Turn(NamedTuple):
    """What one process measures: `gpus` by UUID, in the order in which it sees them; none for the CPUs."""

    gpus: Tuple[str, ...]
    checks: Tuple[str, ...]
    subjects: Tuple[str, ...]

    @property
    def kind(self) -> str:
        return CUDA if self.gpus else CPU


def wanted(asked: Mapping[str, Asked]) -> List[str]:
    """The checks that PyTorch is needed for."""
    return [name for name in asked if name.startswith("speed.") and name != DISK]


def turns(asked: Mapping[str, Asked], gpus: Sequence[Mapping[str, Any]]) -> Tuple[List[Turn], List[Finding]]:
    """(what is to be measured, one after the other; findings of what is not)."""
    names = wanted(asked)
    found: List[Turn] = []
    said: List[Finding] = []
    host = [name for name in names if name in OF_THE_HOST]
    if not gpus:
        for name in names:
            if name in GPUS_ONLY:
                said.append(findings.skipped(asked[name].check, NODE, "there is no GPU here", "nothing, if so meant"))
            elif name not in host:
                host.append(name)
        return [Turn((), tuple(in_order(host)), (NODE,))] if host else [], said
    if host:
        found.append(Turn((), tuple(host), (NODE,)))
    single = [name for name in names if name not in OF_THE_HOST + OF_ALL_GPUS]
    taken = {subject_of(gpu): why for gpu in gpus for why in [use_of(gpu)] if why}
    for gpu in gpus if single else ():
        subject = subject_of(gpu)
        if subject in taken:
            said += [not_now(asked[name], subject, taken[subject]) for name in single]
        else:
            found.append(Turn((subject,), tuple(single), (subject,)))
    together, more = turns_of_all(asked, [subject_of(gpu) for gpu in gpus], taken)
    return found + together, said + more


def in_order(names: Sequence[str]) -> List[str]:
    """Data loading last: what its workers leave in the caches and the clocks is no concern of the others."""
    return sorted(names, key=lambda name: name in OF_THE_HOST)


def turns_of_all(
    asked: Mapping[str, Asked], subjects: Sequence[str], taken: Mapping[str, "Use"]
) -> Tuple[List[Turn], List[Finding]]:
    found: List[Turn] = []
    said: List[Finding] = []
    for name in OF_ALL_GPUS:
        if name not in asked:
            continue
        whom = (NODE,) if name == ALLREDUCE else tuple(subjects)
        if len(subjects) < 2:
            said += [findings.skipped(asked[name].check, one, "there is one GPU only", "nothing") for one in whom]
        elif taken:
            why = "; ".join("%s: %s" % (subject, use.why) for subject, use in taken.items())
            told = any(use.told for use in taken.values())
            said += [not_now(asked[name], one, Use("it takes all GPUs. %s" % why, told)) for one in whom]
        else:
            found.append(Turn(tuple(subjects), (name,), whom))
    return found, said


class Use(NamedTuple):
    """Why a GPU is left alone. `told` is whether that is known, or only that nobody could tell; `step` what to do."""

    why: str
    told: bool = True
    step: str = WAIT


def use_of(gpu: Mapping[str, Any]) -> Optional[Use]:
    """Why this GPU may not be measured now, None where it may. `gpu` is one of gpu_probe.py."""
    if not gpu.get("uuid"):
        return Use("its UUID could not be read: %s" % _error(gpu, "uuid"), told=False)
    if gpu.get("mig"):
        # Before its processes, which the driver does not tell everybody of such a GPU.
        why = "MIG is on: its instances are not measured, and without them it takes no work"
        return Use(why, step="nothing, if so meant; nvidia-smi -mig 0 to measure it")
    processes = gpu.get("processes")
    if processes is None:
        return Use("whether a process uses it could not be told: %s" % _error(gpu, "processes"), told=False)
    if processes:
        return Use("in use by %s" % ", ".join("process %s" % pid for pid in processes[:8]))
    used, total = gpu.get("memory_used"), gpu.get("memory_total")
    if used is not None and total is not None and used > max(OWN_BYTES, OWN_SHARE * total):
        # Those of other containers do not show.
        return Use("no process shows, but %.1f GiB of its memory are in use" % (used / float(1 << 30)))
    return None


def not_now(one: Asked, subject: str, use: Use) -> Finding:
    if use.told:
        return findings.skipped(one.check, subject, use.why, use.step)
    return findings.unknown(one.check, subject, use.why, "run nvidia-smi on the node, and validate again")


def subject_of(gpu: Mapping[str, Any]) -> str:
    return str(gpu.get("uuid") or "GPU %s" % gpu.get("index"))


def _error(gpu: Mapping[str, Any], field: str) -> str:
    return str((gpu.get("errors") or {}).get(field) or "NVML did not say")


def judged(one: Asked, subject: str, figure: Mapping[str, Any]) -> Finding:
    """The finding of a figure that speed_torch.py wrote, or that speed_run.py made of its end.

    {value, evidence} | {skip} | {wrong} | {unfit, step} | {error, step?}, each with `seconds` where they are known.
    """
    check, seconds = one.check, figure.get("seconds")
    evidence = list(figure.get("evidence") or ())
    if "value" in figure:
        step = STEPS[check.name.split(".")[1]]
        return findings.judged(
            check, subject, round(float(figure["value"]), 6), one.limit, step, evidence=evidence, seconds=seconds
        )
    if "skip" in figure:
        return findings.skipped(check, subject, str(figure["skip"]), "nothing", evidence=evidence, seconds=seconds)
    if "wrong" in figure:
        step = "drain the node and measure again: hardware that computes or copies wrongly spoils every training"
        return findings.failed(
            check, subject, None, str(figure["wrong"]), step, one.limit, evidence=evidence, seconds=seconds
        )
    if "unfit" in figure:
        return findings.failed(
            check, subject, None, str(figure["unfit"]), str(figure["step"]), one.limit, evidence=evidence,
            seconds=seconds,
        )  # fmt: skip
    reason = str(figure.get("error"))
    if is_fault(reason):
        step = "look at gpu.xid and the kernel's log; drain the node if it stays so"
        return findings.failed(check, subject, None, reason, step, one.limit, evidence=evidence, seconds=seconds)
    step = str(figure.get("step") or "measure again; look at the kernel's log if it stays so")
    return findings.unknown(check, subject, reason, step, evidence=evidence, seconds=seconds)


def is_fault(reason: str) -> bool:
    """Whether an error is the GPU's own word that it can't work, and not that somebody else was quicker."""
    theirs = any(words in reason for words in ("out of memory", "ALLOC_FAILED", "busy or unavailable"))
    return not theirs and any(words in reason for words in ("CUDA error", "CUBLAS_STATUS", "NCCL error"))


def slowed(one: Asked, subject: str, before: Mapping[str, Any], after: Mapping[str, Any], loaded: bool) -> Finding:
    """For how long heat has slowed down a GPU, by what the driver told of it `before` and `after` it was measured
    (gpu_probe.py, with who `told` it); `loaded` is whether anything was measured at all."""
    if not loaded:
        why = "none of its speeds was measured, so nothing has put it under load"
        return findings.skipped(one.check, subject, why, "see the other checks of its speed")
    for gpu in (before, after):
        missing = missing_field(gpu, "slowed", one, subject)
        if missing:
            return missing
    if before.get("told") != after.get("told"):
        why = "%s told it before, and %s afterwards, which count by themselves" % (
            before.get("told"),
            after.get("told"),
        )
        return findings.unknown(one.check, subject, why, "look at gpu.driver, and validate again")
    seconds = round(after["slowed"] - before["slowed"], 3)
    if seconds < 0:
        why = "the driver's counter went back by %g s, as where it was loaded anew meanwhile" % -seconds
        return findings.unknown(one.check, subject, why, "look at the kernel's log, and validate again")
    evidence = ["%.3f s since the driver was loaded; now at %s °C" % (after["slowed"], after.get("temperature"))]
    return findings.judged(one.check, subject, seconds, one.limit, STEPS["slowdown"], evidence=evidence)


def of_so_many(one: Asked, gpus: int) -> Tuple[Asked, List[str]]:
    """All-reduce over `gpus` of them: a model's figure is of full nodes, and no limit for others."""
    if one.limit is None or one.limit.source == "validation_checks" or gpus == FULL_NODE:
        return one, []
    return one._replace(limit=None), ["%d GPUs: the limit of %s is for %d" % (gpus, said(one.limit), FULL_NODE)]


def said(limit: Limit) -> str:
    return "%g (%s)" % (limit.least or 0, limit.source)


REFUSALS = {
    "missing": (
        "environment %s: %s",
        "name one with PyTorch in validation_speed_environment, or add torch to its frameworks and spec",
    ),
    "cpu_build": (
        "environment %s: %s, and the node has GPUs",
        "name an environment for a CUDA target in validation_speed_environment",
    ),
    "unseen": (
        "environment %s: its PyTorch is built for CUDA, the GPU is free, and it is not seen: %s",
        "compare the driver (host.driver, gpu.cuda) with what the environment's target needs",
    ),
}


def refused(one: Asked, subject: str, environment: str, refusal: Mapping[str, Any]) -> Finding:
    """Nothing could be measured: an environment that has nothing for it is SKIP, one that should have is FAIL."""
    text, step = REFUSALS[refusal["kind"]]
    reason = text % (environment, refusal["why"])
    if refusal["kind"] == "unseen":
        return findings.failed(one.check, subject, None, reason, step, one.limit)
    return findings.skipped(one.check, subject, reason, step)


def without_environment(asked: Mapping[str, Asked], gpus: Sequence[Mapping[str, Any]], why: str) -> List[Finding]:
    """All that PyTorch is needed for, where no environment has it."""
    step = "declare an environment with torch among its frameworks, or name one in validation_speed_environment"
    found = []
    for name in wanted(asked):
        host = not gpus or name in OF_THE_HOST or name == ALLREDUCE
        for subject in [NODE] if host else [subject_of(gpu) for gpu in gpus]:
            found.append(findings.skipped(asked[name].check, subject, why, step))
    return found
