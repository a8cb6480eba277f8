# SPDX-License-Identifier: Apache-2.0
"""The least that a sound GPU of a model does, check by check: a table in which each figure has its source. Pure.

A model that stands in no row has no figures: its speed is then judged by the fleet alone, and that is said.
"""

from __future__ import annotations

import re
from typing import Dict, List, Mapping, NamedTuple, Optional, Tuple

# What of a data sheet's dense peak a sound GPU reaches with large matrices, at least. H200s were seen at 770 to 890 of
# 989 TFLOP/s in bf16 (78 to 90 %) with 8192 x 8192 matrices.
MATMUL_SHARE = 0.65
# In fp8 power and the sums in between cost more: of many shapes the best reached 71 % on an H100, 73 % on an H200 and
# 76 % on a B200 (stas00/ml-engineering, compute/accelerator, maximum achievable FLOPS); a square need not be the best.
FP8_SHARE = 0.5
# The same of the memory's peak, for a copy (read and write counted): H100s were seen at 2,900 of 3,350 GB/s (87 %),
# H200s at 4,300 of 4,800 (90 %).
MEMORY_SHARE = 0.80
# GDDR6 keeps its ECC in the memory itself, which takes part of what it moves. No figure was seen here.
GDDR_SHARE = 0.65

SHARES = {"memory": MEMORY_SHARE, "gddr": GDDR_SHARE, "fp8": FP8_SHARE}

# TFLOP/s, dense, of NVIDIA's data sheets (those with sparsity halved); GB/s of memory (of HBM; "gddr" of
# GDDR6). "fp32" is without tensor cores.
# Cards for PCIe slots reach what their power limit allows, far from the data sheet's peak in sound ones too: only their
# memory stands here.
V100, A100, A30, A10 = "V100 data sheet", "A100 data sheet", "A30 data sheet", "A10 data sheet"
L4, L40S, H100, H200, B200 = (
    "L4 data sheet",
    "L40S data sheet",
    "H100 data sheet",
    "H200 data sheet",
    # The data sheet has fp8 and memory, the page of the board the other formats (both for eight GPUs).
    "DGX B200 data sheet and HGX B200 page",
)

# (the driver's name for the model, as a pattern; data sheet; its peaks). The first that matches counts.
PEAKS: Tuple[Tuple[str, str, Mapping[str, float]], ...] = (
    (r"\bB200\b", B200, {"bf16": 2250, "fp16": 2250, "fp8": 4500, "tf32": 1125, "memory": 8000}),
    (r"\bH200 NVL\b", H200, {"memory": 4800}),
    (r"\bH200\b", H200, {"bf16": 989, "fp16": 989, "fp8": 1979, "tf32": 494, "fp32": 67, "memory": 4800}),
    (r"\bH100 NVL\b", H100, {"memory": 3900}),
    (r"\bH100 PCIe\b", H100, {"memory": 2000}),
    (r"\bH100\b.*\bHBM3\b", H100, {"bf16": 989, "fp16": 989, "fp8": 1979, "tf32": 494, "fp32": 67, "memory": 3350}),
    (r"\bA100-SXM4-80GB\b", A100, {"bf16": 312, "fp16": 312, "tf32": 156, "fp32": 19.5, "memory": 2039}),
    (r"\bA100-SXM4-40GB\b", A100, {"bf16": 312, "fp16": 312, "tf32": 156, "fp32": 19.5, "memory": 1555}),
    (r"\bA100 80GB PCIe\b", A100, {"memory": 1935}),
    (r"\bA100-PCIE-40GB\b", A100, {"memory": 1555}),
    (r"\bA30\b", A30, {"memory": 933}),
    (r"\bA10\b", A10, {"gddr": 600}),
    (r"\bL40S\b", L40S, {"gddr": 864}),
    (r"\bL4\b", L4, {"gddr": 300}),
    (r"\bV100-SXM2\b", V100, {"fp16": 125, "fp32": 15.7, "memory": 900}),
    (r"\bV100-PCIE\b", V100, {"memory": 900}),
)

# Floors that a cloud's node check holds its machines to: Azure/azurehpc-health-checks at 0e0a1ac (2026-05-01), `conf/`,
# check_gpu_bw (host to device, and between GPUs, GB/s) and check_nccl_allreduce (8 GPUs, bus bandwidth, GB/s).
AZURE = "Azure/azurehpc-health-checks 0e0a1ac, conf/%s.conf"
FLOORS: Tuple[Tuple[str, str, Mapping[str, float]], ...] = (
    (r"\bH200\b(?! NVL)", AZURE % "nd96isr_h200_v5", {"copy": 48, "peer": 335, "allreduce": 431}),
    (r"\bH100\b.*\bHBM3\b", AZURE % "nd96isr_h100_v5", {"copy": 48, "peer": 335, "allreduce": 460}),
    (r"\bA100-SXM4-80GB\b", AZURE % "nd96amsr_a100_v4", {"copy": 21, "peer": 238, "allreduce": 228}),
    (r"\bA100-SXM4-40GB\b", AZURE % "nd96asr_v4", {"copy": 21, "peer": 235, "allreduce": 228}),
    (r"\bV100-SXM2\b", AZURE % "nd40rs_v2", {"copy": 9, "allreduce": 110}),
)

# A part of a GPU that a hypervisor gives, such as A10-4Q: what it does depends on the others that have a part.
SHARED = re.compile(r"-\d+[ABCQ]$")

# The check that a figure is for. All-reduce floors are those of nodes with eight GPUs.
CHECK_OF = {"copy": ("speed.h2d", "speed.d2h"), "peer": ("speed.p2p",), "allreduce": ("speed.allreduce",)}


class Figure(NamedTuple):
    least: float
    source: str


def figures(model: str) -> Dict[str, Figure]:
    """{CHECK: the least, with its source} for a GPU by the name that its driver gives it; empty for one unknown."""
    found: Dict[str, Figure] = {}
    for name, (sheet, peak) in _peaks(model).items():
        of_memory = name in ("memory", "gddr")
        check = "speed.memory" if of_memory else "speed.matmul.%s" % name
        share = SHARES.get(name, MATMUL_SHARE)
        unit = "GB/s" if of_memory else "TFLOP/s"
        source = "%d %% of the %g %s of NVIDIA's %s" % (round(share * 100), peak, unit, sheet)
        found[check] = Figure(round(peak * share, 1), source)
    row = _first(FLOORS, model)
    for name, least in (row[2] if row else {}).items():
        for check in CHECK_OF[name]:
            found[check] = Figure(least, row[1] if row else "")
    return found


def figure_of(model: str, check: str) -> Optional[Figure]:
    return figures(model).get(check)


def _peaks(model: str) -> Dict[str, Tuple[str, float]]:
    row = _first(PEAKS, model)
    return {name: (row[1], peak) for name, peak in row[2].items()} if row else {}


def _first(
    rows: Tuple[Tuple[str, str, Mapping[str, float]], ...], model: str
) -> Optional[Tuple[str, str, Mapping[str, float]]]:
    return None if SHARED.search(model) else next((row for row in rows if re.search(row[0], model)), None)


def known() -> List[str]:
    """The patterns of all models that have figures, for the page of checks."""
    return [row[0] for row in PEAKS]
