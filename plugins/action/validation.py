# SPDX-License-Identifier: Apache-2.0
"""Sends the training scripts along and shows each epoch. Documented in plugins/modules/validation.py."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.condafleet.core.plugins.module_utils.validation_scripts import read_scripts

display = Display()

MODULE = "condafleet.core.validation"
POLL_SECONDS = 2.0
# What a job may need beside the training: fetching the data, ending a training that hangs.
BESIDE_SECONDS = 900
# Whoever looks at a terminal takes longer silence for a hang.
SILENCE_SECONDS = 30.0
JOB_KEYS = (
    "ansible_job_id", "started", "finished", "results_file", "stdout", "stderr", "stdout_lines", "stderr_lines",
)  # fmt: skip


class ActionModule(ActionBase):
    """One environment with one framework on one host."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = dict(self._task.args)
        args["scripts"] = args.get("scripts") or read_scripts()
        answer = self._ask(args, task_vars)
        if not answer.get("failed") and answer.get("would_run") and not self._task.check_mode:
            answer = self._train(args, task_vars)
        elif not self._task.check_mode:
            answer["changed"] = False
        result.update(answer)
        if not result.get("failed") and result.get("result") and not self._task.check_mode:
            entry = {str(args["environment"]): {str(args["framework"]): result["result"]}}
            data = {"condafleet": {"validation": entry}}
            result["ansible_stats"] = {"data": data, "per_host": True, "aggregate": True}
        return result

    def _ask(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Ask the module what it would do: a stored verdict that holds then costs one short call and no job."""
        checked, self._task.check_mode = self._task.check_mode, True
        try:
            return self._call(args, task_vars)
        finally:
            self._task.check_mode = checked

    def _call(self, args: dict[str, Any], task_vars: dict[str, Any], **options: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name=MODULE, module_args=args, task_vars=task_vars, **options
        )
        return answer

    def _train(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Start the module as a job on the node, show its epochs, and return its result."""
        limit = int(args.get("timeout") or 1800) + BESIDE_SECONDS
        job = "validation-%s-%s-%s" % (args["environment"], args["framework"], secrets.token_hex(4))
        path = self._join(str(args["root"]), "progress", job + ".json")
        # Set here and not in the play: a task with async can't run in check mode.
        self._task.async_val = limit
        try:
            started = self._call({**args, "job": job}, task_vars, wrap_async=True)
        finally:
            self._task.async_val = 0
        job_id = started.get("ansible_job_id")
        if started.get("failed") or not job_id:
            return started
        who = "%s: %s/%s" % (task_vars.get("inventory_hostname", "?"), args["environment"], args["framework"])
        shown = Shown(who)
        began = time.monotonic()
        record: dict[str, Any] = {}
        while time.monotonic() - began < limit:
            time.sleep(POLL_SECONDS)
            record = self._read_json(path) or record
            shown.progress(record)
            if self._ended(job_id):
                answer = self._status(job_id, "status", task_vars)
                self._status(job_id, "cleanup", task_vars)
                self._low_level_execute_command("rm -f %s" % self._quoted(path))
                shown.verdict(answer.get("result") or {})
                return {key: value for key, value in answer.items() if key not in JOB_KEYS}
        return self._give_up(who, record, limit)

    def _give_up(self, who: str, record: dict[str, Any], limit: int) -> dict[str, Any]:
        """End a job that did not even keep its own time limit, and say so."""
        group = int(record.get("pgid") or 0)
        said = self._low_level_execute_command("kill -TERM -- -%d" % group) if group > 1 else {}
        known = "Its processes were ended." if said.get("rc") == 0 else "Whether it still runs is not known."
        return {
            "failed": True,
            "changed": True,
            "msg": "validation_timeout: %s did not end within %d seconds. %s "
            "Next: look at the node's load and disk, or raise validation_timeout." % (who, limit, known),
        }

    def _read_json(self, path: str) -> dict[str, Any]:
        said = self._low_level_execute_command("cat %s 2>/dev/null || true" % self._quoted(path))
        try:
            record = json.loads(said.get("stdout") or "")
        except ValueError:
            return {}
        return record if isinstance(record, dict) else {}

    def _ended(self, job_id: str) -> bool:
        """Whether the job's result is there, by a look at its file: cheaper than a module call."""
        # async_wrapper first writes that the job is not finished, and the module's whole result in the end.
        command = "grep -q '\"finished\": \\(0\\|false\\)' %s 2>/dev/null && echo runs || echo ended"
        said = self._low_level_execute_command(command % self._quoted(self._join(self._async_folder(), job_id)))
        return "ended" in (said.get("stdout") or "")

    def _status(self, job_id: str, mode: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="ansible.legacy.async_status",
            module_args={"jid": job_id, "mode": mode, "_async_dir": self._async_folder()},
            task_vars=task_vars,
        )
        return answer

    def _async_folder(self) -> str:
        return str(self._remote_expand_user(self.get_shell_option("async_dir", default="~/.ansible_async")))

    def _join(self, *parts: str) -> str:
        return str(self._connection._shell.join_path(*parts))

    def _quoted(self, path: str) -> str:
        return str(self._connection._shell.quote(path))


class Shown:
    """Prints one line an epoch, one for the verdict, and one in any case before silence gets long."""

    def __init__(self, who: str) -> None:
        self.who = who
        self.epochs = 0
        self.step = ""
        self.time = time.monotonic()

    def progress(self, record: dict[str, Any]) -> None:
        step, done = str(record.get("step") or "starting"), int(record.get("done") or 0)
        silent = time.monotonic() - self.time >= SILENCE_SECONDS
        if step == "train" and done > self.epochs:
            self.epochs = done
            self._line(str(record.get("message")))
        elif step != self.step or silent:
            self._line("%s %s" % (step, record.get("message") or "") if not done else "still training")
        self.step = step

    def verdict(self, result: dict[str, Any]) -> None:
        """Print the epochs that went by between two looks, and how it ended."""
        epochs = result.get("epochs") or []
        for entry in epochs[self.epochs :]:
            self._line(
                "epoch %d/%d loss %.4f accuracy %.4f %s images/s"
                % (
                    entry["epoch"],
                    len(epochs),
                    entry["loss"],
                    entry["accuracy"],
                    format(round(entry["images_per_second"]), ","),
                )
            )
        if result.get("verdict"):
            accuracy = result.get("test_accuracy")
            figures = "" if accuracy is None else ", test accuracy %.4f" % accuracy
            reason = ": %s" % result["reason"] if result.get("reason") else ""
            self._line("%s%s%s" % (result["verdict"], figures, reason))

    def _line(self, text: str) -> None:
        display.display("%s: %s" % (self.who, text.strip()))
        self.time = time.monotonic()
