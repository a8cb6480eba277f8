"""One run: what was asked becomes a call of Ansible, and what happened one result."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

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
