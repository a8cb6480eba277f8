# SPDX-License-Identifier: Apache-2.0
"""Run a module as a job on the node, and follow it: its progress is shown, and it has a limit.

A module cannot stream, so a long one writes how far it is into ROOT/progress/JOB.json (module_utils/progress.py).
Looking at that file costs a shell command, where asking Ansible's async_status would cost a module call each time.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.condafleet.core.plugins.plugin_utils.bounded_shell import bounded
from ansible_collections.condafleet.core.plugins.plugin_utils.stopping import stop_command

display = Display()
Answer = TypeVar("Answer")

# Looks come apart as a job goes on: those at hundreds of nodes at once are work for the controller.
FIRST_SECONDS, POLL_SECONDS, MOST_SECONDS = 0.5, 2.0, 10.0
POLL_SHARE = 0.05
# The wrapper on the node ends a job without a word; it gets the chance only if this side is gone by then.
GRACE_SECONDS = 60
# What async_status puts beside a module's own result.
JOB_KEYS = (
    "ansible_job_id", "started", "finished", "results_file", "stdout", "stderr", "stdout_lines", "stderr_lines",
)  # fmt: skip
# async_wrapper writes this first, and the module's whole result in the end.
UNFINISHED = "'\"finished\": \\(0\\|false\\)'"
# Looks in a row at which a job without a result had no process. The last one may be about to write it.
LOST_LOOKS = 3
# A network that was reconfigured, or a controller that is out of processes, is back by then.
CUT_OFF_SECONDS = 120
# Whoever makes a folder on a dead file system would never come back.
FOLDER_SECONDS = 60


@dataclass(frozen=True)
class Outcome:
    """How a job ended: the module's `answer`, or None when the limit passed."""

    answer: dict[str, Any] | None
    record: dict[str, Any]
    """The last progress record, empty where there was none."""
    stopped: bool = False
    """After the limit: whether the node ended the job's processes."""
    silent: bool = False
    """Whether it was the time without a word that ran out, not that of the whole job."""


class Patience:
    """How long a job is waited for: `limit` seconds in all, and `silence` of them without a new record, where it is
    said how long a step may take."""

    def __init__(self, limit: float, silence: float | None, now: float) -> None:
        self.limit, self.silence, self.began, self.heard = limit, silence, now, now
        self.record: dict[str, Any] = {}

    def silent(self, record: dict[str, Any], now: float) -> bool:
        if record != self.record:
            self.record, self.heard = record, now
        return self.silence is not None and now - self.heard >= self.silence

    def ends(self, record: dict[str, Any], now: float) -> bool:
        return self.silent(record, now) or now - self.began >= self.limit


def pause_after(elapsed: float) -> float:
    """Seconds until the next look at a job that has taken `elapsed` seconds."""
    return min(MOST_SECONDS, max(POLL_SECONDS, POLL_SHARE * elapsed))


def unanswered(answer: dict[str, Any]) -> bool:
    """Whether what async_status says is no result of the module's: nothing, a part, or the wrapper's own complaint."""
    missing = not answer.get("finished") or str(answer.get("msg")).startswith("could not find job")
    return missing or (bool(answer.get("failed")) and "cmd" in answer and ("data" in answer or "outdata" in answer))


class FollowingAction(ActionBase):
    """An action whose module may take long."""

    def follow(
        self,
        module: str,
        args: dict[str, Any],
        task_vars: dict[str, Any],
        *,
        name: str,
        limit: int,
        show: Callable[[dict[str, Any], float], None],
        variable: str = "environments_root",
        silence: int | None = None,
    ) -> Outcome:
        """Start `module` as a job called `name`-…, calling `show(record, elapsed seconds)` at each look.

        `args` must hold `root`; files of the job lie in ROOT/jobs and ROOT/progress, and are removed in the end.
        `variable` is what decides where ROOT is, for the message where it can't be written. `silence` is within how
        many seconds a job that works says something new; it is ended where it does not.
        """
        job = "%s-%s" % (name, secrets.token_hex(4))
        progress = self._joined(str(args["root"]), "progress", job + ".json")
        folder = self._joined(str(args["root"]), "jobs")
        refused = self._make_folder(str(args["root"]), folder, variable)
        if refused:
            return Outcome(refused, {})
        shell = self._connection._shell
        # Not the home of the user that Ansible works as; and not the task's own `async`, which check mode refuses.
        shell.set_option("async_dir", folder)
        self._task.async_val = limit + GRACE_SECONDS
        try:
            started = self._execute_module(
                module_name=module, module_args={**args, "job": job}, task_vars=task_vars, wrap_async=True
            )
        finally:
            self._task.async_val = 0
        job_id = started.get("ansible_job_id")
        if started.get("failed") or not job_id:
            return Outcome(started, {})
        began = time.monotonic()
        record: dict[str, Any] = {}
        pause = FIRST_SECONDS
        without = 0
        patience = Patience(limit, silence, began)
        while not patience.ends(record, time.monotonic()):
            time.sleep(pause)
            pause = pause_after(time.monotonic() - began)
            found, state = self._patiently(lambda: self._look(progress, self._joined(folder, job_id)), task_vars)
            record = found or record
            show(record, time.monotonic() - began)
            without = without + 1 if state == "gone" else 0
            if state == "ended" or without == LOST_LOOKS:
                answer = {}
                if state == "ended":
                    answer = self._patiently(lambda: self._status(job_id, folder, task_vars), task_vars)
                self._tidy(self._joined(folder, job_id), progress)
                if unanswered(answer):
                    return Outcome(self._lost(str(args["root"]), variable, record, answer), record)
                return Outcome({key: value for key, value in answer.items() if key not in JOB_KEYS}, record)
        stopped = self._stop(int(record.get("pgid") or 0))
        self._tidy(self._joined(folder, job_id), progress)
        return Outcome(None, record, stopped, patience.silent(record, time.monotonic()))

    def _make_folder(self, root: str, folder: str, variable: str) -> dict[str, Any] | None:
        """Make ROOT, and in it a folder that no other user may look into: a job's file holds all that it was told."""
        command = "umask 022 && mkdir -p %s && umask 077 && mkdir -p %s && chmod 700 %s"
        quoted = self._quoted(folder)
        command %= (self._quoted(root), quoted, quoted)
        made = self._low_level_execute_command(bounded(command, FOLDER_SECONDS))
        if made.get("rc") == 0:
            return None
        # After a become that failed, Ansible says so on standard output.
        said = " ".join(str(made.get("stderr") or made.get("stdout") or "").split())
        return {
            "failed": True,
            "msg": "%s: %s can't be made or written: %s. Accepted: a folder that the user whom Ansible works as may "
            "write, on a file system that answers. Next: choose such a folder, or run with become: true; where nothing "
            "answered, see to its file server or disk." % (variable, root, said.rstrip(".")),
        }

    def _patiently(self, ask: Callable[[], Answer], task_vars: dict[str, Any]) -> Answer:
        """What `ask` returns, asked again while the node is not reached: its job knows nothing of that, and minutes of
        work on hundreds of nodes do not go for one connection that was cut off."""
        since: float | None = None
        while True:
            try:
                return ask()
            except AnsibleConnectionFailure as error:
                if since is None:
                    since = time.monotonic()
                    display.display(
                        "%s: not reached (%s); trying again for up to %d seconds"
                        % (task_vars.get("inventory_hostname", "?"), error.message, CUT_OFF_SECONDS)
                    )
                if time.monotonic() - since >= CUT_OFF_SECONDS:
                    raise
            time.sleep(POLL_SECONDS)

    def _look(self, progress: str, result: str) -> tuple[dict[str, Any], str]:
        """Return the progress record and how the job is, by one command: ended, runs, or gone without a result.

        Its wrapper has the job's name, which is the result's without the last part, as a word of its command line.
        """
        word = result.rpartition("/")[2].rpartition(".")[0]
        command = (
            "cat %s 2>/dev/null; echo; if ! grep -q %s %s 2>/dev/null; then echo ended; "
            "elif grep -qszx -e %s /proc/[0-9]*/cmdline; then echo runs; else echo gone; fi"
        )
        quoted = self._quoted(progress), UNFINISHED, self._quoted(result), self._quoted(word)
        said = self._low_level_execute_command(command % quoted)
        lines = (said.get("stdout") or "").strip().splitlines()
        try:
            record = json.loads(lines[0]) if lines else {}
        except ValueError:
            record = {}
        return (record if isinstance(record, dict) else {}), lines[-1] if lines else ""

    def _lost(self, root: str, variable: str, record: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        """The result of a job whose own never came: it was killed, or could not be written."""
        said = self._low_level_execute_command("df -Pk %s | tail -n 1" % self._quoted(root))
        words = str(said.get("stdout") or "").split()
        free = "%d MB" % (int(words[3]) * 1024 // 1_000_000) if len(words) > 3 and words[3].isdigit() else "unknown"
        step = str(record.get("step") or "its first")
        heard = " ".join(str(answer.get("stderr") or "").split())[-1000:]
        return {
            "failed": True,
            "changed": True,
            "msg": "%s: the job on the node ended without an answer, at the step: %s. It was killed (out of memory?), "
            "the node was restarted, or its answer could not be written: %s has %s free. What users reach is as it "
            "was. Next: look at the node's memory and disk, and run again; what was cut short is finished then.%s"
            % (variable, step, root, free, " It said: %s" % heard if heard else ""),
        }

    def _status(self, job_id: str, folder: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        arguments = {"jid": job_id, "mode": "status", "_async_dir": folder}
        answer: dict[str, Any] = self._execute_module(
            module_name="ansible.legacy.async_status", module_args=arguments, task_vars=task_vars
        )
        return answer

    def _tidy(self, result: str, progress: str) -> None:
        # By one command: async_status would be asked to do no more, by a whole module call.
        self._low_level_execute_command("rm -f %s %s" % (self._quoted(result), self._quoted(progress)))
        # Ansible leaves the temporary folder of a job alone; this one has ended.
        self.cleanup(force=True)

    def _stop(self, group: int) -> bool:
        if group <= 1:
            return False
        return bool(self._low_level_execute_command(stop_command(group)).get("rc") == 0)

    def _joined(self, *parts: str) -> str:
        return str(self._connection._shell.join_path(*parts))

    def _quoted(self, path: str) -> str:
        return str(self._connection._shell.quote(path))
