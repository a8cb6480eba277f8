# SPDX-License-Identifier: Apache-2.0
"""What a validation's figures belong to: this very node, its GPUs, its driver, and the software that is current."""

from __future__ import annotations

import os
import platform
import re
import socket
from typing import Any, Dict, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.gpu_sight import Sight
from ansible_collections.condafleet.core.plugins.module_utils.observe_node import cuda_of

OF_A_GPU = ("uuid", "serial", "name", "bus_id")


def identity(current: Mapping[str, str], told: Mapping[str, Any], sight: Sight) -> Dict[str, Any]:
    """{node, machine_id, cpu, gpus: [{uuid, serial, name, bus_id}], driver, cuda, kernel, generations: {ENV: NAME}}.

    What is not known is null. `current` are the generations, `told` is what host_probe.py observed.
    """
    probe = sight.probe or {}
    driver = probe.get("driver") or told.get("driver")
    return {
        "node": socket.gethostname(),
        "machine_id": (files.read_text("/etc/machine-id") or "").strip() or None,
        "cpu": cpu_model(files.read_text("/proc/cpuinfo") or "") or platform.machine(),
        "gpus": [{key: gpu.get(key) for key in OF_A_GPU} for gpu in sight.gpus],
        "driver": driver,
        "cuda": probe.get("cuda") or cuda_of(driver),
        "kernel": platform.release(),
        "generations": dict(current),
    }


def cpu_model(cpuinfo: str) -> Optional[str]:
    """The processor's name. 64-bit Arm has none there, but numbers of its maker and part."""
    named = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    if named:
        return " ".join(named.group(1).split())
    parts = [re.search(r"^CPU %s\s*:\s*(\S+)$" % key, cpuinfo, re.MULTILINE) for key in ("implementer", "part")]
    return "Arm %s" % " ".join(found.group(1) for found in parts if found) if all(parts) else None


def generations(prefix: str, root: str) -> Dict[str, str]:
    """{ENVIRONMENT: name of the generation that is current}."""
    home = os.path.join(prefix, "envs")
    below = os.path.realpath(os.path.join(root, "generations"))
    found = {}
    try:
        names = sorted(os.listdir(home))
    except OSError:
        return {}
    for name in names:
        real = os.path.realpath(os.path.join(home, name))
        if os.path.dirname(real) == below and os.path.isdir(real):
            found[name] = os.path.basename(real)
    return found
