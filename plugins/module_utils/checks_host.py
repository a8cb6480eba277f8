# SPDX-License-Identifier: Apache-2.0
"""What a node told of itself (host_probe.py), held against the limits: findings. Pure."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping

from ansible_collections.condafleet.core.plugins.module_utils import findings
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Asked
from ansible_collections.condafleet.core.plugins.module_utils.driver_libraries import mismatch

Finding = Dict[str, Any]
NODE = "node"
# What the module can see are the limits of its own session.
LIMITS_STEP = (
    "set %s in /etc/security/limits.d (a line for * does not count for root) or sshd's unit; where jobs have limits of "
    "a scheduler's own, switch this check off"
)


def host_findings(
    told: Mapping[str, Any], asked: Mapping[str, Asked], mounts: List[Mapping[str, Any]]
) -> List[Finding]:
    """A finding for each check of the host that is asked for. `mounts` are the declared ones."""
    judges: Dict[str, Callable[[Asked], Finding]] = {
        "host.cpus": lambda one: _figure(told, "cpus", one, "look at the cgroup's quota and at CPUs that are offline"),
        "host.memory": lambda one: _figure(told, "memory_gib", one, "look for a memory module that failed (dmidecode)"),
        "host.numa": lambda one: _figure(told, "numa", one, "compare the firmware's settings (NPS, SNC) with others'"),
        "host.clock": lambda one: _clock(told, one),
        "host.shm": lambda one: _figure(told, "shm_gib", one, "mount /dev/shm larger (in containers: --shm-size)"),
        "host.nofile": lambda one: _nofile(told, one),
        "host.memlock": lambda one: _memlock(told, one),
        "host.mounts": lambda one: _mounts(told, one, mounts),
        "host.driver": lambda one: _driver(told, one),
    }
    return [judge(asked[name]) for name, judge in judges.items() if name in asked]


def _unread(told: Mapping[str, Any], field: str, one: Asked) -> Finding:
    why = (told.get("errors") or {}).get(field) or "it could not be read"
    return findings.unknown(one.check, NODE, str(why), "look at it on the node by hand")


def _figure(told: Mapping[str, Any], field: str, one: Asked, step: str) -> Finding:
    value = told.get(field)
    if value is None:
        return _unread(told, field, one)
    return findings.judged(one.check, NODE, round(value, 2), one.limit, step)


def _clock(told: Mapping[str, Any], one: Asked) -> Finding:
    clock = told.get("clock")
    if clock is None:
        return _unread(told, "clock", one)
    step = "start chrony, systemd-timesyncd or ptp4l on the node; chrony tells the kernel only with rtcsync in its file"
    if not clock["synchronised"]:
        why = "nothing keeps the clock: the kernel calls it unsynchronised"
        return findings.failed(one.check, NODE, clock["error_seconds"], why, step, one.limit)
    return findings.judged(one.check, NODE, clock["error_seconds"], one.limit, step)


def _nofile(told: Mapping[str, Any], one: Asked) -> Finding:
    value = told.get("nofile")
    if value is None:
        return _unread(told, "nofile", one)
    if value < 0:
        return findings.passed(one.check, NODE, "unlimited", one.limit)
    return findings.judged(one.check, NODE, value, one.limit, LIMITS_STEP % "nofile to 1024 or more")


def _memlock(told: Mapping[str, Any], one: Asked) -> Finding:
    devices = told["infiniband"]
    if not devices and not one.limit:
        return findings.skipped(one.check, NODE, "there is no InfiniBand here", "nothing")
    value = told.get("memlock")
    if value is None:
        return _unread(told, "memlock", one)
    shown = "unlimited" if value < 0 else value
    step = LIMITS_STEP % "memlock to unlimited"
    if value < 0:
        return findings.passed(one.check, NODE, shown, one.limit)
    if one.limit:
        return findings.judged(one.check, NODE, value, one.limit, step)
    why = "%d bytes may be locked by this session; RDMA registers far more (%s)" % (value, ", ".join(devices))
    return findings.failed(one.check, NODE, shown, why, step)


def _mounts(told: Mapping[str, Any], one: Asked, mounts: List[Mapping[str, Any]]) -> Finding:
    if not mounts:
        return findings.skipped(one.check, NODE, "none are declared (validation_mounts)", "nothing")
    wanted = {str(entry["path"]): entry for entry in mounts}
    wrong = []
    for found in told["mounts"]:
        entry = wanted[str(found["path"])]
        said = _wrong_mount(found, entry)
        wrong += ["%s %s" % (found["path"], said)] if said else []
    evidence = [
        "%s: %s"
        % (found["path"], "free space unknown" if found["free_gib"] is None else "%.1f GiB free" % found["free_gib"])
        for found in told["mounts"]
        if found["there"]
    ]
    if wrong:
        step = "mount it, or correct validation_mounts"
        return findings.failed(one.check, NODE, len(wrong), "; ".join(wrong), step, evidence=evidence)
    return findings.passed(one.check, NODE, 0, evidence=evidence)


def _wrong_mount(found: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    if not found["there"]:
        return "is not there"
    if not found["mounted"] and entry.get("mounted", True):
        return "is a plain folder, nothing is mounted there"
    if found["problem"]:
        return "can't be used: %s" % found["problem"]
    least = entry.get("least_free_gib")
    if least is not None and found["free_gib"] < least:
        return "has %.1f GiB free, less than %g" % (found["free_gib"], least)
    return ""


def _driver(told: Mapping[str, Any], one: Asked) -> Finding:
    if not told.get("driver"):
        return findings.skipped(one.check, NODE, "there is no NVIDIA driver here", "nothing, if so meant")
    other = mismatch(told["driver"], told["libraries"])
    evidence = ["kernel module %s" % told["driver"]]
    evidence += ["%s %s" % (library["path"], library["version"]) for library in told["libraries"]]
    if not told["libraries"]:
        why = "kernel module %s is loaded, and its libraries are not where the loader looks" % told["driver"]
        step = "install the driver's libraries (ldconfig -p | grep libcuda shows them), or switch this check off"
        return findings.unknown(one.check, NODE, why, step, evidence=evidence)
    if other:
        why = "the kernel module is %s, its libraries are %s" % (told["driver"], other)
        return findings.failed(one.check, NODE, told["driver"], why, "reboot the node", evidence=evidence)
    return findings.passed(one.check, NODE, told["driver"], evidence=evidence)
