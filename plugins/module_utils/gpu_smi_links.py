# SPDX-License-Identifier: Apache-2.0
"""What `nvidia-smi nvlink` tells of a node's NVLinks, as the same data as gpu_probe.py. Pure."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.bounded_call import NoAnswerError

LINK = re.compile(r"\s+Link (\d+): (.*)")
# In some versions "Nvlink".
UNTOLD = re.compile(r"Unable to retrieve NVLink information.*", re.IGNORECASE)
# Parts of `nvidia-smi nvlink -e`, as NVML's counters are called here.
LINK_ERRORS = {"Replay Errors": "replay", "Recovery Errors": "recovery", "CRC Errors": "crc"}


def parse_links(states: str, errors: str) -> Dict[str, Any]:
    """{UUID: links as gpu_probe.links has them} of what `nvidia-smi nvlink -s` and `-e` said; a NoAnswerError in the
    place of links that it could not tell. It says so below the GPU that it means."""
    links: Dict[str, Any] = {}
    for uuid, line in _lines_by_gpu(states):
        link, untold = LINK.match(line), UNTOLD.search(line)
        if untold:
            said = NoAnswerError("nvidia-smi nvlink -s: %s" % untold.group()[:200])
            if not uuid:
                raise said
            links[uuid] = said
        elif link and not isinstance(links.get(uuid), NoAnswerError):
            up = "inactive" not in link.group(2).lower()
            links.setdefault(uuid, []).append({"link": int(link.group(1)), "active": up, "errors": {}})
    for uuid, line in _lines_by_gpu(errors):
        link = LINK.match(line)
        name, _colon, count = link.group(2).partition(":") if link else ("", "", "")
        known = links.get(uuid, [])
        if not link or isinstance(known, NoAnswerError):
            continue
        own = [one for one in known if one["link"] == int(link.group(1))]
        if own and name.strip() in LINK_ERRORS and count.strip().isdigit():
            own[0]["errors"][LINK_ERRORS[name.strip()]] = int(count)
    return links


def _lines_by_gpu(text: str) -> Iterator[Tuple[str, str]]:
    """(UUID, line) of each line from a `GPU N: NAME (UUID: …)` on; "" where none was named yet."""
    uuid = ""
    for line in text.splitlines():
        gpu = re.match(r"GPU \d+: .*\(UUID: ([^)]+)\)", line)
        uuid = gpu.group(1) if gpu else uuid
        yield uuid, line
