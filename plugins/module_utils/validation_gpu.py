# SPDX-License-Identifier: Apache-2.0
"""Whether a GPU may be used now, without touching one: a smoke test takes none from a running job.

A sick driver can hang whoever asks, beyond any signal: nvidia-smi is asked in a child that is abandoned if need be.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import Any, Callable, Dict, List, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils.child_group import child_group

# What keeps a program from taking a GPU from a running job. JAX fails where it finds none, unless it is told.
WITHOUT_GPUS = {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
# What lets it use one, and no more of it than it needs: TensorFlow and JAX take nearly all memory unless they are told,
# so that a second process (a server of the model) would get none, nor would a job that begins meanwhile.
WITH_GPU = {
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    "HIP_VISIBLE_DEVICES": "",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}
LIMIT = 20.0
MEMORY = "--query-gpu=uuid,memory.used,memory.total"
# What of its memory a driver keeps for itself, at most; as speed_judged.py has it.
OWN_MIB, OWN_SHARE = 2048, 0.03
MARKS = ("/proc/driver/nvidia/version", "/dev/nvidia0")

Ask = Callable[[List[str]], str]


class NoAnswerError(Exception):
    """nvidia-smi could not be asked; the text says why."""


def observe(ask: Optional[Ask] = None, present: Optional[bool] = None) -> Dict[str, Optional[str]]:
    """{state: none|free|busy|unknown, why, uuid}: `uuid` is a GPU that no process uses."""
    there = any(os.path.exists(mark) for mark in MARKS) if present is None else present
    if not there:
        return {"state": "none", "why": None, "uuid": None}
    question = ask or ask_smi
    try:
        gpus = _first_column(question(["--query-gpu=uuid"]))
        told = question([MEMORY])
        users = question(["--query-compute-apps=gpu_uuid,pid,process_name"])
    except NoAnswerError as error:
        return {
            "state": "unknown",
            "why": "whether the node's GPU is in use could not be told: %s" % error,
            "uuid": None,
        }
    if not gpus:
        return {"state": "unknown", "why": "the NVIDIA driver is loaded, but nvidia-smi names no GPU", "uuid": None}
    filled = filled_ones(told)
    taken = [*_first_column(users), *filled]
    # A row that names a MIG instance does not say whose part that is: it may be any GPU's.
    instances = any(uuid.startswith("MIG-") for uuid in taken)
    free = [uuid for uuid in gpus if uuid not in taken and not instances]
    if free:
        return {"state": "free", "why": None, "uuid": free[0]}
    rows = [line.strip() for line in users.splitlines() if line.strip()]
    rows += ["%s: no process shows, but %s of its memory are in use" % one for one in filled.items()]
    return {"state": "busy", "why": "all %d GPU(s) are in use (%s)" % (len(gpus), "; ".join(rows[:4])), "uuid": None}


def filled_ones(told: str) -> Dict[str, str]:
    """{UUID: how much of its memory is in use} of those that somebody uses, whoever it is: processes of other
    containers do not show. `told` is the answer to MEMORY."""
    found = {}
    for line in told.splitlines():
        uuid, used, total = [*(cell.strip() for cell in line.split(",")), "", ""][:3]
        figures = [re.fullmatch(r"(\d+) MiB", cell) for cell in (used, total)]
        if figures[0] and figures[1]:
            own = max(OWN_MIB, OWN_SHARE * int(figures[1].group(1)))
            found.update({uuid: used} if int(figures[0].group(1)) > own else {})
    return found


def taken_meanwhile(before: Mapping[str, Any]) -> Optional[str]:
    """Why the GPU that was free (`before`: what `observe` said) is no longer, now that the one who used it has ended.

    None where it is still free, or nobody can tell: what failed on it then is no other process' doing.
    """
    if before["state"] != "free":
        return None
    try:
        rows = ask_smi(["--query-compute-apps=gpu_uuid,pid,process_name"]).splitlines()
    except NoAnswerError:
        return None
    users = [row.strip() for row in rows if before["uuid"] in _first_column(row)]
    return "another process took the GPU meanwhile (%s)" % "; ".join(users[:4]) if users else None


def variables(visible: Optional[str]) -> Dict[str, str]:
    """What a program is told of GPUs: to use these (UUIDs with commas between) and no other; none where that is empty.

    It goes before whatever the environment sets.
    """
    return {**WITH_GPU, "CUDA_VISIBLE_DEVICES": visible} if visible else dict(WITHOUT_GPUS)


def ask_smi(arguments: List[str], limit: float = LIMIT) -> str:
    """What nvidia-smi answers as CSV; NoAnswerError where it is missing, fails or takes longer than `limit` seconds."""
    return run_smi([*arguments, "--format=csv,noheader"], limit)


def run_smi(arguments: List[str], limit: float = LIMIT) -> str:
    """The same for all else that nvidia-smi is asked for, as it says it."""
    program = shutil.which("nvidia-smi")
    if not program:
        raise NoAnswerError("nvidia-smi was not found in PATH")
    with child_group(
        [program, *arguments],
        end=_abandon,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    ) as child:
        try:
            answer: str = child.communicate(timeout=limit)[0]
        except subprocess.TimeoutExpired:
            raise NoAnswerError("nvidia-smi did not answer within %g seconds" % limit) from None
    if child.returncode != 0:
        raise NoAnswerError("nvidia-smi ended with %d: %s" % (child.returncode, " ".join(answer.split())[:200]))
    return answer


def _abandon(child: Any) -> None:
    """Killed, and not waited for: in uninterruptible sleep it would not end."""
    child.kill()


def _first_column(text: str) -> List[str]:
    cells = [line.split(",")[0].strip() for line in text.splitlines()]
    return [cell for cell in cells if cell.startswith(("GPU-", "MIG-"))]
