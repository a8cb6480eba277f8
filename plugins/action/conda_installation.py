# SPDX-License-Identifier: Apache-2.0
"""Fetches for the nodes where that is asked for, and follows an installer that runs. Documented with the module."""

from __future__ import annotations

from typing import Any

from ansible.utils.display import Display

from ansible_collections.condafleet.core.plugins.module_utils.access import FETCH_SECONDS, Access, packed
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.plugin_utils.follow import FollowingAction
from ansible_collections.condafleet.core.plugins.plugin_utils.handed_out import came_from, fetch_once
from ansible_collections.condafleet.core.plugins.plugin_utils.secrets import secret_of
from ansible_collections.condafleet.core.plugins.plugin_utils.shown import Shown, unfinished

display = Display()

MODULE = "condafleet.core.conda_installation"
DEFAULT_TIMEOUT = 900


class ActionModule(FollowingAction):
    """One installation on one host."""

    TRANSFERS_FILES = True
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = dict(self._task.args)
        args.pop("mirror_auth_variable", None)
        # Whether anything has to be done is asked without the credentials: they go where something is fetched only.
        args.pop("mirror_auth", None)
        answer = self._execute_module(module_name=MODULE, module_args=args, task_vars=task_vars)
        pending = answer.get("pending")
        if pending and not answer.get("failed") and not self._task.check_mode:
            try:
                answer = self._install(pending, args, self._credentials(task_vars), task_vars)
            except FleetError as error:
                answer = {"failed": True, "changed": False, "msg": error.message}
            # It would hold every option; the credentials among them are masked, but nobody needs any of it.
            answer.pop("invocation", None)
        result.update(answer)
        return result

    def _credentials(self, task_vars: dict[str, Any]) -> dict[str, str] | None:
        """What `mirror_auth_variable` names, or `mirror_auth`.

        A task's options are shown and stored by callbacks, such as ansible-runner's; a variable's name tells nothing.
        """
        name = self._task.args.get("mirror_auth_variable")
        found = secret_of(self._templar, task_vars, name) if name else self._task.args.get("mirror_auth")
        if not found:
            return None
        if not isinstance(found, dict):
            raise FleetError(
                "miniconda_mirror_auth: what was given is not accepted. Accepted: a dictionary {username, password}, "
                "{token} or {netrc: FILE}. Next: correct it. Nothing was changed."
            )
        return {str(key): str(value) for key, value in found.items() if value is not None}

    def _install(
        self,
        pending: dict[str, Any],
        args: dict[str, Any],
        credentials: dict[str, str] | None,
        task_vars: dict[str, Any],
    ) -> dict[str, Any]:
        """Have the installer run as a job that is followed; the module's result."""
        shown = Shown("%s: %s" % (task_vars.get("inventory_hostname", "?"), args["prefix"]))
        job = {**args, "root": str(args["prefix"]).rstrip("/") + ".d"}
        handed = args.get("fetch") == "controller" or any(source["kind"] == "path" for source in pending["sources"])
        if handed:
            access = Access.of(args.get("access"), credentials, args.get("mirror"))
            path, source = fetch_once(pending, access, shown.line)
            job["installers"] = came_from(args["installers"], pending, source)
            job["installer_path"] = self._hand_out(str(path), str(pending["filename"]))
        elif credentials:
            job["mirror_auth"] = packed(credentials)
        timeout = int(args.get("timeout") or DEFAULT_TIMEOUT)
        # Twice: it may first have to wait for another node that works on the same file system.
        limit = 2 * timeout + FETCH_SECONDS
        outcome = self.follow(
            MODULE, job, task_vars, name="installation", limit=limit, show=shown.show, variable="miniconda_prefix"
        )
        if outcome.answer is not None:
            return outcome.answer
        return {
            "failed": True,
            "changed": True,
            "msg": "miniconda_timeout: %s was not installed within %d seconds; %s What stood at "
            "%s is as it was. Next: look at the node's load, disk and network, or raise miniconda_timeout."
            % (pending["filename"], limit, unfinished(outcome), args["prefix"]),
        }

    def _hand_out(self, path: str, name: str) -> str:
        """Put the file into the task's own temporary folder on the node; where it is there."""
        shell = self._connection._shell
        if not shell.tmpdir:
            self._make_tmp_path()
        remote = shell.join_path(shell.tmpdir, name)
        self._transfer_file(path, remote)
        self._fixup_perms2((shell.tmpdir, remote))
        return str(remote)
