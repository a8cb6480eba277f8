"""condafleet's functions: one for each thing that can be done to a fleet. They never print and never exit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Unpack

from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import LEVELS
from condafleet.calls import RunOptions, build_call, run_call
from condafleet.errors import InputError
from condafleet.inventory import Inventory
from condafleet.results import FleetResult


def provision(*, inventory: Inventory, **options: Unpack[RunOptions]) -> FleetResult:
    """Bring every node to what was declared, prove that it can train, and say what came of it.

    `inventory` is a path, a mapping in Ansible's YAML form, or a list of host names.
    Raises InputError or LockError for what is not acceptable (nothing was changed then), RunError if the run could
    not come to its end, RunInterruptedError on Ctrl-C. Failed and unreachable nodes are in the result: see its
    `raise_for_status`.
    """
    return _run("site", inventory, options)


def plan(*, inventory: Inventory, **options: Unpack[RunOptions]) -> FleetResult:
    """Say what `provision` would change, package by package, and change nothing."""
    return _run("site", inventory, {**options, "check": True, "diff": True})


def install_miniconda(*, inventory: Inventory, **options: Unpack[RunOptions]) -> FleetResult:
    """Put the declared conda installation on every node."""
    return _run("install", inventory, options)


def init_shell(*, inventory: Inventory, **options: Unpack[RunOptions]) -> FleetResult:
    """Make `conda activate` work in the declared shells, or take that back (`shell_init_state: absent`)."""
    return _run("shell", inventory, options)


def create_environments(*, inventory: Inventory, **options: Unpack[RunOptions]) -> FleetResult:
    """Lock, build and switch the declared environments: staged everywhere first, then switched together."""
    return _run("environments", inventory, options)


def stage(*, inventory: Inventory, **options: Unpack[RunOptions]) -> FleetResult:
    """Fetch, build and test the declared environments on every node; nobody switches to them yet."""
    return _run("stage", inventory, options)


def switch(*, inventory: Inventory, **options: Unpack[RunOptions]) -> FleetResult:
    """Switch every node to what was staged, now or days ago; nobody switches where one is not staged.

    Nothing is locked, fetched or built. Former generations that are in no use go then, beyond those that are kept.
    """
    return _run("switch", inventory, options)


def rollback(
    *, inventory: Inventory, environments: Sequence[str] = (), to: str | None = None, **options: Unpack[RunOptions]
) -> FleetResult:
    """Undo the newest switch on every node, or go to any generation that is kept; all nodes do, or none.

    `environments` are names; without them, and without `to`, it is what the newest run brought to the fleet. `to` is a
    generation (`pytorch-0123456789ab-1`), or any of its lock (`pytorch-0123456789ab`), or `adopted`: what was made by
    hand, and adopted, stands there again. Needs no locks and no depot.
    The declaration stays what it is: the next `provision` switches forward again, unless the lock is changed back.
    """
    if isinstance(environments, str):
        raise InputError(f"environments: {environments!r} is not accepted. Accepted: a list of names.")
    asked = {"condafleet_rollback_environments": list(environments), "condafleet_rollback_to": to}
    given = {name: value for name, value in asked.items() if value}
    return _run("rollback", inventory, _with(options, given))


def validate(
    *,
    inventory: Inventory,
    level: str | None = None,
    rerun: bool | None = None,
    rerun_previous: bool | None = None,
    **options: Unpack[RunOptions],
) -> FleetResult:
    """Look at every node, and train in every environment: may it take jobs?

    What was found is in each host's `checks`, figures of the training itself in its `validation`; a bad verdict is a
    failed host of the result. `level` is smoke (seconds), standard (minutes) or full (all GPUs together, and node to
    node). `rerun` validates also where a stored verdict still holds. `rerun_previous` trains in each
    environment's former generation too, to tell software from hardware. What is not given is the inventory's to say
    (`validation_level`, …).
    """
    if level is not None and level not in LEVELS:
        raise InputError(
            f"level: {level!r} is not accepted. Accepted: {', '.join(LEVELS)}. Next: choose one. Nothing was changed."
        )
    asked = {"validation_level": level, "validation_rerun": rerun, "validation_rerun_previous": rerun_previous}
    given = {name: value for name, value in asked.items() if value is not None}
    return _run("validate", inventory, _with(options, given))


def history(
    *, inventory: Inventory, runs: Sequence[str] = ("previous", "last"), **options: Unpack[RunOptions]
) -> FleetResult:
    """Read what earlier validations of each node found, from the node; change nothing.

    `runs` are `last`, `previous` or names of runs. Each host's `data["history"]` is {runs: [all that are kept, the
    newest first], records: {WORD: that run, or None where it is not kept}}. With two of them, see
    `compare_history`.
    """
    if isinstance(runs, str):
        raise InputError(f"runs: {runs!r} is not accepted. Accepted: a list of last, previous, and names of runs.")
    given = {"condafleet_history_runs": list(runs)}
    return _run("history", inventory, _with(options, given))


def status(*, inventory: Inventory, full: bool = False, **options: Unpack[RunOptions]) -> FleetResult:
    """Observe every node, change nothing; each host's `state` is ok, behind, unfinished, drifted, replaced or broken.

    A host's `bad_verdict` is FAIL or ERROR, where its last validation came to that.
    `full=True` compares every file of the environments with its sha256 too, whatever `environments_verify` says. The
    report's `fleet.groups` tells which nodes have the same, and how the others differ.
    """
    if full:
        options = _with(options, {"environments_verify": "full"})
    result = _run("status", inventory, options)
    # A lock that is missing makes a task "changed", since it would be made; but this run makes none.
    hosts = {
        name: replace(host, status="ok") if host.status == "changed" else host for name, host in result.hosts.items()
    }
    return replace(result, hosts=MappingProxyType(hosts))


def uninstall(*, inventory: Inventory, purge: bool = False, **options: Unpack[RunOptions]) -> FleetResult:
    """Remove exactly what condafleet put on every node: environments, shell blocks, the installation.

    What users made stays; `purge=True` also removes the environments that they made inside the installation. A node
    where a process still uses any of it fails, and is left as it is.
    """
    if purge:
        options = _with(options, {"miniconda_purge": True})
    return _run("uninstall", inventory, options)


def audit(*, inventory: Inventory, environments: Sequence[str] = (), **options: Unpack[RunOptions]) -> FleetResult:
    """List channel and licence of every installed package on every node; change nothing, start no conda.

    Of the installation (`base`) and of each environment of condafleet, or of `environments` alone. The result's
    `audit()` has each list of packages once, with who has it, what is from Anaconda's channels (and whether their terms
    were accepted, in the declaration or in the installation's record), and what states no licence. Raises InputError
    where every node answered, and one of `environments` is on none of them, or nothing was found at all.
    """
    if environments:
        options = _with(options, {"condafleet_audit_environments": list(environments)})
    return _audited(_run("audit", inventory, options), environments)


def _audited(result: FleetResult, environments: Sequence[str]) -> FleetResult:
    """Return the result; where every node answered, refuse names that none knows, and an audit that found nothing."""
    found = result.audit()
    there = {name for one in found["lists"].values() for name in one["environments"]}
    unknown = sorted(set(environments) - there)
    if result.ok and unknown:
        raise InputError(
            f"environments: {', '.join(unknown)} is not accepted, it is on no node. Accepted: base, and environments "
            "of condafleet that are current on these nodes. Next: audit without names to see them. Nothing was changed."
        )
    if result.ok and not there:
        raise InputError(
            "environments_prefix, environments_root: no installation and no environment of condafleet was found there, "
            f"on any of {len(result.hosts)} nodes, so nothing was audited. Accepted: what these nodes were provisioned "
            "with. Next: look at both variables, or provision first. Nothing was changed."
        )
    return result


def lock(
    *,
    inventory: Inventory,
    environments: Sequence[str] = (),
    targets: Sequence[str] = (),
    upgrade: Sequence[str] = (),
    update: Sequence[str] = (),
    **options: Unpack[RunOptions],
) -> FleetResult:
    """Solve what is not locked yet, on the controller, for any target; touch no node.

    `environments` and `targets` leave all others out. `upgrade` names packages, of conda or wheels: each lock that
    holds one is solved again with everything else held, so that only these change, and what they force. `update`
    names environments to solve anew altogether.

    With `check=True` nothing is written, and a host is `changed` if a lock is missing or stale; with `diff=True` too,
    those are solved nevertheless, to say what would change. The result's `locks` is {ENVIRONMENT: {TARGET: {digest,
    state, why: [sentence], changes: [line] or None, …}}}. Raises InputError or LockError; nothing was written then.
    """
    asked = {
        "condafleet_lock_environments": environments,
        "condafleet_lock_targets": targets,
        "environments_upgrade": upgrade,
        "environments_update": update,
    }
    for name, value in asked.items():
        if isinstance(value, str):
            raise InputError(f"{name.split('_')[-1]}: {value!r} is not accepted. Accepted: a list of names.")
    given = {name: list(value) for name, value in asked.items() if value}
    return _run("lock", inventory, _with(options, given))


def _run(playbook: str, inventory: Inventory, options: RunOptions) -> FleetResult:
    call = build_call(f"condafleet.core.{playbook}", inventory, options)
    return run_call(call, options.get("on_event"))


def _with(options: RunOptions, given: Mapping[str, Any]) -> RunOptions:
    """Return the options with these variables, which win over the caller's own."""
    return {**options, "extra_vars": {**options.get("extra_vars", {}), **given}}
