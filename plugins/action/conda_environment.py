# SPDX-License-Identifier: Apache-2.0
"""Reads the lock on the controller and follows long work on the node. Documented with the module of this name."""

from __future__ import annotations

import json
import secrets
import time
import tomllib
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.condafleet.core.plugins.module_utils.lockfile import LockFileError, digest, parse

display = Display()

MODULE = "condafleet.core.conda_environment"
POLL_SECONDS = 2.0
# Whoever looks at a terminal takes longer silence for a hang.
SILENCE_SECONDS = 12.0
GRACE_SECONDS = 60
MB = 1_000_000


class ActionModule(ActionBase):
    """One state of one environment on one host."""

    TRANSFERS_FILES = False
    _supports_async = True
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        lock = args.get("lock")
        if lock:
            args.update(read_lock(lock, dict(args.get("variables") or {})))
        args.setdefault("condafleet_version", collection_version())
        task_vars = task_vars or {}
        if self._task.async_val and not self._task.check_mode:
            answer = self._follow(args, task_vars)
        else:
            answer = self._execute_module(module_name=MODULE, module_args=args, task_vars=task_vars)
        result.update(answer)
        result.pop("ansible_job_id", None)
        if not result.get("failed") and not self._task.check_mode and args.get("state") == "current":
            result["ansible_stats"] = stats_of(args, result)
        return result

    def _follow(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Start the module as a job on the node, show its progress, and return its result."""
        limit = int(self._task.async_val)
        job = "%s-%s-%s" % (args["name"], args["state"], secrets.token_hex(4))
        path = self._connection._shell.join_path(str(args["root"]), "progress", job + ".json")
        # The wrapper on the node ends the job by itself, without a word, should this side be gone by then.
        self._task.async_val = limit + GRACE_SECONDS
        started = self._execute_module(
            module_name=MODULE, module_args={**args, "job": job}, task_vars=task_vars, wrap_async=True
        )
        self._task.async_val = limit
        job_id = started.get("ansible_job_id")
        if started.get("failed") or not job_id:
            return started
        shown = Shown("%s: %s" % (task_vars.get("inventory_hostname", "?"), args["name"]), str(args["state"]))
        # One poll costs a module call; reading the progress file costs a shell command.
        began = time.monotonic()
        record: dict[str, Any] | None = None
        while time.monotonic() - began < limit:
            time.sleep(POLL_SECONDS if record or time.monotonic() - began > POLL_SECONDS else 0.5)
            found, ended = self._look(path, job_id)
            record = found or record
            shown.show(record, time.monotonic() - began)
            if ended:
                answer = self._status(job_id, "status", task_vars)
                self._finish(job_id, path, task_vars)
                return {key: value for key, value in answer.items() if key not in ASYNC_KEYS}
        return self._give_up(record, limit, args, task_vars, job_id, path)

    def _look(self, path: str, job_id: str) -> tuple[dict[str, Any] | None, bool]:
        """The progress record, and whether the job's result is there: two files in one command, not a module call."""
        folder = self.get_shell_option("async_dir", default="~/.ansible_async")
        result = self._connection._shell.join_path(self._remote_expand_user(folder), job_id)
        # async_wrapper writes `"finished": false` first, and the module's whole result in the end.
        unfinished = "'\"finished\": \\(0\\|false\\)'"
        command = "cat %s 2>/dev/null; echo; grep -q " + unfinished + " %s 2>/dev/null && echo runs || echo ended"
        said = self._low_level_execute_command(command % (self._quoted(path), self._quoted(result)))
        lines = (said.get("stdout") or "").strip().splitlines()
        try:
            record = json.loads(lines[0]) if lines else None
        except ValueError:
            record = None
        return (record if isinstance(record, dict) else None), bool(lines) and lines[-1] == "ended"

    def _finish(self, job_id: str, path: str, task_vars: dict[str, Any]) -> None:
        self._status(job_id, "cleanup", task_vars)
        self._low_level_execute_command("rm -f %s" % self._quoted(path))
        # Ansible leaves the temporary folder of an async task alone; what was asked since then was not async.
        self.cleanup(force=True)

    def _status(self, job_id: str, mode: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        folder = self.get_shell_option("async_dir", default="~/.ansible_async")
        arguments = {"jid": job_id, "mode": mode, "_async_dir": self._remote_expand_user(folder)}
        limit, self._task.async_val = self._task.async_val, 0
        try:
            answer: dict[str, Any] = self._execute_module(
                module_name="ansible.legacy.async_status", module_args=arguments, task_vars=task_vars
            )
        finally:
            self._task.async_val = limit
        return answer

    def _give_up(
        self,
        record: dict[str, Any] | None,
        limit: int,
        args: dict[str, Any],
        task_vars: dict[str, Any],
        job_id: str,
        path: str,
    ) -> dict[str, Any]:
        group = int((record or {}).get("pgid") or 0)
        ended = False
        if group > 1:
            # No "--": dash's kill does not know it.
            command = "kill -TERM -%d && { sleep 2; kill -KILL -%d 2>/dev/null; true; }" % (group, group)
            said = self._low_level_execute_command(command)
            ended = said.get("rc") == 0
        self._finish(job_id, path, task_vars)
        step = describe(record) if record else "it had not begun"
        return {
            "failed": True,
            "changed": True,
            "msg": "environments_timeout: state %s of environment %s was not reached within %d seconds, and was at: "
            "%s. %s Nothing was switched. Next: look at the node's load and network, or raise environments_timeout; "
            "what was fetched is kept."
            % (
                args["state"],
                args["name"],
                limit,
                step,
                "Its processes on the node were ended." if ended else "Whether it still runs there is not known.",
            ),
        }

    def _quoted(self, path: str) -> str:
        return str(self._connection._shell.quote(path))


ASYNC_KEYS = (
    "ansible_job_id",
    "started",
    "finished",
    "results_file",
    "stdout",
    "stderr",
    "stdout_lines",
    "stderr_lines",
)


class Shown:
    """Prints a line when something moved, and one in any case before silence gets long."""

    def __init__(self, who: str, state: str) -> None:
        self.who = who
        self.state = state
        self.text = ""
        self.step = ""
        self.time = 0.0

    def show(self, record: dict[str, Any] | None, elapsed: float) -> None:
        text = describe(record) if record else "starting"
        step = str((record or {}).get("step") or "")
        moved = text != self.text and (step != self.step or elapsed - self.time >= SILENCE_SECONDS / 2)
        if moved or elapsed - self.time >= SILENCE_SECONDS:
            display.display("%s: %s (%d s)" % (self.who, text, elapsed))
            self.text, self.step, self.time = text, step, elapsed


def describe(record: dict[str, Any]) -> str:
    """`link 40/120 packages`, `fetch 312 MB of 1200 MB`, `smoke test torch`."""
    done, total, unit = record.get("done") or 0, record.get("total"), record.get("unit") or ""
    parts = [str(record.get("step"))]
    if unit == "bytes":
        parts.append("%d MB" % (done // MB) + (" of %d MB" % (total // MB) if total else ""))
    elif total:
        parts.append("%d/%d %s" % (done, total, unit))
    if record.get("message"):
        parts.append(str(record["message"]))
    return " ".join(parts)


def read_lock(lock: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
    """{packages, digest, variables} of a pair of lock files."""
    try:
        conda_lock = yaml.safe_load(Path(lock["conda_lock"]).read_text(encoding="utf-8"))
        pylock = tomllib.loads(Path(lock["pylock"]).read_text(encoding="utf-8")) if lock.get("pylock") else {}
        parsed = parse(conda_lock, pylock)
    except OSError as error:
        raise AnsibleActionFail(
            "lock: %s can't be read: %s. Next: lock the environment first." % (error.filename, error.strerror)
        ) from error
    except (LockFileError, yaml.YAMLError, tomllib.TOMLDecodeError) as error:
        raise AnsibleActionFail("lock: %s: %s" % (lock["conda_lock"], error)) from error
    return {
        "packages": [package.to_dict() for package in parsed.packages],
        "digest": digest(parsed),
        "variables": {**variables, **parsed.variables},
    }


def stats_of(args: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    entry = {"generation": result.get("generation"), "digest": result.get("digest"), "target": args.get("target")}
    return {"data": {"condafleet": {"environments": {args["name"]: entry}}}, "per_host": True, "aggregate": True}


def collection_version() -> str:
    """The collection's version: galaxy.yml in a clone and in a wheel, MANIFEST.json where Galaxy installed it."""
    home = Path(__file__).resolve().parents[2]
    if (home / "galaxy.yml").is_file():
        return str(yaml.safe_load((home / "galaxy.yml").read_text(encoding="utf-8"))["version"])
    if (home / "MANIFEST.json").is_file():
        return str(json.loads((home / "MANIFEST.json").read_text(encoding="utf-8"))["collection_info"]["version"])
    return ""
