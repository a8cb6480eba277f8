# SPDX-License-Identifier: Apache-2.0
"""The training as a child: its variables, its process group, its end."""

from __future__ import annotations

import functools
import os
import pwd
import subprocess
import time
from typing import Callable, Dict, List, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import validation_gpu
from ansible_collections.condafleet.core.plugins.module_utils.child_group import child_group, end_group
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError

# One thread is best for this network, by measurement: its matrices (32 x 784 x 128) are too small to share, and
# threads that wait for each other cost more than they bring as soon as anything else runs. Seconds per epoch with
# 1 and with 2 threads on 2 busy cores: PyTorch 4 and 13-60, Keras on torch 14 and 32, tf.keras 8-11 and 13-18.
BEST_THREADS = 1
GRACE = 5.0
PAUSE = 0.2


def threads_for(wanted: int, usable: int) -> int:
    """`wanted` threads, 0 for what is best; never more than the CPUs that may be used."""
    return max(1, min(wanted or BEST_THREADS, usable))


def variables_for(
    prefix: str, folder: str, threads: int, gpu: Optional[str], declared: Mapping[str, str]
) -> Dict[str, str]:
    """The child's whole environment: nothing of the caller's own settings reaches it.

    `gpu` is the UUID of the GPU to use; without one the child sees none. `declared` are the environment's variables.
    """
    count = str(threads)
    return {
        "PATH": os.path.join(prefix, "bin") + ":/usr/local/bin:/usr/bin:/bin",
        "CONDA_PREFIX": prefix,
        "HOME": folder,
        "TMPDIR": folder,
        "KERAS_HOME": folder,
        "XDG_CACHE_HOME": folder,
        "LANG": "C.UTF-8",
        "PYTHONNOUSERSITE": "1",
        # A generation is never written to, not even by the one who may.
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "NUMEXPR_NUM_THREADS": count,
        "TF_NUM_INTRAOP_THREADS": count,
        "TF_NUM_INTEROP_THREADS": count,
        "TF_CPP_MIN_LOG_LEVEL": "1",
        **{str(name): str(value) for name, value in declared.items()},
        # Last: whatever an environment sets, a GPU that was not found free is not touched.
        **validation_gpu.variables(gpu),
    }


def account(user: Optional[str]) -> Optional[pwd.struct_passwd]:
    """The account the training runs as, None for the caller's own."""
    if not user:
        return None
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise InputError(
            "validation_user", user, "an account of the node, or nothing", "create the account or leave it unset"
        ) from None


def run_group(
    argv: List[str],
    *,
    environ: Mapping[str, str],
    folder: str,
    log: str,
    timeout: float,
    nice: int = 0,
    owner: Optional[pwd.struct_passwd] = None,
    watch: Callable[[], None] = lambda: None,
) -> Optional[int]:
    """Run `argv` in its own process group, its output into `log`; return its exit status, None if it ran out of time.

    Whatever happens, also to the caller, nothing of the group is left. `watch` is called a few times a second.
    """
    end = functools.partial(end_group, grace=GRACE)
    with open(log, "wb") as output, child_group(
        argv,
        end=end,
        prepare=prepared(nice, owner),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env=dict(environ),
    ) as child:
        deadline = time.monotonic() + timeout
        while child.poll() is None:
            watch()
            if time.monotonic() >= deadline:
                return None
            time.sleep(PAUSE)
        watch()
        status: int = child.returncode
    return status


def prepared(nice: int, owner: Optional[pwd.struct_passwd]) -> Callable[[], None]:
    """What a child does before its program: it stands back, and becomes another account."""

    def prepare() -> None:
        os.nice(nice)
        os.umask(0o022)
        if owner is not None:
            os.initgroups(owner.pw_name, owner.pw_gid)
            os.setgid(owner.pw_gid)
            os.setuid(owner.pw_uid)

    return prepare
