# SPDX-License-Identifier: Apache-2.0
"""Run a site's command for each node with a bad verdict. Documented in plugins/modules/validation_hook.py."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.condafleet.core.plugins.module_utils.hook_command import (
    Hook,
    commands,
    declared_for,
    withheld,
)
from ansible_collections.condafleet.core.plugins.module_utils.mappings import at
from ansible_collections.condafleet.core.plugins.module_utils.node_findings import CHECKED, JUDGED
from ansible_collections.condafleet.core.plugins.plugin_utils.registered import mapping, of_host, told_once

# A scheduler is asked for some nodes at once, not for a whole fleet.
AT_ONCE = 8
LONGEST_OUTPUT = 500


class ActionModule(ActionBase):
    """Works on the controller alone. To be run once for all hosts."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = self.validate_argument_spec(
            {
                "command": {"type": "list", "elements": "str"},
                "judged": {"type": "dict", "required": True},
                "verdicts": {"type": "list", "elements": "str", "default": ["FAIL"]},
                "run": {"type": "bool", "default": False},
                "timeout": {"type": "int", "default": 60},
                "percent": {"type": "int", "default": 20},
            }
        )[1]
        known = task_vars or {}
        batches = [args["judged"], *_batches(known, args["judged"])]
        hooks = {host: _hook(known, host, args) for batch in batches for host in batch}
        wanted = commands(hooks, args["judged"])
        everyone = [host for host in (known.get("groups") or {}).get("all") or [] if host != "localhost"]
        bad = sorted({host for batch in batches for host in commands(hooks, batch)})
        outcomes = {host: _outcome(words) for host, words in wanted.items()}
        refusals = {}
        for host in wanted:
            refusal = withheld(bad, max(len(everyone), len(args["judged"])), hooks[host].percent)
            if refusal:
                refusals[host] = refusal
            elif not hooks[host].run or self._task.check_mode:
                why = "check mode" if self._task.check_mode else "validation_hook_run is false"
                Display().display("%s: would run (%s): %s" % (host, why, shlex.join(wanted[host])))
            else:
                outcomes[host]["ran"] = True
        due = [host for host, one in outcomes.items() if one["ran"]]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for host, outcome in pool.map(lambda one: (one, carry_out(wanted[one], hooks[one].timeout)), due):
                outcomes[host] = outcome
                Display().display("%s: %s: %s" % (host, outcome["problem"] or "done", shlex.join(outcome["command"])))
        failed = [host for host in due if outcomes[host]["problem"]]
        warnings = list(dict.fromkeys(refusals.values()))
        if failed:
            first = outcomes[failed[0]]
            warnings.append(
                "validation_hook: %d of %d commands failed; verdicts stay as they are. %s: %s%s. "
                "Next: run it by hand: %s"
                % (
                    *(len(failed), len(due), failed[0], first["problem"]),
                    ", it said: %s" % first["output"] if first["output"] else "",
                    shlex.join(first["command"]),
                )
            )
        if warnings:
            result["warnings"] = warnings
        # No node was changed, least of all the one that tells it for all.
        said = "%d run, %d failed, %d not run" % (len(due), len(failed), len(wanted) - len(due))
        return {**result, "changed": False, "hooks": outcomes, "msg": said}


def _hook(variables: Mapping[str, Any], host: str, args: Mapping[str, Any]) -> Hook:
    """What the task says, for all hosts; else what is declared for this one, which is its group's word as a rule."""
    if args["command"] is not None:
        return Hook(args["command"], args["verdicts"], args["run"], args["percent"], args["timeout"])
    return declared_for(at(of_host(variables, host), CHECKED, "declared"))


def _batches(variables: Mapping[str, Any], judged: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was judged in the batches before this one, of a play with `serial`."""
    others = [host for host in variables.get("ansible_play_hosts_all") or [] if host not in judged]
    return [mapping(one, "verdicts") for one in told_once((of_host(variables, host) for host in others), JUDGED)]


def carry_out(words: Sequence[str], timeout: int) -> dict[str, Any]:
    """Run one command, never through a shell, and end all that it started once its time is over."""
    began = time.monotonic()
    problem = None
    # A file, since whoever reads a pipe waits for all that the command has left in the background.
    with tempfile.TemporaryFile() as said:
        try:
            child = subprocess.Popen(
                list(words), stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            return _outcome(words, True, problem="it could not be started (%s)" % why)
        try:
            status = child.wait(timeout)
            problem = "it ended with status %d" % status if status else None
        except subprocess.TimeoutExpired:
            problem = "it took longer than %d seconds (validation_hook_timeout) and was ended" % timeout
            _end(child.pid)
            status = child.wait()
        said.seek(max(0, said.seek(0, os.SEEK_END) - 4 * LONGEST_OUTPUT))
        text = " ".join(said.read().decode("utf-8", "replace").split())[-LONGEST_OUTPUT:]
    return _outcome(words, True, status, round(time.monotonic() - began, 2), text, problem)


def _end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _outcome(
    words: Sequence[str],
    ran: bool = False,
    status: int | None = None,
    seconds: float | None = None,
    output: str = "",
    problem: str | None = None,
) -> dict[str, Any]:
    told = {"command": list(words), "ran": ran, "rc": status, "seconds": seconds}
    return {**told, "output": output, "problem": problem}
