# SPDX-License-Identifier: Apache-2.0
"""One validation job on a node: what has to run, the training, its verdict, and the result on disk."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from typing import Any, Dict, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import cgroup, dataset, files, validation_gpu
from ansible_collections.condafleet.core.plugins.module_utils import validation_child as children
from ansible_collections.condafleet.core.plugins.module_utils.access import Access
from ansible_collections.condafleet.core.plugins.module_utils.clock import now
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress, node_lock
from ansible_collections.condafleet.core.plugins.module_utils.validation_plan import (
    ERROR,
    PASS,
    SCHEMA_VERSION,
    SKIP,
    job_digest,
    judge,
    needs_validation,
    scripts_for,
)

RESULT = "result.json"
LOG = "log.txt"
WEIGHTS = "weights.npz"
LOG_TAIL = 1500
# What a training script's outcome brings into the result.
FIGURES = (
    "epochs", "test_loss", "test_accuracy", "recomputed_accuracy", "train_images", "test_images", "images_per_second",
    "images_per_second_of", "training_seconds", "device", "versions", "peak_memory_bytes",
)  # fmt: skip


class Task:
    """What the module was asked for, with the places and the digest that follow from it."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options
        self.environment: str = options["environment"]
        self.framework: str = options["framework"]
        self.link = os.path.join(options["prefix"], "envs", self.environment)
        self.folder = os.path.join(options["root"], "validation", self.environment, self.framework)
        self.schedule = {key: options[key] for key in ("epochs", "batch_size", "seed", "least_accuracy")}
        self.digest = job_digest(self.framework, options["scripts"], options["data"], self.schedule)

    def prefix(self) -> Optional[str]:
        """The generation that the environment's link leads to, by its real path."""
        real = os.path.realpath(self.link)
        return real if os.path.exists(os.path.join(real, "bin", "python")) else None

    def stored(self) -> Any:
        return files.read_json(os.path.join(self.folder, RESULT))


def why_run(task: Task) -> Optional[str]:
    """Why this job has to run now, or None where its stored result holds."""
    prefix = task.prefix()
    stored = {task.environment: {task.framework: task.stored()}}
    current = os.path.basename(prefix) if prefix else None
    why = needs_validation(stored, task.environment, current, task.framework, task.digest)
    return why or ("asked for" if task.options.get("rerun") else None)


def validate(task: Task, progress: Progress) -> Dict[str, Any]:
    """Carry the job out, store its result and return it. What goes wrong becomes the verdict ERROR, with its reason."""
    result = _blank(task)
    os.makedirs(task.folder, mode=0o755, exist_ok=True)
    with node_lock(task.folder, "validate %s with %s" % (task.environment, task.framework), timeout=5):
        work = tempfile.mkdtemp(prefix=".job-", dir=task.folder)
        try:
            outcome = _carry_out(task, work, result, progress)
            _keep(task, work, outcome, result)
            verdict, reason, next_step = judge(outcome, task.options["least_accuracy"])
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
            files.write_json(os.path.join(task.folder, RESULT), result)
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
        generation=os.path.basename(prefix) if prefix else None,
        interpreter=os.path.realpath(os.path.join(prefix, "bin", "python")) if prefix else None,
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
        data={"name": "mnist", "sha256": {entry["name"]: entry["sha256"].lower() for entry in options["data"]}},
        weights=None,
        native_weights=None,
        log=os.path.join(task.folder, LOG),
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
            "reason": "there is no environment with a python at %s" % task.link,
            "next_step": "create it first (playbooks/environments.yml, or site.yml)",
        }
    owner = children.account(options.get("user"))
    progress("data", message="data set")
    access = Access.of(options.get("access"))
    data = dataset.ensure(options["data"], os.path.join(options["root"], "datasets", "mnist"), access)
    gpu = validation_gpu.observe()
    for name, text in scripts_for(task.framework, options["scripts"]).items():
        files.write_atomic(os.path.join(work, name), text)
    job = {
        "data": data,
        "epochs": options["epochs"],
        "batch_size": options["batch_size"],
        "seed": options["seed"],
        "threads": result["threads"],
        "gpu": gpu,
        "outcome": os.path.join(work, "outcome.json"),
        "progress": os.path.join(work, "progress.json"),
        "weights": os.path.join(work, WEIGHTS),
        "native": work,
    }
    files.write_json(os.path.join(work, "job.json"), job)
    if owner is not None:
        os.chmod(work, 0o700)
        os.chown(work, owner.pw_uid, owner.pw_gid)
    declared = {**environment_variables(prefix), **(options.get("variables") or {})}
    variables = children.variables_for(prefix, work, result["threads"], gpu["uuid"], declared)
    python = os.path.join(prefix, "bin", "python")
    progress("train", 0, options["epochs"], "epochs", "starting")
    status = children.run_group(
        [python, os.path.join(work, "train_%s.py" % task.framework), os.path.join(work, "job.json")],
        environ=variables,
        folder=work,
        log=os.path.join(task.folder, LOG),
        timeout=options["timeout"],
        nice=options.get("nice") or 0,
        owner=owner,
        watch=Relay(job["progress"], progress),
    )
    outcome = files.read_json(job["outcome"])
    if status is None:
        return {
            "kind": "error",
            "reason": "the training took longer than %d seconds (validation_timeout) and was ended"
            % options["timeout"],
            "next_step": "read %s on the node; raise validation_timeout if the node is only slow" % result["log"],
        }
    if not isinstance(outcome, dict):
        return {
            "kind": "error",
            "reason": "the training ended with status %d and left no outcome; its output ends: %s"
            % (status, _tail(result["log"])),
            "next_step": "read %s on the node" % result["log"],
        }
    return outcome


def environment_variables(prefix: str) -> Dict[str, str]:
    """The variables that activating the environment sets (`conda env config vars`)."""
    state = files.read_json(os.path.join(prefix, "conda-meta", "state"), {})
    return dict(state.get("env_vars") or {}) if isinstance(state, dict) else {}


class Relay:
    """Hands what the training says of its progress on to whoever follows the module."""

    def __init__(self, path: str, progress: Progress) -> None:
        self.path = path
        self.progress = progress
        self.done = 0

    def __call__(self) -> None:
        told = files.read_json(self.path)
        if told and told["done"] != self.done:
            self.done = told["done"]
            self.progress(told["step"], told["done"], told["total"], told["unit"], told["message"])


def _keep(task: Task, work: str, outcome: Mapping[str, Any], result: Dict[str, Any]) -> None:
    """Take the figures over, and put the weights beside the result."""
    result.update({key: outcome[key] for key in FIGURES if key in outcome})
    if outcome.get("kind") != "done":
        return
    native = outcome["native_weights"]
    kept = {"weights": (WEIGHTS, "npz"), "native_weights": (os.path.basename(native["path"]), native["format"])}
    for key, (name, form) in kept.items():
        source, target = os.path.join(work, name), os.path.join(task.folder, name)
        # Copied, since the training may have run as another account: what lies here is the caller's own.
        content = None if os.path.islink(source) else files.read_bytes(source)
        if content is None:
            raise FleetError("%s: the training left no such file. Next: read %s on the node." % (source, result["log"]))
        files.write_atomic(target, content)
        result[key] = {"path": target, "sha256": files.sha256_file(target), "format": form}


def _tail(path: str) -> str:
    return " ".join((files.read_text(path) or "").split())[-LOG_TAIL:]
