# SPDX-License-Identifier: Apache-2.0
"""What a declaration wants to see work in a new generation, before anybody uses it: its `checks`, commands of a shell.

Each is run by /bin/sh (every node has one) after the activation that users get, in an empty home, without a GPU.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import tempfile
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils.child_group import child_group
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.fingerprint import fingerprint
from ansible_collections.condafleet.core.plugins.module_utils.programs import clean_environment, tail
from ansible_collections.condafleet.core.plugins.module_utils.progress import held_locks
from ansible_collections.condafleet.core.plugins.module_utils.validation_gpu import WITHOUT_GPUS

SHELL = "/bin/sh"
# What a check ends with whose environment could not be activated.
NOT_ACTIVATED = 125
SHOWN = 100

Progress = Callable[[str, int, Optional[int], str, str], None]


def digest_of(checks: Sequence[str]) -> Optional[str]:
    """What a receipt says of the checks that were passed; None for none."""
    return hashlib.sha256(json.dumps(list(checks)).encode("utf-8")).hexdigest() if checks else None


def passed(receipt: Optional[Mapping[str, Any]], checks: Sequence[str]) -> bool:
    """Whether a generation with this receipt has passed just these checks. Fewer, or none, need no second run."""
    return not checks or ((receipt or {}).get("checks") or {}).get("digest") == digest_of(checks)


def run_checks(
    prefix: str, checks: Sequence[str], *, scratch: str, timeout: float, progress: Progress
) -> Optional[Dict[str, Any]]:
    """Run them one after the other, each for `timeout` seconds at most: {digest, results: [{command, seconds}]}.

    FleetError names the first that fails, with the end of what it said. None where there are none.
    """
    if not checks:
        return None
    before = fingerprint(prefix)
    results: List[Dict[str, Any]] = []
    for index, command in enumerate(checks):
        where = "check %d of %d (%s)" % (index + 1, len(checks), shown(command))
        progress("checks", index, len(checks), "checks", shown(command))
        results.append({"command": command, "seconds": run_check(prefix, command, where, scratch, timeout)})
    if fingerprint(prefix) != before:
        raise FleetError(
            "The checks of %s changed what is installed there. Accepted: checks that only look. "
            "Next: correct them in environments_list." % prefix
        )
    progress("checks", len(checks), len(checks), "checks", "")
    return {"digest": digest_of(checks), "results": results}


def run_check(prefix: str, command: str, where: str, scratch: str, timeout: float) -> float:
    """The seconds that one took. FleetError where it fails, or does not end in time; nothing of it is left running."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        try:
            with child_group(
                [SHELL, "-c", script(prefix, command)],
                env={**clean_environment(scratch), **WITHOUT_GPUS, "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=scratch,
                # What a killed job leaves running holds the lock on, so the next step is never at work beside it.
                pass_fds=held_locks(),
            ) as process:
                code = process.wait(timeout=timeout)
            end = "ended with %d" % code
        except subprocess.TimeoutExpired:
            code, end = None, "did not end within %g seconds" % timeout
        output.seek(0)
        said = tail(output.read().decode("utf-8", "replace"))
    if code == 0:
        return round(time.monotonic() - started, 2)
    if code == NOT_ACTIVATED:
        end += " (the environment could not be activated)"
    raise FleetError("%s in %s %s. It said: %s" % (where, prefix, end, said or "nothing"))


def script(prefix: str, command: str) -> str:
    """What the shell is given: users' activation, then the command, in which the first error ends it."""
    activate = os.path.join(prefix, "etc", "condafleet", "activate")
    # A declared variable may name GPUs; a check takes none from a running job.
    without = "".join("export %s='%s'\n" % item for item in sorted(WITHOUT_GPUS.items()))
    return ". %s || exit %d\n%sset -eu\n%s\n" % (shlex.quote(activate), NOT_ACTIVATED, without, command)


def shown(command: str) -> str:
    """The first line of a command, for people."""
    lines = [line.strip() for line in command.splitlines() if line.strip()]
    first = lines[0] if lines else ""
    more = " …" if len(lines) > 1 or len(first) > SHOWN else ""
    return first[:SHOWN] + more
