# SPDX-License-Identifier: Apache-2.0
"""Sends the training scripts along and shows each epoch. Documented in plugins/modules/validation.py."""

from __future__ import annotations

import time
from typing import Any

from ansible.utils.display import Display

from ansible_collections.condafleet.core.plugins.module_utils.validation_plan import TRAIN, limit_of, scripts_for
from ansible_collections.condafleet.core.plugins.module_utils.validation_scripts import read_scripts
from ansible_collections.condafleet.core.plugins.plugin_utils.follow import FollowingAction

display = Display()

MODULE = "condafleet.core.validation"
# What a job may need beside the training: fetching the data, ending a training that hangs.
BESIDE_SECONDS = 900
# Whoever looks at a terminal takes longer silence for a hang.
SILENCE_SECONDS = 30.0


class ActionModule(FollowingAction):
    """One environment with one framework on one host."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = dict(self._task.args)
        scripts = args.get("scripts") or read_scripts()
        args["scripts"] = scripts_for(str(args.get("kind") or TRAIN), str(args.get("framework")), scripts)
        answer = self._ask(args, task_vars)
        if not answer.get("failed") and answer.get("would_run") and not self._task.check_mode:
            answer = self._train(args, task_vars)
        elif not self._task.check_mode:
            answer["changed"] = False
        result.update(answer)
        # The report's `validation` is of trainings in current generations; all else is told by the findings.
        told = (args.get("kind") or TRAIN) == TRAIN and not args.get("generation")
        if told and not result.get("failed") and result.get("result") and not self._task.check_mode:
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
        """Train as a job that is followed, and return the module's result."""
        limit = int(args.get("timeout") or 1800) + BESIDE_SECONDS
        kind = str(args.get("kind") or TRAIN)
        who = "%s: %s/%s" % (task_vars.get("inventory_hostname", "?"), args["environment"], args["framework"])
        shown = Shown(who if kind == TRAIN else "%s %s" % (who, kind))
        name = "validation-%s-%s-%s" % (args["environment"], args["framework"], kind)
        outcome = self.follow(MODULE, args, task_vars, name=name, limit=limit, show=shown.progress)
        if outcome.answer is not None:
            shown.verdict(outcome.answer.get("result") or {})
            return outcome.answer
        known = "Its processes were ended." if outcome.stopped else "Whether it still runs is not known."
        return {
            "failed": True,
            "changed": True,
            "msg": "%s: %s did not end within %d seconds. %s "
            "Next: look at the node's load and disk, or raise that limit." % (limit_of(kind), who, limit, known),
        }


class Shown:
    """Prints one line an epoch, one for the verdict, and one in any case before silence gets long."""

    def __init__(self, who: str) -> None:
        self.who = who
        self.epochs = 0
        self.step = ""
        self.time = time.monotonic()

    def progress(self, record: dict[str, Any], _elapsed: float) -> None:
        step, done = str(record.get("step") or "starting"), int(record.get("done") or 0)
        silent = time.monotonic() - self.time >= SILENCE_SECONDS
        if step == "train" and done > self.epochs:
            self.epochs = done
            self._line(str(record.get("message")))
        elif step != self.step or silent:
            self._line(
                "%s %s" % (step, record.get("message") or "") if not done or step != "train" else "still training"
            )
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
