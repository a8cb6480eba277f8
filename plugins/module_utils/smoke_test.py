# SPDX-License-Identifier: Apache-2.0
"""Whether a new generation works at all: its own python imports each framework and computes something known.

No GPU is touched: other jobs may be using them. What needs one is the validation's.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils.cgroup import cpu_quota, usable_cpus
from ansible_collections.condafleet.core.plugins.module_utils.child_group import child_group
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.programs import clean_environment, run, tail
from ansible_collections.condafleet.core.plugins.module_utils.progress import held_locks

# Each prints {version, cuda, result}: `cuda` is what it was built for, `result` a number that is known beforehand.
PROGRAMS = {
    "python": """
import bz2, ctypes, hashlib, json, lzma, sqlite3, ssl, sys, zlib
value = sqlite3.connect(":memory:").execute("select 20 + 2").fetchone()[0]
print(json.dumps({"version": sys.version.split()[0], "cuda": None, "result": float(value)}))
""",
    "torch": """
import json, torch
x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
(x @ x).sum().backward()
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda, "result": float(x.grad.sum()) - 18.0}))
""",
    "tensorflow": """
import json, tensorflow as tf
x = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
with tf.GradientTape() as tape:
    y = tf.reduce_sum(x @ x)
cuda = tf.sysconfig.get_build_info().get("cuda_version") if tf.test.is_built_with_cuda() else None
gradient = tape.gradient(y, x)
print(json.dumps({"version": tf.__version__, "cuda": cuda, "result": float(tf.reduce_sum(gradient)) - 18.0}))
""",
    "keras": """
import json, keras, numpy
layer = keras.layers.Dense(1, kernel_initializer="ones", bias_initializer="zeros")
value = float(keras.ops.convert_to_numpy(layer(numpy.array([[20.0, 2.0]], "float32")))[0][0])
print(json.dumps({"version": keras.__version__, "cuda": None, "result": value, "backend": keras.backend.backend()}))
""",
    "jax": """
import importlib.metadata, json, jax, jax.numpy as jnp
x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
names = [str(d.metadata["Name"] or "") for d in importlib.metadata.distributions()]
cuda = next((name for name in names if name.startswith("jax-cuda") and name.endswith("plugin")), None)
gradient = jax.grad(lambda m: (m @ m).sum())(x)
print(json.dumps({"version": jax.__version__, "cuda": cuda, "result": float(gradient.sum()) - 18.0}))
""",
}
EXPECTED = 22.0

# What keeps a program from taking a GPU from a running job.
WITHOUT_GPUS = {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}

# Frameworks that say themselves what they were built for.
TELL_CUDA = ("torch", "tensorflow", "jax")


def smoke_test(
    prefix: str,
    *,
    conda: Optional[str],
    frameworks: Sequence[str],
    variables: Mapping[str, str],
    cuda: bool,
    scratch: str,
    timeout: int = 600,
) -> Dict[str, Any]:
    """Test the environment at `prefix`: {NAME: {version, cuda, seconds, …}}. FleetError says which failed and why.

    `cuda`: whether the target is one for CUDA; a build for the CPU is then an error.
    `scratch`: an empty folder, which the programs take for their home.
    """
    results: Dict[str, Any] = {}
    if conda:
        results["conda"] = list_packages(conda, prefix, scratch)
    if os.path.exists(os.path.join(prefix, "bin", "python")):
        for name in frameworks or ["python"]:
            results[name] = run_program(prefix, name, variables, cuda, timeout, scratch)
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
    prefix: str, name: str, variables: Mapping[str, str], cuda: bool, timeout: int, scratch: str
) -> Dict[str, Any]:
    command = [os.path.join(prefix, "bin", "python"), "-s", "-c", PROGRAMS[name]]
    started = time.monotonic()
    try:
        with child_group(
            command,
            env=program_environment(prefix, variables, scratch),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=scratch,
            pass_fds=held_locks(),
        ) as process:
            output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise FleetError("smoke test of %s in %s: no end after %d seconds." % (name, prefix, timeout)) from None
    except OSError as error:
        raise FleetError("smoke test of %s: %s can't be started: %s." % (name, command[0], error.strerror)) from error
    said = errors.decode("utf-8", "replace")
    if process.returncode:
        raise FleetError("smoke test of %s in %s ended with %d: %s" % (name, prefix, process.returncode, tail(said)))
    result = last_record(output.decode("utf-8", "replace"))
    judge(name, result, cuda)
    return {**(result or {}), "seconds": round(time.monotonic() - started, 2)}


def judge(name: str, result: Optional[Mapping[str, Any]], cuda: bool) -> None:
    """FleetError where a program's record is not what it has to be."""
    if result is None:
        raise FleetError("smoke test of %s ended without an error and without a result." % name)
    if abs(float(result.get("result", "nan")) - EXPECTED) < 1e-3:
        if cuda and name in TELL_CUDA and not result.get("cuda"):
            raise FleetError(
                "smoke test of %s: version %s is a build for the CPU, and the target is one for CUDA. "
                "Next: check the spec's packages and channels, and lock again." % (name, result.get("version"))
            )
        return
    raise FleetError("smoke test of %s: it computed %s, not %s." % (name, result.get("result"), EXPECTED))


def program_environment(prefix: str, variables: Mapping[str, str], scratch: str) -> Dict[str, str]:
    """As after activation, but without GPUs, users' packages or anyone's settings."""
    return {
        **clean_environment(scratch),
        "PATH": os.path.join(prefix, "bin") + ":/usr/bin:/bin",
        "CONDA_PREFIX": prefix,
        **dict(variables),
        **WITHOUT_GPUS,
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "OMP_NUM_THREADS": str(usable_cpus(cpu_quota())),
    }


def last_record(text: str) -> Optional[Dict[str, Any]]:
    """The last line that is a JSON mapping: frameworks like to print lines of their own."""
    lines: List[str] = [line for line in text.splitlines() if line.startswith("{")]
    try:
        record = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
