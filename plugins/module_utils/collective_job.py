# SPDX-License-Identifier: Apache-2.0
"""A node's part in an all-reduce of several nodes: its start by torchrun, and its end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import resource
import shutil
import signal
import time
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import (
    cgroup,
    collective_guard,
    collective_node,
    files,
    marked_processes,
    processes,
)
from ansible_collections.condafleet.core.plugins.module_utils import validation_child as children
from ansible_collections.condafleet.core.plugins.module_utils.activate_scripts import environment_variables
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

SCRIPT = "collective_torch.py"
MARK = "CONDAFLEET_COLLECTIVE"
# Until the guard has ended what it guards, once it was asked to.
END_SECONDS = collective_guard.ASK_SECONDS + collective_guard.END_SECONDS + 2
LOG_TAIL = 1500
LOG_BYTES = 1 << 16
MOST_FILES = 1 << 16
# Another start on this node takes no longer.
LOCK_SECONDS = 60.0
# Processes are found, and ended, by this word: it has to be one that nothing else has in its environment.
TOKEN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*-[0-9a-f]{8,}")


class Job:
    """The module's options, and the places that follow from them: ROOT/validation/.collective/NODE/TOKEN."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options
        self.token: str = options["token"]
        if not TOKEN.fullmatch(self.token):
            raise FleetError(
                "token: %r is not accepted. Accepted: words and at least 8 hexadecimal digits, as validation_groups "
                "makes them, such as together-0a1b2c3d4e5f. Next: take the one of the plan." % self.token
            )
        # All members have the same token, and ROOT may be on a file system that they share.
        self.above = os.path.join(options["root"], "validation", ".collective", os.uname().nodename)
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
    prefix = collective_node.generation(options["prefix"], options["environment"])
    owner = children.account(options.get("user"))
    os.makedirs(job.above, mode=0o755, exist_ok=True)
    with _locked(os.path.join(job.above, "lock")):
        _refuse_another(job)
        _forget_former(job)
        collective_node.expect_free(options["job"])
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
        with contextlib.suppress(ProcessLookupError):
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
        "log": " ".join(_tail(job.log).split())[-LOG_TAIL:],
        "left": left,
    }
    if not os.path.isdir(job.folder):
        found["state"] = "lost"
    elif outcome and not outcome.get("error"):
        found["state"] = "done"
    shutil.rmtree(job.folder, ignore_errors=True)
    return found


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Of two starts on this node one is first; FleetError where that takes longer than a start may."""
    deadline = time.monotonic() + LOCK_SECONDS
    with open(path, "wb") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise FleetError(
                        "another start has held %s for more than %d seconds" % (path, LOCK_SECONDS)
                    ) from None
                time.sleep(0.1)
        yield


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
        if TOKEN.fullmatch(name) and os.path.isdir(folder):
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
        # Also the beginning of all that they tell each other there: never taken for what another job says.
        "--rdzv_id=%s" % job.token.rpartition("-")[2],
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
        prepare=_prepared(children.prepared(options.get("nice") or 0, owner)),
    )


def _prepared(before: Callable[[], None]) -> Callable[[], None]:
    """All processes of a group connect to the first node, and each to all others: 1024 files, as usual, are too few."""

    def prepare() -> None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        before()

    return prepare


def _tail(path: str) -> str:
    """The end of what it printed, however much that is."""
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - LOG_BYTES))
            return stream.read(LOG_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _said(path: str) -> Optional[Dict[str, Any]]:
    """What the job wrote, by whatever account it ran as."""
    found = files.read_others_json(path)
    return found if isinstance(found, dict) else None
