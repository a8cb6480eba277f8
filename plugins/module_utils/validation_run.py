# SPDX-License-Identifier: Apache-2.0
"""One validation job on a node: what has to run, the training, its verdict, and the result on disk."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from typing import Any, Dict, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import (
    cgroup,
    dataset,
    files,
    validation_gpu,
    validation_weights,
)
from ansible_collections.condafleet.core.plugins.module_utils import validation_child as children
from ansible_collections.condafleet.core.plugins.module_utils.access import Access
from ansible_collections.condafleet.core.plugins.module_utils.activate_scripts import environment_variables
from ansible_collections.condafleet.core.plugins.module_utils.clock import now
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError, InputError
from ansible_collections.condafleet.core.plugins.module_utils.node_standing import condemned
from ansible_collections.condafleet.core.plugins.module_utils.observe_node import driver_version
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress, node_lock
from ansible_collections.condafleet.core.plugins.module_utils.validation_place import (
    node_file,
    speed_folder,
    validation_folder,
)
from ansible_collections.condafleet.core.plugins.module_utils.validation_plan import (
    ERROR,
    PASS,
    READS_MNIST,
    SCHEMA_VERSION,
    SERVE,
    SKIP,
    SMOKE,
    TRAIN,
    TRANSFORMER,
    backend_of,
    job_digest,
    judge,
    limit_of,
    needs_validation,
    script_of,
    scripts_for,
)
from ansible_collections.condafleet.core.plugins.module_utils.validation_smoke import for_cuda, smoke

WORK = ".job-"
# What an earlier run has left running on the node is waited for so long: beside it, figures would be wrong.
LOCK_SECONDS = 30.0
LOG_TAIL = 1500
WORDS = {TRAIN: "training", SMOKE: "smoke test", TRANSFORMER: "fine-tuning of a transformer", SERVE: "serving"}
# What a training script's outcome brings into the result.
FIGURES = (
    "epochs", "test_loss", "test_accuracy", "recomputed_accuracy", "train_images", "test_images", "images_per_second",
    "images_per_second_of", "training_seconds", "device", "versions", "peak_memory_bytes", "figures",
)  # fmt: skip


class Task:
    """What the module was asked for, with the places and the digest that follow from it."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options
        self.environment: str = options["environment"]
        self.framework: str = options["framework"]
        self.kind: str = options.get("kind") or TRAIN
        # One that is kept beside the current one; its results are stored apart, and prove nothing of the current one.
        self.generation: Optional[str] = options.get("generation")
        self.place = os.path.join(options["prefix"], "envs", self.environment)
        if self.generation:
            if "/" in self.generation or not self.generation.startswith(self.environment + "-"):
                accepted = "the name of a generation of %s, such as %s-0123456789ab-1" % ((self.environment,) * 2)
                raise InputError("generation", self.generation, accepted, "see ROOT/generations on the node")
            self.place = os.path.join(options["root"], "generations", self.generation)
        self.folder = os.path.join(validation_folder(options["root"]), self.environment, self.framework)
        names = ("result.json", "log.txt") if self.kind == TRAIN else (self.kind + ".json", self.kind + ".txt")
        if self.generation:
            names = tuple("%s.%s.%s" % (self.generation, self.kind, end) for end in ("json", "txt"))
        self.result, self.log = (os.path.join(self.folder, name) for name in names)
        self.schedule = {key: options[key] for key in ("epochs", "batch_size", "seed", "least_accuracy")}
        self.digest = job_digest(self.framework, options["scripts"], options["data"], self.schedule, self.kind)

    def prefix(self) -> Optional[str]:
        """The generation that the environment's link leads to, by its real path; else the one that was asked for."""
        real = os.path.realpath(self.place)
        return real if os.path.exists(os.path.join(real, "bin", "python")) else None

    def stored(self) -> Any:
        return files.read_json(self.result)


def why_run(task: Task) -> Optional[str]:
    """Why this job has to run now, or None where its stored result holds."""
    prefix = task.prefix()
    stored = {task.environment: {task.framework: task.stored()}}
    current = os.path.basename(prefix) if prefix else None
    why = needs_validation(stored, task.environment, current, task.framework, task.digest, driver_version())
    if not why and task.kind == TRAIN and not task.generation:
        record = files.read_json(node_file(task.options["root"]))
        why = condemned(record, task.environment, task.framework)
    return why or ("asked for" if task.options.get("rerun") else None)


def validate(task: Task, progress: Progress) -> Dict[str, Any]:
    """Carry the job out, store its result and return it. What goes wrong becomes the verdict ERROR, with its reason."""
    result = _blank(task)
    os.makedirs(task.folder, mode=0o755, exist_ok=True)
    what = "validate %s with %s" % (task.environment, task.framework)
    home = speed_folder(task.options["root"])
    os.makedirs(home, mode=0o755, exist_ok=True)
    with node_lock(task.folder, what, 5), node_lock(home, what, LOCK_SECONDS, variable="validation_root"):
        for left in [name for name in os.listdir(task.folder) if name.startswith(WORK)]:
            # Of a job that was killed: nobody else works here, since the lock is held.
            shutil.rmtree(os.path.join(task.folder, left), ignore_errors=True)
        work = tempfile.mkdtemp(prefix=WORK, dir=task.folder)
        try:
            outcome = _carry_out(task, work, result, progress)
            result.update({key: outcome[key] for key in FIGURES if key in outcome})
            # The weights of another generation would stand where those of the current one are looked for.
            if outcome.get("kind") == "done" and task.kind == TRAIN and not task.generation:
                result.update(validation_weights.keep(task.folder, work, outcome, task.log))
            verdict, reason, next_step = judge(outcome, task.options["least_accuracy"] if task.kind == TRAIN else None)
            next_step = outcome.get("next_step") or next_step
        except FleetError as error:
            verdict, reason, next_step = ERROR, error.message, "mend that, and validate again"
        except OSError as error:
            verdict, reason, next_step = ERROR, str(error), "see to the node's disk and permissions, and validate again"
        finally:
            shutil.rmtree(work, ignore_errors=True)
        result.update(verdict=verdict, reason=reason, next_step=next_step, ended=now())
        result["seconds"] = round(time.time() - progress.started, 1)
        # A job that did not start proves nothing against what an earlier one has proved.
        if verdict != SKIP or not _proved(task):
            files.write_json(task.result, result)
    return result


def _proved(task: Task) -> bool:
    stored = task.stored()
    return isinstance(stored, dict) and stored.get("verdict") == PASS and stored.get("job_digest") == task.digest


def _blank(task: Task) -> Dict[str, Any]:
    """A result with every key that a result has, and nothing known yet."""
    options = task.options
    prefix = task.prefix()
    quota = cgroup.cpu_quota()
    result: Dict[str, Any] = dict.fromkeys(FIGURES)
    result.update(
        schema_version=SCHEMA_VERSION,
        environment=task.environment,
        framework=task.framework,
        kind=task.kind,
        generation=os.path.basename(prefix) if prefix else None,
        interpreter=os.path.realpath(os.path.join(prefix, "bin", "python")) if prefix else None,
        driver=driver_version(),
        job_digest=task.digest,
        verdict=ERROR,
        reason=None,
        next_step=None,
        started=now(),
        ended=None,
        seconds=None,
        threads=children.threads_for(options["threads"], cgroup.usable_cpus(quota)),
        cpu_quota=quota,
        seed=options["seed"],
        batch_size=options["batch_size"],
        least_accuracy=options["least_accuracy"],
        data={"name": "mnist", "sha256": {entry["name"]: entry["sha256"].lower() for entry in options["data"]}}
        if task.kind in READS_MNIST
        else None,
        weights=None,
        native_weights=None,
        log=task.log,
        epochs=[],
    )
    return result


def _carry_out(task: Task, work: str, result: Dict[str, Any], progress: Progress) -> Dict[str, Any]:
    """Fetch the data, run the script in `work`, and return the outcome that it wrote, or what went wrong as one."""
    options = task.options
    prefix = task.prefix()
    if prefix is None:
        return {
            "kind": "error",
            "reason": "there is no environment with a python at %s" % task.place,
            "next_step": "create it first (playbooks/environments.yml, or site.yml)",
        }
    owner = children.account(options.get("user"))
    data: Dict[str, str] = {}
    if task.kind in READS_MNIST:
        progress("data", message="data set")
        access = Access.of(options.get("access"))
        data = dataset.ensure(options["data"], os.path.join(options["root"], "datasets", "mnist"), access)
    declared = {**environment_variables(prefix), **(options.get("variables") or {}), **backend_of(task.framework)}
    if task.kind == SMOKE:
        progress(task.kind, message=task.framework)
        if owner is not None:
            os.chown(work, owner.pw_uid, owner.pw_gid)
        return smoke(prefix, task.framework, declared, work, options["timeout"], options.get("nice") or 0, owner)
    gpu = validation_gpu.observe()
    for name, text in scripts_for(task.kind, task.framework, options["scripts"]).items():
        files.write_atomic(os.path.join(work, name), text)
    job = {
        "data": data,
        "epochs": options["epochs"],
        "batch_size": options["batch_size"],
        "seed": options["seed"],
        "threads": result["threads"],
        "timeout": options["timeout"],
        "gpu": gpu,
        "for_cuda": for_cuda(prefix),
        "outcome": os.path.join(work, "outcome.json"),
        "progress": os.path.join(work, "progress.json"),
        "weights": os.path.join(work, validation_weights.WEIGHTS),
        "native": work,
        "trained": validation_weights.trained(task.folder, os.path.basename(prefix), work)
        if task.kind == SERVE
        else None,
    }
    files.write_json(os.path.join(work, "job.json"), job)
    if owner is not None:
        os.chmod(work, 0o700)
        os.chown(work, owner.pw_uid, owner.pw_gid)
    variables = children.variables_for(prefix, work, result["threads"], gpu["uuid"], declared)
    python = os.path.join(prefix, "bin", "python")
    progress(task.kind, 0, options["epochs"] if task.kind == TRAIN else None, "epochs", "starting")
    status = children.run_group(
        [python, os.path.join(work, script_of(task.kind, task.framework)), os.path.join(work, "job.json")],
        environ=variables,
        folder=work,
        log=task.log,
        timeout=options["timeout"],
        nice=options.get("nice") or 0,
        owner=owner,
        watch=Relay(job["progress"], progress),
    )
    outcome = files.read_others_json(job["outcome"])
    if not isinstance(outcome, dict) or outcome.get("kind") != "done":
        taken = validation_gpu.taken_meanwhile(gpu)
        if taken:
            return {"kind": "refused", "reason": taken}
    if status is None:
        return {
            "kind": "error",
            "reason": "the %s took longer than %d seconds (%s) and was ended"
            % (WORDS[task.kind], options["timeout"], limit_of(task.kind)),
            "next_step": "read %s on the node; raise %s if the node is only slow" % (task.log, limit_of(task.kind)),
        }
    if not isinstance(outcome, dict):
        return {
            "kind": "error",
            "reason": "the %s ended with status %d and left no outcome; its output ends: %s"
            % (WORDS[task.kind], status, _tail(task.log)),
            "next_step": "read %s on the node" % task.log,
        }
    return outcome


class Relay:
    """Hands what the training says of its progress on to whoever follows the module."""

    def __init__(self, path: str, progress: Progress) -> None:
        self.path = path
        self.progress = progress
        self.done = 0

    def __call__(self) -> None:
        told = files.read_others_json(self.path)
        if told and told["done"] != self.done:
            self.done = told["done"]
            self.progress(told["step"], told["done"], told["total"], told["unit"], told["message"])


def _tail(path: str) -> str:
    return " ".join((files.read_text(path) or "").split())[-LOG_TAIL:]
