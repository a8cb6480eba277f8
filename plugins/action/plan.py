# SPDX-License-Identifier: Apache-2.0
"""Observe a node with one conda_facts call, and say what is to be done. Documented in plugins/modules/plan.py."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.plan import BLOCKED, CONVERGED, lines, plan
from ansible_collections.condafleet.core.plugins.plugin_utils.lock_files import with_contents

# What an interpreter that is missing, or too old for Ansible, makes a module call say.
MISSING = ("not found", "No such file or directory", "Failed to find a Python interpreter", "no interpreter")
TOO_OLD = ("minimum of Python version", "SyntaxError", "requires a minimum", "from __future__ import annotations")


# Whole files, which no report needs.
TEXTS = ("condarc", "condarc_site")

VERIFY_TIMEOUT = 3600


class ActionModule(ActionBase):
    """One node call, then a pure function; never changes anything."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = self.validate_argument_spec(
            {
                "prefix": {"type": "str", "required": True},
                "root": {"type": "str", "required": True},
                "system_root": {"type": "str", "default": "/"},
                "files": {"type": "bool", "default": False},
                "dependants": {"type": "int", "default": 0},
                "installation": {"type": "dict"},
                "shells": {"type": "dict"},
                "environments": {"type": "dict"},
                "validation": {"type": "dict"},
                "fingerprints": {"type": "str", "default": "current"},
                "stop": {"type": "bool", "default": True},
            }
        )[1]
        facts = self._observe(args, task_vars or {})
        if facts.get("unreachable") or facts.get("failed"):
            return {**result, **facts}
        parts = ("installation", "shells", "environments", "validation")
        desired = {key: args[key] for key in parts if args[key]}
        if "environments" in desired:
            locks = with_contents(desired["environments"]["locks"])
            desired["environments"] = {**desired["environments"], "locks": locks}
        try:
            outcome = plan(facts["conda"], desired)
        except FleetError as error:
            return {"failed": True, "changed": False, "msg": error.message}
        before, after = lines(outcome)
        result.update(
            observed=summary_of(facts["conda"]),
            plan=outcome,
            # Outside check mode the plan itself changes nothing: the roles that carry it out say what they changed.
            changed=bool(self._task.check_mode and outcome["state"] not in (CONVERGED, BLOCKED)),
            diff=[{"before": "\n".join(before) + "\n", "after": "\n".join(after) + "\n"}] if before or after else [],
        )
        warnings = [text for entry in outcome["environments"].values() for text in entry["warnings"]]
        if warnings:
            host = (task_vars or {}).get("inventory_hostname")
            result["warnings"] = [*result.get("warnings", []), *("%s: %s" % (host, text) for text in warnings)]
        if outcome["blocked"] and args["stop"]:
            # Ansible prints all that a failed task returns: here that is what the reader needs, and no more.
            blocked = outcome["blocked"]
            return {"failed": True, "changed": False, "msg": " ".join(blocked), "blocked": blocked}
        return result

    def _observe(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        shells = args["shells"] or {}
        environments = (args["environments"] or {}).get("declared") or []
        purge = (args["environments"] or {}).get("purge")
        facts: dict[str, Any] = self._execute_module(
            module_name="condafleet.core.conda_facts",
            module_args={
                "prefix": args["prefix"],
                "root": args["root"],
                "system_root": args["system_root"],
                # A repair needs to know what is damaged, and so does who asks how the node stands.
                "files": args["files"] or bool((args["installation"] or {}).get("repair")),
                "dependants": args["dependants"],
                "users": shells.get("users") or [],
                "group": shells.get("group"),
                # What is declared no more is to be found too, where it is to be removed.
                "environments": None if purge else [entry["name"] for entry in environments],
                "modulepath": (args["environments"] or {}).get("modulepath"),
                "fingerprints": args["fingerprints"],
                "verify": (args["environments"] or {}).get("verify") or "quick",
                "verify_timeout": (args["environments"] or {}).get("verify_timeout") or VERIFY_TIMEOUT,
                "adopt": (args["environments"] or {}).get("adopt") or [],
            },
            task_vars=task_vars,
        )
        explained = explain_python(facts, str(task_vars.get("inventory_hostname"))) if facts.get("failed") else None
        # Where there is no `msg`, Ansible makes one of what the module raised.
        return {**facts, "msg": explained} if explained else facts


def summary_of(conda: dict[str, Any]) -> dict[str, Any]:
    """Return the part of an observation that a report keeps: without texts of files and package lists.

    Only the plan reads the rest, and it grows with every generation and package that a node keeps.
    """
    generations = [
        {key: value for key, value in entry.items() if key != "receipt"}
        | {"digest": (entry.get("receipt") or {}).get("digest"), "target": (entry.get("receipt") or {}).get("target")}
        for entry in conda["generations"]
    ]
    installation = {key: value for key, value in conda["installation"].items() if key not in TEXTS}
    return {
        "node": conda["node"],
        "installation": installation,
        "environments": conda["environments"],
        "generations": generations,
        "validations": conda["validations"],
        "checked": conda["checked"],
        "dependants": conda["dependants"],
        "users_environments": conda["users_environments"],
    }


def explain_python(facts: dict[str, Any], host: str) -> str | None:
    """Return one clear sentence if a module call failed because of the node's Python, else None."""
    said = " ".join(str(facts.get(key) or "") for key in ("msg", "module_stderr", "module_stdout", "exception"))
    if not said.strip() or not ("python" in said.lower() or "interpreter" in said.lower()):
        return None
    if any(text in said for text in TOO_OLD):
        found = "the Python of %s is too old for Ansible modules" % host
    elif "Traceback (most recent call last)" not in said and any(text in said for text in MISSING):
        # A traceback comes from a Python that runs: whatever it misses is something else.
        found = "%s has no Python at the place where it was looked for" % host
    else:
        return None
    return (
        "ansible_python_interpreter: %s. Accepted: Python 3.8 or newer (ansible-core 2.20 and newer: 3.9). "
        "Next: install python3 on the node, or set ansible_python_interpreter to a newer one. Nothing was changed. "
        "The node said: %s" % (found, " ".join(said.split())[:300])
    )
