# SPDX-License-Identifier: Apache-2.0
"""How fast a node is: roles/validation/files/speed_torch.py, run in an environment's own python, and what came of it.

One process for each GPU that nobody uses, one after the other, then one over all of them. A check that crashes or takes
longer than it may costs that check alone: the rest is measured by a new process.
"""

from __future__ import annotations

import os
import pwd
import tempfile
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils import speed_judged as speed
from ansible_collections.condafleet.core.plugins.module_utils import validation_child as children
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Asked
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress, node_lock
from ansible_collections.condafleet.core.plugins.module_utils.speed_allreduce import allreduce
from ansible_collections.condafleet.core.plugins.module_utils.speed_process import (
    Runner,
    SpeedRequest,
    ended,
    host_memory,
    near_cpus,
    tidy,
)
from ansible_collections.condafleet.core.plugins.module_utils.validation_place import speed_folder

Finding = Dict[str, Any]
Figure = Dict[str, Any]
Pair = Tuple[str, str]

SCRIPT = "speed_torch.py"
# Seconds until the first check begins: PyTorch is imported, from a cold disk perhaps.
START_SECONDS = 180.0
# Another run that measures makes both wrong; it is waited for so long.
LOCK_SECONDS = 30.0
# Beyond a check's own limit, until it is ended: the limit is what the script itself keeps to.
GRACE_SECONDS = 5.0
# Checks of one turn that do not end, until the rest is left: each costs its whole limit and a new start, and a GPU that
# hangs twice does so again.
MOST_HANGS = 2


def speed_findings(
    request: SpeedRequest, asked: Mapping[str, Asked], gpus: Sequence[Mapping[str, Any]], progress: Progress
) -> List[Finding]:
    """A finding for each speed check in `asked` (but speed.disk) and each of its subjects; `gpus`: gpu_probe.py."""
    if not speed.wanted(asked):
        return []
    if not request.environment:
        return speed.without_environment(asked, gpus, "no declared environment has PyTorch")
    if not os.path.exists(request.python):
        why = "environment %s is not there: no python at %s" % (request.environment, request.python)
        return speed.without_environment(asked, gpus, why)
    planned, found = speed.turns(asked, gpus)
    home = speed_folder(request.root)
    os.makedirs(home, mode=0o755, exist_ok=True)
    try:
        owner = children.account(request.user)
        what = "measure the speed of this node"
        with node_lock(home, what, timeout=LOCK_SECONDS, variable="validation_root"):
            tidy(home)
            total = sum(len(turn.checks) * len(turn.subjects) for turn in planned)
            done = 0
            buses = {speed.subject_of(gpu): gpu.get("bus_id") for gpu in gpus}
            for turn in planned:
                # One over all GPUs has CPUs of all nodes.
                cpus = near_cpus(buses[turn.gpus[0]]) if len(turn.gpus) == 1 else None
                found += measure(request, turn, asked, Told(progress, done, total), home, owner, cpus)
                done += len(turn.checks) * len(turn.subjects)
    except FleetError as error:
        known = {(one["check"], one["subject"]) for one in found}
        for turn in planned:
            left = [pair for pair in pairs_of(turn) if pair not in known]
            found += [finding(asked, pair, {"error": error.message, "step": "mend that"}) for pair in left]
    return found


def pairs_of(turn: speed.Turn) -> List[Pair]:
    return [(name, subject) for name in turn.checks for subject in turn.subjects]


def finding(asked: Mapping[str, Asked], pair: Pair, figure: Mapping[str, Any]) -> Finding:
    return speed.judged(asked[pair[0]], pair[1], figure)


class Told:
    """How far all of it is, for whoever follows."""

    def __init__(self, progress: Progress, done: int, total: int) -> None:
        self.progress, self.done, self.total = progress, done, total

    def __call__(self, pair: Pair, done: int) -> None:
        message = pair[0] if pair[1] == speed.NODE else "%s on %s" % pair
        self.progress("speed", self.done + done, self.total, "checks", message)


def measure(
    request: SpeedRequest,
    turn: speed.Turn,
    asked: Mapping[str, Asked],
    told: Told,
    home: str,
    owner: Optional[pwd.struct_passwd],
    cpus: Optional[List[int]] = None,
) -> List[Finding]:
    gpus: Dict[str, Mapping[str, Any]] = {}
    if turn.gpus and request.look_again:
        gpus = {speed.subject_of(gpu): gpu for gpu in request.look_again()}
        uses = {one: speed.use_of(gpus[one]) if one in gpus else speed.Use(GONE, told=False) for one in turn.gpus}
        taken = [(one, use) for one, use in uses.items() if use]
        if taken:
            why = "; ".join(use.why if len(turn.gpus) == 1 else "%s: %s" % (one, use.why) for one, use in taken)
            use = speed.Use(why, told=all(use.told for _one, use in taken))
            return [speed.not_now(asked[name], subject, use) for name, subject in pairs_of(turn)]
    runner = Runner(request, tempfile.mkdtemp(prefix="job-", dir=home), owner, turn.gpus, cpus)
    try:
        for name, text in request.scripts.items():
            files.write_atomic(runner.path(name), text)
        if owner is not None:
            os.chown(runner.work, owner.pw_uid, owner.pw_gid)
        if turn.checks != (speed.ALLREDUCE,):
            measured = turn._replace(checks=tuple(name for name in turn.checks if name != speed.SLOWDOWN))
            found = Series(request, measured, asked, told, runner).findings()
            if measured != turn:
                found.append(slowed(request, turn.gpus[0], asked[speed.SLOWDOWN], gpus, found))
            return found
        one, note = speed.of_so_many(asked[speed.ALLREDUCE], len(turn.gpus))
        told((speed.ALLREDUCE, speed.NODE), 0)
        figure = allreduce(runner, len(turn.gpus), "nccl", one.timeout, memory_of(gpus, turn))
        return [speed.judged(one, speed.NODE, {**figure, "evidence": [*figure.get("evidence", ()), *note]})]
    finally:
        runner.clean()


def slowed(
    request: SpeedRequest, gpu: str, one: Asked, before: Mapping[str, Mapping[str, Any]], found: Sequence[Finding]
) -> Finding:
    """Whether heat has slowed down the GPU that was measured, with these findings, since `before`."""
    loaded = any(each["value"] is not None for each in found)
    try:
        after = {speed.subject_of(each): each for each in request.look_again()} if request.look_again and loaded else {}
    except FleetError as error:
        return speed.not_now(one, gpu, speed.Use(error.message, told=False))
    return speed.slowed(one, gpu, before.get(gpu, {}), after.get(gpu, {}), loaded)


GONE = "the driver no longer names it"


def memory_of(gpus: Mapping[str, Mapping[str, Any]], turn: speed.Turn) -> Optional[int]:
    """The memory of the smallest of these GPUs, None where it is not known."""
    found = [gpus[one].get("memory_total") for one in turn.gpus if one in gpus]
    known = [int(one) for one in found if one]
    return min(known) if known and len(known) == len(turn.gpus) else None


class Overdue(Exception):  # noqa: N818 - it ends a process, and is no error of anybody's
    """What is being measured takes longer than it may."""


class Series:
    """The checks of one turn, each with its own time limit, by as many processes as it takes."""

    def __init__(
        self, request: SpeedRequest, turn: speed.Turn, asked: Mapping[str, Asked], told: Told, runner: Runner
    ) -> None:
        self.request, self.turn, self.asked, self.told, self.runner = request, turn, asked, told, runner
        self.left = pairs_of(turn)
        self.found: List[Finding] = []
        self.current: Optional[Pair] = None
        self.since = 0.0
        self.hangs = 0

    def findings(self) -> List[Finding]:
        while self.left:
            before = len(self.left)
            self._once()
            if len(self.left) == before:
                raise FleetError("%s measured nothing" % SCRIPT)
        return self.found

    def _once(self) -> None:
        self.current, self.since = None, time.monotonic()
        outcome_file = self.runner.path("outcome.json")
        for path in (outcome_file, self.runner.path("progress.json")):
            files.remove_quietly(path)
        files.write_json(self.runner.job, self._job(outcome_file))
        self.told(self.left[0], len(pairs_of(self.turn)) - len(self.left))
        status: Optional[int] = None
        overdue = False
        try:
            limit = START_SECONDS + sum(self._limit(pair) for pair in self.left)
            status = self.runner.run([self.runner.path(SCRIPT), self.runner.job], limit, self._watch)
        except Overdue:
            overdue = True
        outcome = files.read_others_json(outcome_file)
        outcome = outcome if isinstance(outcome, dict) else {"figures": [], "refused": None}
        evidence = self.runner.said()
        if outcome.get("refused"):
            self._refused(outcome["refused"])
            return
        self._read_progress()
        for figure in outcome["figures"]:
            pair = (figure["check"], figure["subject"])
            if pair in self.left:
                if "error" in figure:
                    figure = {**figure, "evidence": evidence}
                self._note(pair, figure)
        if self.current in self.left or not outcome["figures"]:
            self._broke_off(status, overdue, evidence)

    def _job(self, outcome_file: str) -> Dict[str, Any]:
        return {
            "kind": self.turn.kind,
            "subjects": list(self.turn.gpus) or [speed.NODE],
            "work": [
                {"check": name, "subject": subject, "seconds": self.asked[name].timeout} for name, subject in self.left
            ],
            "threads": self.runner.threads,
            "cpus": self.runner.cpus,
            "memory_bytes": host_memory(),
            "seed": 0,
            "outcome": outcome_file,
            "progress": self.runner.path("progress.json"),
        }

    def _limit(self, pair: Optional[Pair]) -> float:
        return START_SECONDS if pair is None else self.asked[pair[0]].timeout + GRACE_SECONDS

    def _watch(self) -> None:
        self._read_progress()
        if time.monotonic() - self.since > self._limit(self.current):
            raise Overdue

    def _read_progress(self) -> None:
        record = files.read_others_json(self.runner.path("progress.json"))
        if not isinstance(record, dict):
            return
        pair = (str(record["check"]), str(record["subject"]))
        if pair != self.current:
            self.current, self.since = pair, time.monotonic()
            self.told(pair, len(pairs_of(self.turn)) - len(self.left) + int(record["done"]))

    def _note(self, pair: Pair, figure: Mapping[str, Any]) -> None:
        self.left.remove(pair)
        self.found.append(finding(self.asked, pair, figure))

    def _refused(self, refusal: Mapping[str, Any]) -> None:
        for pair in list(self.left):
            self.left.remove(pair)
            self.found.append(speed.refused(self.asked[pair[0]], pair[1], self.request.environment, refusal))

    def _broke_off(self, status: Optional[int], overdue: bool, evidence: List[str]) -> None:
        """The check at work, or all of them where none had begun, by how the process ended."""
        pair = self.current
        if pair is None or pair not in self.left:
            how = "it did not begin within %d seconds" % START_SECONDS if overdue else ended(status)
            reason = "PyTorch of %s could not be started: %s" % (self.request.environment, how)
            step = "run `%s -c 'import torch'` on the node" % self.request.python
            for one in list(self.left):
                self._note(one, {"error": reason, "evidence": evidence, "step": step})
            return
        limit = self.asked[pair[0]].timeout
        if overdue or status is None:
            reason = "no end within its time limit of %g seconds; it was ended" % limit
            step = "look at the kernel's log; raise validation_checks.%s.timeout if the node is only slow" % pair[0]
        else:
            reason, step = "what measured it %s" % ended(status), "look at the kernel's log, and measure again"
        self._note(
            pair, {"error": reason, "evidence": evidence, "step": step, "seconds": time.monotonic() - self.since}
        )
        self.hangs += overdue or status is None
        if self.hangs >= MOST_HANGS:
            reason = "not measured: %d checks before it did not end within their time limits" % self.hangs
            for one in list(self.left):
                self._note(one, {"error": reason, "step": step})
