# SPDX-License-Identifier: Apache-2.0
"""A node's part in an all-reduce of several nodes: what it can bring, its start by torchrun, and its end."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import (
    cgroup,
    collective_guard,
    files,
    marked_processes,
    node_address,
    processes,
    validation_gpu,
)
from ansible_collections.condafleet.core.plugins.module_utils import validation_child as children
from ansible_collections.condafleet.core.plugins.module_utils.activate_scripts import environment_variables
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

SCRIPT = "collective_torch.py"
MARK = "CONDAFLEET_COLLECTIVE"
# Until the guard has ended what it guards, once it was asked to.
END_SECONDS = collective_guard.ASK_SECONDS + collective_guard.END_SECONDS + 2
LOG_TAIL = 1500


def brought(
    prefix: str, environment: Optional[str], address: Optional[str], interface: Optional[str]
) -> Dict[str, Any]:
    """{address, interface, generation, gpus: {state: none|free|busy|unknown, uuids, why}, problem: text|null}."""
    found: Dict[str, Any] = {"address": None, "interface": None, "generation": None, "problem": None, "gpus": gpus()}
    try:
        place = node_address.place(address, interface)
        found.update(address=place.address, interface=place.interface)
        if environment:
            found["generation"] = os.path.basename(_generation(prefix, environment))
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
    except validation_gpu.NoAnswerError as error:
        return {"state": "unknown", "uuids": [], "why": "whether the GPUs are in use could not be told: %s" % error}
    taken = [line for line in users if line.startswith(("GPU-", "MIG-"))]
    if taken:
        used = len({line.split(",")[0] for line in taken})
        why = "%d of %d GPU(s) are in use (%s)" % (used, len(uuids), "; ".join(taken[:4]))
        return {"state": "busy", "uuids": uuids, "why": why}
    return {"state": "free", "uuids": uuids, "why": None}


class Job:
    """The module's options, and the places that follow from them: ROOT/validation/.collective/TOKEN."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options
        self.token: str = options["token"]
        self.above = os.path.join(options["root"], "validation", ".collective")
        self.folder = os.path.join(self.above, self.token)
        # What the account that it runs as may write; the rest is the caller's.
        self.work = os.path.join(self.folder, "work")
        self.log = os.path.join(self.folder, "log.txt")
        self.guard = os.path.join(self.folder, "guard.json")
        self.ended = os.path.join(self.folder, "ended.json")
        self.outcome = os.path.join(self.work, "outcome.json")
        self.progress = os.path.join(self.work, "progress.json")


def start(job: Job) -> None:
    """Start torchrun under a guard; FleetError where that can't be done, and nothing runs then."""
    options = job.options
    prefix = _generation(options["prefix"], options["environment"])
    owner = children.account(options.get("user"))
    os.makedirs(job.above, mode=0o755, exist_ok=True)
    with open(os.path.join(job.above, "lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _refuse_another(job)
        _forget_former(job)
        os.makedirs(job.work, mode=0o755)
        files.write_atomic(os.path.join(job.work, SCRIPT), options["scripts"][SCRIPT])
        files.write_json(os.path.join(job.work, "job.json"), _described(job))
        if owner is not None:
            os.chmod(job.work, 0o700)
            os.chown(job.work, owner.pw_uid, owner.pw_gid)
        try:
            collective_guard.launch(_work(job, prefix, owner))
        except FleetError:
            shutil.rmtree(job.folder, ignore_errors=True)
            raise


def finish(job: Job) -> Dict[str, Any]:
    """End what is left of the job, and say how it went.

    {state: done|failed|lost, why, status, seconds, outcome: {…}|null, step, log, left: [text]}: `lost` is a job of
    which nothing is known here; `left` are processes that were still there when nothing should have been.
    """
    guard = collective_guard.guard_of(job.guard)
    left: List[str] = []
    if guard is not None:
        os.kill(guard, signal.SIGTERM)
        deadline = time.monotonic() + END_SECONDS
        while collective_guard.guard_of(job.guard) is not None and time.monotonic() < deadline:
            time.sleep(0.1)
    ended = files.read_json(job.ended, {})
    left += ["process %d" % pid for pid in ended.get("left") or []]
    # By the mark too: where the guard was killed, nobody else knows them.
    left += [processes.described(pid) for pid in marked_processes.marked(job.token)]
    marked_processes.end(lambda: marked_processes.marked(job.token), collective_guard.END_SECONDS)
    outcome = _said(job.outcome)
    told = _said(job.progress) or {}
    found = {
        "state": "failed",
        "why": ended.get("why"),
        "status": ended.get("status"),
        "seconds": ended.get("seconds"),
        "outcome": outcome,
        "step": (outcome or told).get("step"),
        "log": " ".join((files.read_text(job.log) or "").split())[-LOG_TAIL:],
        "left": left,
    }
    if not os.path.isdir(job.folder):
        found["state"] = "lost"
    elif outcome and not outcome.get("error"):
        found["state"] = "done"
    shutil.rmtree(job.folder, ignore_errors=True)
    return found


def _generation(prefix: str, environment: str) -> str:
    link = os.path.join(prefix, "envs", environment)
    real = os.path.realpath(link)
    if not os.path.exists(os.path.join(real, "bin", "python")):
        raise FleetError("there is no environment with a python at %s" % link)
    return real


def _refuse_another(job: Job) -> None:
    for name in os.listdir(job.above):
        guard = collective_guard.guard_of(os.path.join(job.above, name, "guard.json"))
        if guard is not None:
            raise FleetError(
                "another validation's all-reduce is under way on this node (%s, process %d); it ends by itself "
                "at its time limit" % (name, guard)
            )


def _forget_former(job: Job) -> None:
    """What a run has left that was cut short; nothing of it runs any more."""
    for name in os.listdir(job.above):
        folder = os.path.join(job.above, name)
        if os.path.isdir(folder):
            marked_processes.end(lambda word=name: marked_processes.marked(word), collective_guard.END_SECONDS)  # type: ignore[misc]
            shutil.rmtree(folder, ignore_errors=True)


def _described(job: Job) -> Dict[str, Any]:
    options = job.options
    keys = ("backend", "sizes", "rounds", "pause", "budget", "pairs", "timeout")
    own = {"outcome": job.outcome, "progress": job.progress, "seconds": options["seconds"]}
    return {**{key: options["job"][key] for key in keys}, **own}


def _work(job: Job, prefix: str, owner: Any) -> collective_guard.Work:
    options, told = job.options, job.options["job"]
    threads = children.threads_for(options.get("threads") or 0, cgroup.usable_cpus(cgroup.cpu_quota()))
    gpus_visible = ",".join(told["gpus"])
    variables = children.variables_for(prefix, job.work, threads, gpus_visible, environment_variables(prefix))
    interface = told["interface"]
    # NCCL takes a name for the beginning of several, unless told that it is the whole one.
    variables.update({MARK: job.token, "GLOO_SOCKET_IFNAME": interface, "NCCL_SOCKET_IFNAME": "=" + interface})
    argv = [
        os.path.join(prefix, "bin", "python"),
        "-m",
        "torch.distributed.run",
        "--nnodes=%d" % told["nodes"],
        "--node_rank=%d" % told["rank"],
        "--nproc_per_node=%d" % told["processes"],
        "--master_addr=%s" % told["address"],
        "--master_port=%d" % told["port"],
        "--rdzv_conf=timeout=%d" % told["join"],
        os.path.join(job.work, SCRIPT),
        os.path.join(job.work, "job.json"),
    ]
    return collective_guard.Work(
        argv=argv,
        environ=variables,
        folder=job.work,
        log=job.log,
        guard=job.guard,
        ended=job.ended,
        outcome=job.outcome,
        seconds=float(options["seconds"]),
        prepare=children.prepared(options.get("nice") or 0, owner),
    )


def _said(path: str) -> Optional[Dict[str, Any]]:
    """What the job wrote, by whatever account it ran as: a link could lead anywhere."""
    found = None if os.path.islink(path) else files.read_json(path)
    return found if isinstance(found, dict) else None
