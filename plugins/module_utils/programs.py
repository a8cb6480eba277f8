# SPDX-License-Identifier: Apache-2.0
"""The programs that a step of a build runs: in an environment of their own, and never longer than the step."""

from __future__ import annotations

import os
import subprocess
import tempfile
from typing import Callable, Dict, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils.child_group import child_group
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.progress import held_locks


class ProgramError(FleetError):
    """A program ended with an error; `said` is all of its output."""

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said


def clean_environment(scratch: str) -> Dict[str, str]:
    """What every program of a build gets: no user's configuration, no user's packages, stable texts."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": scratch,
        "XDG_CONFIG_HOME": os.path.join(scratch, "config"),
        "XDG_CACHE_HOME": os.path.join(scratch, "cache"),
        "XDG_DATA_HOME": os.path.join(scratch, "data"),
        "TMPDIR": scratch,
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONNOUSERSITE": "1",
        "NO_COLOR": "1",
    }


def run(
    command: Sequence[str], environment: Mapping[str, str], what: str, watch: Optional[Callable[[], None]] = None
) -> str:
    """Run a program to its end; its output. ProgramError with its last lines where it fails.

    It ends with whoever started it, and holds the lock on ROOT as long as it lives: what a killed step has left
    running is never at work beside the next one.
    """
    with tempfile.TemporaryFile() as output:
        try:
            with child_group(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                pass_fds=held_locks(),
            ) as process:
                code = _wait(process, watch)
        except OSError as error:
            raise FleetError("%s: %s can't be started: %s." % (what, command[0], error.strerror)) from error
        output.seek(0)
        said = output.read().decode("utf-8", "replace")
    if code:
        raise ProgramError("%s ended with %d: %s" % (what, code, tail(said)), said)
    return said


def _wait(process: "subprocess.Popen[bytes]", watch: Optional[Callable[[], None]]) -> int:
    while True:
        if watch:
            watch()
        try:
            return process.wait(timeout=1 if watch else None)
        except subprocess.TimeoutExpired:
            continue


def tail(text: str) -> str:
    """The end of what a program said, in one line."""
    return " | ".join(line.strip() for line in text.splitlines() if line.strip())[-2000:]
