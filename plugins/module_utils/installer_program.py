# SPDX-License-Identifier: Apache-2.0
"""Running an installer: with no user's settings, and with a limit."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import time
from typing import Dict, Optional, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.child_group import child_group
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress

TAIL_LINES = 20


def run_installer(
    script: str, path: str, scratch: str, timeout: int, umask: str, progress: Progress
) -> Tuple[Optional[int], str]:
    """(exit code or None where it was stopped, the end of what it said). `path` must not exist yet."""
    log = os.path.join(scratch, "output")
    began = time.monotonic()
    code: Optional[int] = None
    with open(log, "wb") as output, child_group(
        ["bash", script, "-b", "-p", path],
        prepare=functools.partial(os.umask, int(umask, 8)),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=scratch,
        env=clean_environment(scratch),
    ) as process:
        while code is None and time.monotonic() - began < timeout:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(min(1.0, timeout))
            progress("install", int(time.monotonic() - began), timeout, "seconds of at most", os.path.basename(script))
    text = files.read_text(log) or ""
    return code, "\n".join(text.rstrip().splitlines()[-TAIL_LINES:])


def clean_environment(home: str) -> Dict[str, str]:
    """What the installer sees: no user's settings, and a HOME that is thrown away with all it writes there."""
    return {
        "HOME": home,
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "CONDA_REGISTER_ENVS": "false",
    }
