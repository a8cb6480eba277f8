"""condafleet's functions: one for each thing that can be done to a fleet. They never print and never exit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypedDict, Unpack

from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import LEVELS
from condafleet import runner
from condafleet.errors import InputError, RunError
from condafleet.events import Fold
from condafleet.inventory import Inventory, inventory_source
from condafleet.results import FleetResult

OnEvent = Callable[[Mapping[str, Any]], None]
CONSEQUENCES = ("No inventory was parsed", "provided hosts list is empty")  # and no reasons: warnings to leave out
REFUSED = (4, 5)  # ansible-playbook's exit statuses for files that it can't read, and for wrong options
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class RunOptions(TypedDict, total=False):
    """What every function takes beside its inventory; all by keyword, all optional."""

    limit: str  # Ansible's host pattern: only these hosts
    extra_vars: Mapping[str, Any]  # variables that win over those of the inventory
    extra_vars_files: Sequence[str | Path]  # the same from YAML or JSON files (vault-encrypted too); extra_vars win
    check: bool  # change nothing, say what would be changed
    diff: bool  # have Ansible make the differences too (they are in the events)
    forks: int  # hosts at a time
    verbosity: int  # 0 to 4, as Ansible's -v
    timeout: float  # seconds for the whole run
    on_event: OnEvent  # called for every event of ansible-runner, as it happens
    vault_password: str
    become_password: str
    connection_password: str


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
    return _run("rollback", inventory, {**options, "extra_vars": {**options.get("extra_vars", {}), **given}})


def validate(
    *,
    inventory: Inventory,
    level: str | None = None,
    rerun: bool | None = None,
    rerun_previous: bool | None = None,
    **options: Unpack[RunOptions],
) -> FleetResult:
    """Look at every node, and train in every environment; findings are in each host's `checks`.

    `level` is smoke (seconds), standard (minutes) or full (all GPUs together, and node to node). `rerun` validates also
    where a stored verdict still holds. `rerun_previous` trains, where a node fails, in its former generation too, to
    tell software from hardware. What is not given is the inventory's to say (`validation_level`, …). Figures of the
    training itself are in each host's `validation`. A bad verdict is a failed host of the result.
    """
    if level is not None and level not in LEVELS:
        raise InputError(
            f"level: {level!r} is not accepted. Accepted: {', '.join(LEVELS)}. Next: choose one. Nothing was changed."
        )
    asked = {"validation_level": level, "validation_rerun": rerun, "validation_rerun_previous": rerun_previous}
    given = {name: value for name, value in asked.items() if value is not None}
    return _run("validate", inventory, {**options, "extra_vars": {**options.get("extra_vars", {}), **given}})


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
    return _run("history", inventory, {**options, "extra_vars": {**options.get("extra_vars", {}), **given}})


def status(*, inventory: Inventory, full: bool = False, **options: Unpack[RunOptions]) -> FleetResult:
    """Observe every node, change nothing; each host's `state` is ok, behind, unfinished, drifted, replaced or broken.

    `full=True` compares every file of the environments with its sha256 too, whatever `environments_verify` says. The
    report's `fleet.groups` tells which nodes have the same, and how the others differ.
    """
    if full:
        options["extra_vars"] = {**options.get("extra_vars", {}), "environments_verify": "full"}
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
        options["extra_vars"] = {**options.get("extra_vars", {}), "miniconda_purge": True}
    return _run("uninstall", inventory, options)


def audit(*, inventory: Inventory, environments: Sequence[str] = (), **options: Unpack[RunOptions]) -> FleetResult:
    """List channel and licence of every installed package on every node; change nothing, start no conda.

    Of the installation (`base`) and of each environment of condafleet, or of `environments` alone. The result's
    `audit()` has each list of packages once, with who has it, what is from Anaconda's channels (and whether their terms
    were accepted, in the declaration or in the installation's record), and what states no licence. Raises InputError
    where every node answered, and one of `environments` is on none of them, or nothing was found at all.
    """
    if environments:
        options["extra_vars"] = {**options.get("extra_vars", {}), "condafleet_audit_environments": list(environments)}
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
    return _run("lock", inventory, {**options, "extra_vars": {**options.get("extra_vars", {}), **given}})


def _run(playbook: str, inventory: Inventory, options: RunOptions) -> FleetResult:
    call = build_call(f"condafleet.core.{playbook}", inventory, options)
    return run_call(call, options.get("on_event"))


def build_call(playbook: str, inventory: Inventory, options: RunOptions) -> runner.Call:
    """Check what was given, and return the call that it makes."""
    unknown = sorted(set(options) - RunOptions.__optional_keys__)
    if unknown:
        raise TypeError(f"unknown option {unknown[0]!r}; accepted: {', '.join(sorted(RunOptions.__optional_keys__))}")
    for name, least in (("forks", 1), ("verbosity", 0), ("timeout", 1)):
        value = options.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < least):
            raise InputError(
                f"{name}: {value!r} is not accepted. Accepted: a number of at least {least}. Nothing was changed."
            )
    return runner.Call(
        playbook=playbook,
        inventory=inventory_source(inventory),
        limit=options.get("limit"),
        extra_vars=_variables(options.get("extra_vars") or {}),
        extra_vars_files=tuple(_file(path) for path in options.get("extra_vars_files") or ()),
        check=bool(options.get("check")),
        diff=bool(options.get("diff")),
        forks=options.get("forks"),
        verbosity=options.get("verbosity") or 0,
        timeout=options.get("timeout"),
        secrets=runner.Secrets(
            vault=options.get("vault_password"),
            become=options.get("become_password"),
            connection=options.get("connection_password"),
        ),
    )


def run_call(call: runner.Call, on_event: OnEvent | None = None) -> FleetResult:
    """Run a call, and fold what happened into a result."""
    fold = Fold()

    def take(event: Mapping[str, Any]) -> None:
        fold.event(event)
        if on_event is not None:
            on_event(event)

    outcome = runner.run(call, take)
    refusal = fold.refusal()
    if outcome.stats is None:
        raise _not_run(call, outcome, fold)
    result = fold.result(outcome.stats)
    if refusal is not None and not result.changed:
        raise refusal
    if not result.hosts or fold.asked:
        raise _no_host(call, fold)
    return result


def _no_host(call: runner.Call, fold: Fold) -> InputError:
    """Return the error for an inventory without hosts, with what Ansible found wrong with it."""
    said = (line.removeprefix("[WARNING]: ") for line in _plain(fold.warnings))
    why = " ".join(line.rstrip(".") + "." for line in said if not line.startswith(CONSEQUENCES)) or "It names none."
    where = call.inventory.argument or "as given"
    return InputError(
        f"inventory: no host was found ({where}{', limit ' + call.limit if call.limit else ''}): {why} "
        "Accepted: an inventory with at least one host. Next: correct it (ansible-inventory -i PATH --graph shows "
        "what Ansible reads), or copy inventories/example and name your nodes there. Nothing was changed."
    )


def _not_run(call: runner.Call, outcome: runner.Outcome, fold: Fold) -> RunError | InputError:
    """Return the error for a run that ended without stats: Ansible refused the call, or broke off."""
    lines = [line for line in _plain(outcome.tail) if line]
    errors = [line for line in lines if line.startswith(("ERROR", "[ERROR]"))] or lines[-3:]
    said = " ".join(dict.fromkeys(errors)).rstrip(".") or "it said nothing"
    if "--limit" in said or "hosts to target" in said:
        return InputError(
            f"limit: {call.limit} leaves no host of the inventory. Accepted: names of its hosts and groups, and "
            "patterns of them. Next: correct it (ansible-inventory -i PATH --graph shows the names). "
            "Nothing was changed."
        )
    if outcome.code in REFUSED and not fold.began:
        return InputError(f"Ansible refused what it was given: {said}. Next: correct that. Nothing was changed.")
    how = "was killed" if outcome.code is None else f"ended with {outcome.code}"
    return RunError(f"ansible-playbook {how} before the end of its run. It said: {said}")


def _plain(lines: Sequence[str]) -> list[str]:
    return [part.strip() for line in lines for part in ANSI.sub("", line).splitlines() if part.strip()]


def _variables(variables: Mapping[str, Any]) -> dict[str, Any]:
    for name in variables:
        if not isinstance(name, str) or not name.isidentifier():
            raise InputError(
                f"extra_vars: {name!r} is not accepted. Accepted: names of Ansible variables. Nothing was changed."
            )
    return dict(variables)


def _file(path: str | Path) -> Path:
    found = Path(path).expanduser().absolute()
    if not found.is_file():
        raise InputError(
            f"extra_vars_files: {path} is not accepted (there is no such file). Accepted: a YAML or JSON file with "
            "variables. Next: correct the path. Nothing was changed."
        )
    return found
