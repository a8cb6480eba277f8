# SPDX-License-Identifier: Apache-2.0
"""Asks NVML in a child that can be abandoned: in a sick driver it hangs in the kernel, beyond any signal."""

from __future__ import annotations

import importlib
import sys
from typing import Any, Dict, Optional

from ansible_collections.condafleet.core.plugins.module_utils.bounded_call import in_child
from ansible_collections.condafleet.core.plugins.module_utils.gpu_probe import probe

LIMIT = 30.0


def ask_nvml(wheel: Optional[str], limit: float = LIMIT) -> Dict[str, Any]:
    """What `probe` returns; bounded_call.NoAnswerError where NVML can't say. `wheel` is the file of nvidia-ml-py, None
    where the interpreter has it already."""
    return in_child(lambda: _probe(wheel), limit, "NVML")


def _probe(wheel: Optional[str]) -> Dict[str, Any]:
    if wheel:
        sys.path.insert(0, wheel)
    return probe(importlib.import_module("pynvml"))
