# SPDX-License-Identifier: Apache-2.0
"""Which GPUs a node has, and who can tell: NVML, else nvidia-smi. A node without any sign of a GPU is not asked.

That a GPU is missing is seen in these ways beside a declared count: the driver is not loaded though the PCI bus has
GPUs; it is loaded and sees none (it does not load where there is none); or the bus has more of them than the driver
(which a container's view of its host does not mean). Where NVIDIA's software is installed and there is nothing else,
the count is 0, which the fleet holds against nodes of the same kind.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional

from ansible_collections.condafleet.core.plugins.module_utils import checks_gpu, files, findings
from ansible_collections.condafleet.core.plugins.module_utils.bounded_call import NoAnswerError, in_child
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Asked
from ansible_collections.condafleet.core.plugins.module_utils.gpu_asked import ask_nvml
from ansible_collections.condafleet.core.plugins.module_utils.gpu_smi import probe_smi

Finding = Dict[str, Any]
LIMIT = 30.0
NVIDIA = "0x10de"
# PCI classes: a display controller, and one without an outlet (a data centre's GPU).
DISPLAY, COMPUTE = "0x0300", "0x0302"
# What takes a GPU where NVIDIA's driver is not there, such as after an update of the kernel that it was not built for.
# It may be meant for what draws, and never for what computes only.
NOUVEAU = "nouveau"
LIBRARY = "libnvidia-ml.so.1"
# What NVML, Python and nvidia-smi say where there is no driver at all, unlike one that is sick.
NOT_LOADED = (
    "Driver Not Loaded",
    "Library Not Found",
    "No module named",
    "couldn't communicate with the NVIDIA driver",
    "was not found in PATH",
)


class Sight(NamedTuple):
    """`probe` is as gpu_probe.py has it, told by `source`; None where there is no sign of a GPU, or, with `problem`,
    where nobody could tell. `on_bus` are PCI addresses of GPUs that the NVIDIA driver should have, `software` is what
    of NVIDIA's is installed, in words."""

    probe: Optional[Dict[str, Any]]
    source: str = ""
    problem: Optional[str] = None
    on_bus: List[str] = []  # noqa: RUF012 - never changed
    devices: int = 0
    software: str = ""

    @property
    def gpus(self) -> List[Dict[str, Any]]:
        return list((self.probe or {}).get("gpus") or [])

    @property
    def model(self) -> Optional[str]:
        """The one model that all GPUs are of, as far as they say: one that is lost takes no limit from the others."""
        names = {str(gpu["name"]) for gpu in self.gpus if gpu.get("name")}
        return names.pop() if len(names) == 1 else None

    @property
    def absent(self) -> bool:
        """Whether there is no sign that this node should have a GPU that is in use by an NVIDIA driver."""
        return self.probe is None and self.problem is None and not self.on_bus


def look(driver: Optional[str], wheel: Callable[[], Optional[str]], limit: float = LIMIT, root: str = "/") -> Sight:
    """`driver` is the kernel module's version; `wheel` gives nvidia-ml-py's file, called only where there is a sign of
    a GPU. Each of both tools may take `limit` seconds."""
    on_bus = pci_gpus(os.path.join(root, "sys"))
    devices = len([name for name in _names(os.path.join(root, "dev")) if re.fullmatch(r"nvidia\d+", name)])
    installed = {"nvidia-smi": bool(shutil.which("nvidia-smi")), LIBRARY: _has_library()}
    software = " and ".join(name for name, there in installed.items() if there)
    if not (driver or on_bus or devices or software):
        return Sight(None)
    tools: Dict[str, Callable[[], Dict[str, Any]]] = {
        "NVML": lambda: ask_nvml(wheel(), limit),
        "nvidia-smi": lambda: probe_smi(limit),
    }
    problems = []
    for source, ask in tools.items():
        try:
            # Why it was not NVML, too.
            return Sight(ask(), "; ".join([source, *problems]), None, on_bus, devices, software)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other tool may still tell
            problems.append("%s: %s" % (source, str(error) or type(error).__name__))
    if not driver and all(any(words in said for words in NOT_LOADED) for said in problems):
        return Sight(None, on_bus=on_bus, devices=devices, software=software)
    return Sight(None, "", "; ".join(problems), on_bus, devices, software)


def sight_findings(sight: Sight, asked: Mapping[str, Asked]) -> List[Finding]:
    """All that NVML or nvidia-smi could tell. What follows from the kernel's log and from DCGM is not among it, but
    where there is no GPU: then they are skipped here too."""
    if sight.absent:
        return checks_gpu.no_gpus(asked, sight.software)
    if sight.probe is not None:
        found = checks_gpu.gpu_findings(sight.probe, asked)
        if not sight.gpus:
            # Else what is asked of each GPU would be asked of nobody, and not be missed.
            each = {name: one for name, one in asked.items() if name in checks_gpu.JUDGES}
            found += checks_gpu.could_not_ask(each, "the driver sees no GPU")
        for one in found:
            if one["check"] == "gpu.driver":
                one["evidence"].append("told by %s" % sight.source)
        return _with_missing(found, sight, asked)
    if sight.problem is not None:
        return checks_gpu.could_not_ask(asked, sight.problem)
    reason = "no NVIDIA driver is loaded, and the PCI bus has %d of its GPUs" % len(sight.on_bus)
    step = "install the driver, or look why it did not load (dmesg, modprobe nvidia)"
    rest = {name: one for name, one in asked.items() if name != "gpu.count"}
    found = checks_gpu.could_not_ask(rest, reason)
    if "gpu.count" in asked:
        one = asked["gpu.count"]
        found.insert(0, findings.failed(one.check, "node", 0, reason, step, one.limit, evidence=sight.on_bus))
    return found


def pci_gpus(sys: str = "/sys") -> List[str]:
    """Addresses of NVIDIA's GPUs that no other driver is meant to have (nouveau for a display, or one that passes them
    on to a guest)."""
    home = os.path.join(sys, "bus/pci/devices")
    found = []
    for address in _names(home):
        vendor = (files.read_text(os.path.join(home, address, "vendor")) or "").strip()
        kind = (files.read_text(os.path.join(home, address, "class")) or "").strip()
        if vendor != NVIDIA or kind[:6] not in (DISPLAY, COMPUTE):
            continue
        link = os.path.join(home, address, "driver")
        driver = os.path.basename(os.path.realpath(link)) if os.path.exists(link) else ""
        if driver in ("", "nvidia") or (driver == NOUVEAU and kind[:6] == COMPUTE):
            found.append(address)
    return sorted(found)


def _with_missing(found: List[Finding], sight: Sight, asked: Mapping[str, Asked]) -> List[Finding]:
    count = len(sight.gpus)
    # A container sees its host's whole bus, and device files of its own GPUs alone.
    missing = len(sight.on_bus) > count and (not count or sight.devices >= len(sight.on_bus))
    if "gpu.count" not in asked or not (missing or not count):
        return found
    one = asked["gpu.count"]
    why = "the driver sees %d of the %d GPUs on the PCI bus" % (count, len(sight.on_bus))
    if not sight.on_bus:
        if one.limit and not one.limit.complaint(0, one.check.unit):
            return found
        why = "the NVIDIA driver is loaded, and there is no GPU: they have all fallen off the bus, or are switched off"
    seen = [str(gpu.get("bus_id")) for gpu in sight.gpus]
    evidence = ["on the bus: %s" % ", ".join(sight.on_bus), "seen: %s" % ", ".join(seen)]
    failed = findings.failed(one.check, "node", count, why, checks_gpu.MISSING_STEP, one.limit, evidence=evidence)
    return [failed if entry["check"] == "gpu.count" and entry["verdict"] == "PASS" else entry for entry in found]


def _has_library() -> bool:
    """Whether the loader finds NVIDIA's library. Loading it asks no driver yet, but happens in a child all the same."""
    try:
        return bool(in_child(_load, LIMIT, LIBRARY))
    except NoAnswerError:
        return False


def _load() -> Dict[str, Any]:
    ctypes.CDLL(LIBRARY)
    return {"there": True}


def _names(folder: str) -> List[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
