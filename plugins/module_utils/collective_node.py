# SPDX-License-Identifier: Apache-2.0
"""What a node has for an all-reduce of several nodes, and whether it still has that when its part is started."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import Any, Dict, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import node_address, validation_gpu
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.expect_answer import expect_answer

# GPUs of which an attempt has just ended may be told as in use for a moment.
GPU_LOOKS, GPU_PAUSE = 3, 2.0


class BusyError(FleetError):
    """The node's GPUs were taken since it was asked what it brings: no fault of the node's."""


def brought(
    prefix: str, environment: Optional[str], address: Optional[str], interface: Optional[str]
) -> Dict[str, Any]:
    """{address, interface, generation, gpus: {state: none|free|busy|unknown, uuids, why}, problem: text|null}."""
    found: Dict[str, Any] = {"address": None, "interface": None, "generation": None, "problem": None, "gpus": gpus()}
    try:
        place = node_address.place(address, interface)
        found.update(address=place.address, interface=place.interface)
        if environment:
            expect_answer({"validation_prefix": prefix})
            found["generation"] = os.path.basename(generation(prefix, environment))
    except FleetError as error:
        found["problem"] = error.message
    return found


def gpus(ask: Optional[validation_gpu.Ask] = None, present: Optional[bool] = None) -> Dict[str, Any]:
    """All GPUs of the node, and whether every one is free: an all-reduce of the node's needs them all."""
    observed = validation_gpu.observe(ask, present)
    if observed["state"] in ("none", "unknown"):
        return {"state": observed["state"], "uuids": [], "why": observed["why"]}
    question = ask or validation_gpu.ask_smi
    try:
        uuids = [line.strip() for line in question(["--query-gpu=uuid"]).splitlines() if line.strip()]
        users = [line.strip() for line in question(["--query-compute-apps=gpu_uuid,pid,process_name"]).splitlines()]
        filled = validation_gpu.filled_ones(question([validation_gpu.MEMORY]))
    except validation_gpu.NoAnswerError as error:
        return {"state": "unknown", "uuids": [], "why": "whether the GPUs are in use could not be told: %s" % error}
    taken = [line for line in users if line.startswith(("GPU-", "MIG-"))]
    seen = {line.split(",")[0] for line in taken}
    taken += [
        "%s: no process shows, but %s of its memory are in use" % one for one in filled.items() if one[0] not in seen
    ]
    if taken:
        used = len(seen | set(filled))
        why = "%d of %d GPU(s) are in use (%s)" % (used, len(uuids), "; ".join(taken[:4]))
        return {"state": "busy", "uuids": uuids, "why": why}
    return {"state": "free", "uuids": uuids, "why": None}


def expect_free(told: Mapping[str, Any]) -> None:
    """What was seen when the node was asked may have changed since: a GPU is never taken, a port is never shared."""
    for look in range(GPU_LOOKS if told["gpus"] else 0):
        seen = gpus()
        if seen["state"] == "free" and sorted(seen["uuids"]) == sorted(told["gpus"]):
            break
        if look == GPU_LOOKS - 1:
            raise BusyError(seen["why"] or "the node has other GPUs than before: %s" % ", ".join(seen["uuids"]))
        time.sleep(GPU_PAUSE)
    if told["rank"] == 0:
        _expect_port(int(told["port"]))


def _expect_port(port: int) -> None:
    """The others would meet with whoever listens there."""
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as trial:
        # As torchrun does: connections that have ended a moment ago are no reason.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            trial.bind(("", port))
            trial.listen(1)
        except OSError as error:
            raise FleetError(
                "validation_port: nobody can be met at port %d of this node, the group's first: %s. "
                "Accepted: a port that nothing uses there, nor those after it for rounds of pairs. "
                "Next: choose another, or end what listens there (ss -ltnp)." % (port, error.strerror or error)
            ) from None


def generation(prefix: str, environment: str) -> str:
    link = os.path.join(prefix, "envs", environment)
    real = os.path.realpath(link)
    if not os.path.exists(os.path.join(real, "bin", "python")):
        raise FleetError("there is no environment with a python at %s" % link)
    return real
