# SPDX-License-Identifier: Apache-2.0
"""Reads the lock on the controller and follows long work on the node. Documented with the module of this name."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail

from ansible_collections.condafleet.core.plugins.module_utils.access import packed
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.host_auth import needed
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import digest
from ansible_collections.condafleet.core.plugins.plugin_utils.collection import collection_version
from ansible_collections.condafleet.core.plugins.plugin_utils.follow import FollowingAction
from ansible_collections.condafleet.core.plugins.plugin_utils.lock_files import read_pair
from ansible_collections.condafleet.core.plugins.plugin_utils.secrets import hosts_of
from ansible_collections.condafleet.core.plugins.plugin_utils.shown import Shown, unfinished

MODULE = "condafleet.core.conda_environment"
LONG_STATES = ("fetched", "built", "tested")
DEFAULT_TIMEOUT = 3600


class ActionModule(FollowingAction):
    """One state of one environment on one host."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        auth_variable = args.pop("auth_variable", None)
        # What a node is told is filled in below, and never stands in a task's options.
        args.pop("auth", None)
        lock = args.get("lock")
        if lock:
            args.update(read_lock(lock, dict(args.get("variables") or {}), str(args.get("digest") or "")))
        args.setdefault("condafleet_version", collection_version())
        task_vars = task_vars or {}
        if args.get("state") in LONG_STATES and not self._task.check_mode:
            try:
                answer = self._run({**args, **self._credentials(args, auth_variable, task_vars)}, task_vars)
            except FleetError as error:
                answer = {"failed": True, "changed": False, "msg": error.message}
            # It would hold every option; the credentials among them are masked, but nobody needs any of it.
            answer.pop("invocation", None)
        else:
            answer = self._execute_module(module_name=MODULE, module_args=args, task_vars=task_vars)
        result.update(answer)
        if not result.get("failed") and not self._task.check_mode and args.get("state") == "current":
            result["ansible_stats"] = stats_of(args, result)
        return result

    def _credentials(self, args: dict[str, Any], variable: Any, task_vars: dict[str, Any]) -> dict[str, Any]:
        """`auth` for the node: no more than the lock's own URLs need, only where it fetches, and never for a depot."""
        if args.get("state") != "fetched" or args.get("depot_url"):
            return {}
        hosts = hosts_of(self._templar, task_vars, variable)
        wanted = needed([str(package["url"]) for package in args.get("packages") or []], hosts)
        return {"auth": {host: packed(auth) for host, auth in wanted.items()}} if wanted else {}

    def _run(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Run a long state as a job that is followed, and return the module's result."""
        limit = int(args.get("timeout") or DEFAULT_TIMEOUT)
        shown = Shown("%s: %s" % (task_vars.get("inventory_hostname", "?"), args["name"]))
        name = "%s-%s" % (args["name"], args["state"])
        outcome = self.follow(MODULE, args, task_vars, name=name, limit=limit, show=shown.show)
        if outcome.answer is not None:
            return outcome.answer
        return {
            "failed": True,
            "changed": True,
            "msg": "environments_timeout: state %s of environment %s was not reached within %d seconds; "
            "%s Nothing was switched. "
            "Next: look at the node's load and network, or raise environments_timeout; "
            "what was fetched is kept." % (args["state"], args["name"], limit, unfinished(outcome)),
        }


def read_lock(lock: dict[str, Any], variables: dict[str, Any], planned: str = "") -> dict[str, Any]:
    """{packages, digest, variables} of a pair of lock files, which must still be what was `planned` with."""
    try:
        found = read_pair(lock, variables, planned)
    except FleetError as error:
        raise AnsibleActionFail(error.message) from error
    return {
        "packages": [package.to_dict() for package in found.packages],
        "digest": digest(found),
        "variables": dict(found.variables),
    }


def stats_of(args: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    entry = {"generation": result.get("generation"), "digest": result.get("digest"), "target": result.get("target")}
    return {"data": {"condafleet": {"environments": {args["name"]: entry}}}, "per_host": True, "aggregate": True}
