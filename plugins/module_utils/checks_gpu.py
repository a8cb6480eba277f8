# SPDX-License-Identifier: Apache-2.0
"""What NVML, nvidia-smi and the kernel's log told of the GPUs, held against the limits: findings. Pure.

`probe` is what gpu_probe.py returns, `asked` what check_limits.py wants of this node. A field that a GPU does not
support is SKIP, one that could not be read is ERROR: neither is a PASS.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, Mapping

from ansible_collections.condafleet.core.plugins.module_utils import checks_links, findings, kernel_log
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Asked
from ansible_collections.condafleet.core.plugins.module_utils.checks_links import missing_field

Finding = Dict[str, Any]
Judge = Callable[[Mapping[str, Any], Asked, str], Finding]

# Why clocks are held down, of NVML's bit mask: those that a sound, cooled and fed GPU does not show.
BAD_REASONS = {
    8: "hardware slowdown (heat, power or brake)",
    32: "software slowdown for heat",
    64: "hardware slowdown for heat",
    128: "hardware power brake (the power supply asks for it)",
}
WORKSTATION = re.compile(r"GeForce|RTX|Quadro|TITAN", re.IGNORECASE)
RECOVERY = {
    1: "a reset of the GPU",
    2: "a reboot of the node",
    3: "an end of peer-to-peer traffic (drain), then to be asked again",
    4: "a drain, and then a reset of the GPU",
    5: "a recovery of the IMEX domain",
    6: "a reset of the bus",
    7: "a reboot of the system",
}


def gpu_findings(probe: Mapping[str, Any], asked: Mapping[str, Asked]) -> List[Finding]:
    """Findings of all GPUs, each by its UUID, and of the node (count, model, driver, CUDA)."""
    found = _of_the_node(probe, asked)
    for gpu in probe["gpus"]:
        subject = str(gpu.get("uuid") or "GPU %d" % gpu["index"])
        whole = {**gpu, "alone": len(probe["gpus"]) == 1}
        for name, judge in JUDGES.items():
            if name in asked:
                found.append(judge(whole, asked[name], subject))
    return found


def could_not_ask(asked: Mapping[str, Asked], reason: str) -> List[Finding]:
    """All that NVML would have told, where it could not be asked: ERROR, with the reason."""
    step = "run nvidia-smi on the node by hand; if it hangs too, drain the node and reboot it"
    names = [*NODE_CHECKS, *JUDGES]
    return [findings.unknown(asked[name].check, "node", reason, step) for name in names if name in asked]


def no_gpus(asked: Mapping[str, Asked], software: str = "") -> List[Finding]:
    """A node without NVIDIA driver or GPU: nothing to look at, unless GPUs (how many, or which) are what was declared
    for it. Where NVIDIA's `software` is there, it may be a node that has lost all of them: the fleet is told so."""
    found = []
    for name, one in asked.items():
        if not name.startswith("gpu."):
            continue
        if (name in ("gpu.count", "gpu.model") and one.limit) or (name == "gpu.count" and software):
            evidence = ["%s is installed, and there is neither a driver nor a GPU" % software] if software else []
            value: Any = 0 if name == "gpu.count" else "none"
            found.append(findings.judged(one.check, "node", value, one.limit, MISSING_STEP, evidence=evidence))
        else:
            found.append(findings.skipped(one.check, "node", "there is no NVIDIA driver here", "nothing, if so meant"))
    return found


def xid_findings(
    gpus: List[Mapping[str, Any]], xids: List[Mapping[str, Any]], window: float, one: Asked, source: str
) -> List[Finding]:
    """A finding for each GPU. `xids` are kernel_log.xids of the window; those of no known GPU (fallen off the bus,
    and so no more seen) are the node's."""
    hours = "%.3g h" % (window / 3600.0)
    names = [str(gpu.get("uuid") or "GPU %d" % gpu["index"]) for gpu in gpus]
    subjects = {kernel_log.bus_of(str(gpu.get("bus_id"))): name for gpu, name in zip(gpus, names)}
    own: Dict[str, List[Mapping[str, Any]]] = {name: [] for name in names}
    for entry in xids:
        own.setdefault(subjects.get(kernel_log.bus_of(str(entry["bus_id"])), "node"), []).append(entry)
    # Also where no GPU could be named: the log was read, and that is said.
    found = own or {"node": []}
    return [_xid(subject, entries, one, hours, source) for subject, entries in found.items()]


def _xid(subject: str, own: List[Mapping[str, Any]], one: Asked, hours: str, source: str) -> Finding:
    bad = [entry for entry in own if entry["meaning"]]
    # What condemns stands first: no more than some lines are kept.
    own = bad + [entry for entry in own if not entry["meaning"]]
    lines = ["%.0f min ago: %s" % (entry["age"] / 60.0, entry["text"]) for entry in own]
    if not bad:
        said = lines or ["no Xid within %s (%s)" % (hours, source)]
        return findings.passed(one.check, subject, sorted({entry["xid"] for entry in own}), one.limit, evidence=said)
    meanings = {int(entry["xid"]): str(entry["meaning"]) for entry in bad}
    numbers = sorted(meanings)
    words = ", ".join("%d (%s)" % (number, meanings[number]) for number in numbers)
    return findings.failed(
        one.check,
        subject,
        numbers,
        "Xid %s within %s" % (words, hours),
        "drain the node, and do what NVIDIA's Xid catalog says of these numbers",
        one.limit,
        evidence=lines,
    )


MISSING_STEP = "look for a GPU that fell off the bus (dmesg, lspci), reseat or replace it"

UNTOLD_STEP = "run nvidia-smi -q on the node; in containers look at NVIDIA_DRIVER_CAPABILITIES (compute,utility)"


def _of_the_node(probe: Mapping[str, Any], asked: Mapping[str, Asked]) -> List[Finding]:
    gpus = probe["gpus"]
    models = sorted({str(gpu["name"]) for gpu in gpus if gpu.get("name")})
    nameless = sum(not gpu.get("name") for gpu in gpus)
    values = {
        "gpu.count": (len(gpus), MISSING_STEP),
        "gpu.model": (" and ".join(models) or "none", "put the node into the group of its own kind"),
        "gpu.driver": (probe.get("driver"), "install the driver that the other nodes have"),
        "gpu.cuda": (probe.get("cuda"), "install the driver that the other nodes have"),
    }
    untold = {name: "the driver did not say" for name, (value, _step) in values.items() if value is None}
    if "gpu.cuda" in untold:
        untold["gpu.cuda"] = "the driver did not say, as where there is no libcuda.so.1 (%s)" % (
            (probe.get("errors") or {}).get("cuda") or "no more is known"
        )
    if nameless:
        untold["gpu.model"] = "%d of %d GPUs did not say" % (nameless, len(gpus))
    found = []
    for name, (value, step) in values.items():
        if name not in asked:
            continue
        one = asked[name]
        evidence = ["%s %s" % (gpu.get("bus_id"), gpu.get("uuid")) for gpu in gpus] if name == "gpu.count" else []
        if name in untold:
            evidence = ["others: %s" % value] if nameless and models and name == "gpu.model" else []
            found.append(findings.unknown(one.check, "node", untold[name], UNTOLD_STEP, evidence=evidence))
        else:
            found.append(findings.judged(one.check, "node", value, one.limit, step, evidence=evidence))
    return found


def _recovery(gpu: Mapping[str, Any], one: Asked, subject: str) -> Finding:
    missing = missing_field(gpu, "recovery", one, subject)
    if missing:
        return missing
    value = gpu["recovery"]
    if value == 0:
        return findings.passed(one.check, subject, value, one.limit)
    action = RECOVERY.get(value, "something unknown (%s)" % value)
    return findings.failed(
        one.check, subject, value, "the driver asks for %s" % action, "drain the node, then see to %s" % action
    )


def _ecc(gpu: Mapping[str, Any], one: Asked, subject: str) -> Finding:
    if gpu.get("ecc") is False and _comes_without_ecc(gpu):
        why = "ECC is off, as it is by default on this model"
        return findings.skipped(one.check, subject, why, "nothing, or nvidia-smi -e 1 and a reboot")
    if gpu.get("ecc") is False:
        return findings.failed(
            one.check, subject, None, "ECC is off", "nvidia-smi -e 1 and a reboot, or switch this check off", one.limit
        )
    return missing_field(gpu, "ecc_uncorrected", one, subject) or findings.judged(
        one.check, subject, gpu["ecc_uncorrected"], one.limit, "drain the node, reset the GPU, and watch it"
    )


def _comes_without_ecc(gpu: Mapping[str, Any]) -> bool:
    """NVML tells the default, nvidia-smi does not: then by what NVIDIA calls its cards for workstations and players."""
    default = gpu.get("ecc_default")
    return not default if default is not None else bool(WORKSTATION.search(str(gpu.get("name"))))


def _remaps(gpu: Mapping[str, Any], one: Asked, subject: str) -> Finding:
    rows = gpu.get("remaps")
    if rows is None and gpu.get("retired_pending") is not None:
        step = "drain the node and reset the GPU, so that the pages are retired"
        return findings.judged(one.check, subject, int(gpu["retired_pending"]), one.limit, step)
    missing = missing_field(gpu, "remaps", one, subject)
    if missing:
        return missing
    evidence = ["remapped: %d correctable, %d uncorrectable" % (rows["correctable"], rows["uncorrectable"])]
    if rows["failure"]:
        return findings.failed(
            one.check, subject, rows["failure"], "a row could not be remapped", "have the GPU replaced", one.limit,
            evidence=evidence,
        )  # fmt: skip
    step = "drain the node and reset the GPU, so that the row is remapped"
    return findings.judged(one.check, subject, rows["pending"], one.limit, step, evidence=evidence)


def _throttle(gpu: Mapping[str, Any], one: Asked, subject: str) -> Finding:
    missing = missing_field(gpu, "reasons", one, subject)
    if missing:
        return missing
    bad = [text for bit, text in sorted(BAD_REASONS.items()) if gpu["reasons"] & bit]
    evidence = ["reasons 0x%x, %s MHz of %s" % (gpu["reasons"], gpu.get("clock"), gpu.get("clock_most"))]
    if bad:
        step = "look at cooling, power cables and the power supply of this node"
        return findings.failed(one.check, subject, gpu["reasons"], "; ".join(bad), step, one.limit, evidence=evidence)
    return findings.passed(one.check, subject, gpu["reasons"], one.limit, evidence=evidence)


def _persistence(gpu: Mapping[str, Any], one: Asked, subject: str) -> Finding:
    return missing_field(gpu, "persistence", one, subject) or findings.judged(
        one.check,
        subject,
        "on" if gpu["persistence"] else "off",
        one.limit,
        "enable nvidia-persistenced, or nvidia-smi -pm 1",
    )


def _temperature(gpu: Mapping[str, Any], one: Asked, subject: str) -> Finding:
    for field in ("temperature", "slowdown"):
        missing = missing_field(gpu, field, one, subject)
        if missing:
            return missing
    evidence = ["%s °C, slows down at %s °C" % (gpu["temperature"], gpu["slowdown"])]
    step = "look at fans, filters and the room's temperature"
    return findings.judged(one.check, subject, gpu["slowdown"] - gpu["temperature"], one.limit, step, evidence=evidence)


def _power(gpu: Mapping[str, Any], one: Asked, subject: str) -> Finding:
    missing = missing_field(gpu, "power_limit", one, subject)
    if missing:
        return missing
    limit, default = gpu["power_limit"], gpu.get("power_default")
    evidence = ["limit %s W, by default %s W, now %s W" % (limit, default, gpu.get("power"))]
    said = one.limit.complaint(limit, one.check.unit) if one.limit else None
    if not one.limit and default is not None and limit < default:
        said = "the power limit is %g W, the default is %g W" % (limit, default)
    if said:
        step = "nvidia-smi -pl %g, or say so in validation_checks if it is meant" % (default or limit)
        return findings.failed(one.check, subject, limit, said, step, one.limit, evidence=evidence)
    return findings.passed(one.check, subject, limit, one.limit, evidence=evidence)


def _clocks(gpu: Mapping[str, Any], one: Asked, subject: str) -> Finding:
    missing = missing_field(gpu, "clock_most", one, subject)
    if missing:
        return missing
    most, applied, default = gpu["clock_most"], gpu.get("clock_set"), gpu.get("clock_default")
    lowered = applied is not None and default is not None and applied < default
    value = applied if lowered else most
    evidence = ["at most %s MHz, given to applications %s MHz, by default %s MHz" % (most, applied, default)]
    if lowered and not one.limit:
        why = "applications are given %s MHz, the default is %s MHz" % (applied, default)
        step = "nvidia-smi -rac, or say so in validation_checks if it is meant"
        return findings.failed(one.check, subject, value, why, step, evidence=evidence)
    step = "compare model and VBIOS with the others', nvidia-smi -rac"
    return findings.judged(one.check, subject, value, one.limit, step, evidence=evidence)


def _plain(field: str, step: str) -> Judge:
    def judge(gpu: Mapping[str, Any], one: Asked, subject: str) -> Finding:
        return missing_field(gpu, field, one, subject) or findings.judged(
            one.check, subject, gpu[field], one.limit, step
        )

    return judge


JUDGES: Dict[str, Judge] = {
    "gpu.recovery": _recovery,
    "gpu.ecc": _ecc,
    "gpu.remaps": _remaps,
    "gpu.nvlink": checks_links.nvlink,
    "gpu.pcie": checks_links.pcie,
    "gpu.clocks": _clocks,
    "gpu.throttle": _throttle,
    "gpu.persistence": _persistence,
    "gpu.mig": _plain("mig", "nvidia-smi -mig 0 or 1, or say so in validation_checks if it is meant"),
    "gpu.temperature": _temperature,
    "gpu.power": _power,
}
NODE_CHECKS = ("gpu.count", "gpu.model", "gpu.driver", "gpu.cuda")
