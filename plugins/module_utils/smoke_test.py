# SPDX-License-Identifier: Apache-2.0
"""Whether a generation works at all: its own python imports each framework, multiplies, and takes one training step.

On a GPU where the target is for CUDA and one is free. A GPU that a process uses, or may use, is never taken: then the
same is done on the CPU, and the record says so.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import time
from typing import Any, Callable, Dict, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import validation_gpu
from ansible_collections.condafleet.core.plugins.module_utils.cgroup import cpu_quota, usable_cpus
from ansible_collections.condafleet.core.plugins.module_utils.child_group import child_group
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.programs import clean_environment, run, tail
from ansible_collections.condafleet.core.plugins.module_utils.progress import held_locks
from ansible_collections.condafleet.core.plugins.module_utils.smoke_judged import (
    ERROR,
    SmokeError,
    gpu_of,
    judge,
    last_record,
)
from ansible_collections.condafleet.core.plugins.module_utils.smoke_programs import FRAMEWORKS
from ansible_collections.condafleet.core.plugins.module_utils.validation_child import prepared

Observe = Callable[[], Mapping[str, Any]]


def smoke_test(
    prefix: str,
    *,
    conda: Optional[str],
    frameworks: Sequence[str],
    variables: Mapping[str, str],
    cuda: bool,
    scratch: str,
    timeout: int = 600,
    observe: Observe = validation_gpu.observe,
    progress: Callable[[int, int, str], None] = lambda _done, _total, _name: None,
) -> Dict[str, Any]:
    """Test the environment at `prefix`: {NAME: {version, cuda, gpu, seconds, …}}. SmokeError says which failed and why.

    `cuda`: whether the target is one for CUDA; a build for the CPU is then an error.
    `scratch`: an empty folder, which the programs take for their home.
    """
    results: Dict[str, Any] = {}
    if conda:
        results["conda"] = list_packages(conda, prefix, scratch)
    if os.path.exists(os.path.join(prefix, "bin", "python")):
        names = list(frameworks) or ["python"]
        for done, name in enumerate(names):
            progress(done, len(names), name)
            results[name] = run_program(
                prefix, name, variables, cuda, timeout, scratch, observe=observe if cuda else None
            )
    return results


def list_packages(conda: str, prefix: str, scratch: str) -> Dict[str, Any]:
    """That the installation's conda can read the environment: users will ask it to."""
    environment = {**clean_environment(scratch), "CONDA_NO_PLUGINS": "true"}
    started = time.monotonic()
    said = run([conda, "list", "--prefix", prefix, "--json"], environment, "conda list")
    try:
        count = len(json.loads(said[said.index("[") :]))
    except ValueError:
        raise FleetError("conda list --prefix %s printed no list: %s" % (prefix, tail(said))) from None
    return {"packages": count, "seconds": round(time.monotonic() - started, 2)}


def run_program(
    prefix: str,
    name: str,
    variables: Mapping[str, str],
    cuda: bool,
    timeout: float,
    scratch: str,
    *,
    observe: Optional[Observe] = None,
    nice: int = 0,
    owner: Optional[pwd.struct_passwd] = None,
) -> Dict[str, Any]:
    """The record of one framework (smoke_programs.py), with `gpu` (smoke_judged.gpu_of) and `seconds`.

    `observe` says whether a GPU is free (validation_gpu.observe); without it none is used. `owner` is the account that
    the program runs as; `scratch` has to be theirs. SmokeError where it does not pass.
    """
    if name not in FRAMEWORKS:
        known = ", ".join(sorted(FRAMEWORKS))
        raise SmokeError("frameworks: %r is not accepted. Accepted: %s. Next: correct it." % (name, known), ERROR)
    observed = observe() if observe and name != "python" else None
    try:
        return _judged(prefix, name, variables, cuda, timeout, scratch, observed, nice, owner)
    except SmokeError:
        if observed is None or observe is None or not observed.get("uuid"):
            raise
        now = observe()
        if now.get("uuid") == observed["uuid"]:
            raise
        # Another was quicker: what failed may be no fault of the environment.
        return _judged(prefix, name, variables, cuda, timeout, scratch, now, nice, owner)


def _judged(
    prefix: str,
    name: str,
    variables: Mapping[str, str],
    cuda: bool,
    timeout: float,
    scratch: str,
    observed: Optional[Mapping[str, Any]],
    nice: int,
    owner: Optional[pwd.struct_passwd],
) -> Dict[str, Any]:
    uuid = observed.get("uuid") if observed else None
    program, backend = FRAMEWORKS[name]
    declared = {**variables, "KERAS_BACKEND": backend} if backend else variables
    command = [os.path.join(prefix, "bin", "python"), "-s", "-c", program]
    started = time.monotonic()
    try:
        with child_group(
            command,
            prepare=prepared(nice, owner),
            env=program_environment(prefix, declared, scratch, uuid),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=scratch,
            pass_fds=held_locks(),
        ) as process:
            output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        message = "smoke test of %s in %s: no end after %d seconds." % (name, prefix, timeout)
        raise SmokeError(message, ERROR) from None
    except OSError as error:
        message = "smoke test of %s: %s can't be started: %s." % (name, command[0], error.strerror)
        raise SmokeError(message) from error
    said = errors.decode("utf-8", "replace")
    if process.returncode:
        raise SmokeError("smoke test of %s in %s ended with %d: %s" % (name, prefix, process.returncode, tail(said)))
    record = last_record(output.decode("utf-8", "replace"))
    judge(name, record, cuda, uuid)
    found = dict(record or {})
    return {**found, "gpu": gpu_of(found, observed), "seconds": round(time.monotonic() - started, 2)}


def program_environment(
    prefix: str, variables: Mapping[str, str], scratch: str, uuid: Optional[str] = None
) -> Dict[str, str]:
    """As after activation, but without users' packages or anyone's settings, and with no GPU but this one."""
    return {
        **clean_environment(scratch),
        "PATH": os.path.join(prefix, "bin") + ":/usr/bin:/bin",
        "CONDA_PREFIX": prefix,
        **dict(variables),
        **validation_gpu.variables(uuid),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "OMP_NUM_THREADS": str(usable_cpus(cpu_quota())),
    }
