# SPDX-License-Identifier: Apache-2.0
"""The compute capability of a GPU by the name that its driver gives it: a table, so that no driver has to be asked.

A model that stands in no row has no known capability, which stops nobody.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional, Tuple

# NVIDIA's own tables "CUDA GPU Compute Capability" and "Legacy CUDA GPU Compute Capability".
CURRENT = "https://developer.nvidia.com/cuda-gpus"
LEGACY = "https://developer.nvidia.com/cuda-legacy-gpus"

# (capability, where NVIDIA says so, models as drivers name them, without "NVIDIA" and "Tesla")
# Jetson modules are left out: they have drivers and builds of their own.
MODELS: Tuple[Tuple[str, str, Tuple[str, ...]], ...] = (
    ("12.1", CURRENT, ("GB10",)),
    (
        "12.0",
        CURRENT,
        (
            "RTX PRO 6000 Blackwell",
            "RTX PRO 5000 Blackwell",
            "RTX PRO 4500 Blackwell",
            "RTX PRO 4000 Blackwell",
            "RTX PRO 2000 Blackwell",
            "GeForce RTX 5090",
            "GeForce RTX 5080",
            "GeForce RTX 5070",
            "GeForce RTX 5060",
            "GeForce RTX 5050",
        ),
    ),
    ("10.3", CURRENT, ("GB300", "B300")),
    ("10.0", CURRENT, ("GB200", "B200")),
    ("9.0", CURRENT, ("GH200", "H200", "H100")),
    (
        "8.9",
        CURRENT,
        (
            "L40S",
            "L40",
            "L4",
            "RTX 6000 Ada",
            "RTX 5000 Ada",
            "RTX 4500 Ada",
            "RTX 4000 Ada",
            "RTX 4000 SFF Ada",
            "RTX 2000 Ada",
            "GeForce RTX 4090",
            "GeForce RTX 4080",
            "GeForce RTX 4070",
            "GeForce RTX 4060",
            "GeForce RTX 4050",
        ),
    ),
    (
        "8.6",
        CURRENT,
        (
            "A40",
            "A16",
            "A10",
            "A2",
            "RTX A6000",
            "RTX A5000",
            "RTX A4000",
            "RTX A3000",
            "RTX A2000",
            "GeForce RTX 3090",
            "GeForce RTX 3080",
            "GeForce RTX 3070",
            "GeForce RTX 3060",
            "GeForce RTX 3050",
        ),
    ),
    ("8.0", CURRENT, ("A100", "A30")),
    (
        "7.5",
        CURRENT,
        (
            "T4",
            "Quadro RTX 8000",
            "Quadro RTX 6000",
            "Quadro RTX 5000",
            "Quadro RTX 4000",
            "TITAN RTX",
            "GeForce RTX 2080",
            "GeForce RTX 2070",
            "GeForce RTX 2060",
        ),
    ),
    ("7.0", LEGACY, ("V100", "Quadro GV100", "TITAN V")),
    (
        "6.1",
        LEGACY,
        (
            "P40",
            "P4",
            "Quadro P6000",
            "Quadro P5000",
            "Quadro P4000",
            "TITAN Xp",
            "GeForce GTX 1080",
            "GeForce GTX 1070",
            "GeForce GTX 1060",
            "GeForce GTX 1050",
        ),
    ),
    ("6.0", LEGACY, ("P100", "Quadro GP100")),
    ("5.2", LEGACY, ("M60", "M40", "Quadro M6000", "GeForce GTX TITAN X", "GeForce GTX 980", "GeForce GTX 970")),
)

# What a maker or a form puts before a model's own name.
_BEFORE = ("nvidia", "tesla", "graphics", "device", "grid")


def _words(name: str) -> Tuple[str, ...]:
    return tuple(word for word in re.split(r"[^A-Za-z0-9]+", name.lower()) if word)


_TABLE: Dict[Tuple[str, ...], Tuple[str, str]] = {
    _words(model): (model, capability) for capability, _source, models in MODELS for model in models
}


def model_of(name: Optional[str]) -> Tuple[Optional[str], Optional[str]]:
    """(`V100`, `7.0`) for `Tesla V100-SXM2-32GB`; (None, None) for a model that no row names."""
    words = list(_words(name or ""))
    while words and words[0] in _BEFORE:
        del words[0]
    for length in range(len(words), 0, -1):
        found = _TABLE.get(tuple(words[:length]))
        if found:
            return found
    return None, None


def capability_of(name: Optional[str]) -> Optional[str]:
    """`9.0`, or None where it can't be told."""
    return model_of(name)[1]


def kinds(gpus: List[Mapping[str, Any]]) -> Dict[str, Tuple[str, int]]:
    """{model: (capability, how many)} of those GPUs of a node whose capability is known."""
    found: Dict[str, Tuple[str, int]] = {}
    for gpu in gpus:
        model, capability = model_of(gpu.get("name"))
        if model and capability:
            found[model] = (capability, found.get(model, ("", 0))[1] + 1)
    return found
