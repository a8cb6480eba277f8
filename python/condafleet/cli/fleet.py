"""The verbs that work on a fleet: each is one function of condafleet, with a progress view and a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from condafleet import api
from condafleet.cli import options as opt
from condafleet.cli.exit_codes import exit_code
from condafleet.cli.output import Output
from condafleet.cli.progress import Progress
from condafleet.results import FleetResult

Function = Callable[..., FleetResult]

# Verb → (function, whether --check makes sense).
VERBS: dict[str, tuple[Function, bool]] = {
    "provision": (api.provision, True),
    "plan": (api.plan, False),
    "install": (api.install_miniconda, True),
    "shell": (api.init_shell, True),
    "environments": (api.create_environments, True),
    "validate": (api.validate, True),
    "status": (api.status, False),
    "lock": (api.lock, True),
    "uninstall": (api.uninstall, True),
}


def register(app: typer.Typer) -> None:
    """Add the verbs to an app."""
    own: dict[str, Callable[..., None]] = {"lock": _lock, "uninstall": _uninstall}
    for verb, (function, checkable) in VERBS.items():
        summary = (function.__doc__ or "").strip().splitlines()[0]
        command = own.get(verb) or (_verb(verb) if checkable else _looking_verb(verb))
        app.command(verb, help=summary)(command)


def _verb(verb: str) -> Callable[..., None]:
    def command(
        inventory: opt.InventoryOption,
        limit: opt.LimitOption = None,
        extra_vars: opt.ExtraOption = None,
        json_file: opt.JsonOption = None,
        check: opt.CheckOption = False,
        diff: opt.DiffOption = False,
        forks: opt.ForksOption = None,
        timeout: opt.TimeoutOption = None,
        verbose: opt.VerboseOption = 0,
        ask_become: opt.BecomeOption = False,
        ask_connection: opt.ConnectionOption = False,
        ask_vault: opt.VaultOption = False,
    ) -> None:
        given = _options(limit, extra_vars, forks, timeout, verbose, ask_become, ask_connection, ask_vault)
        given.update(check=check, diff=diff)
        _run(verb, inventory, given, json_file)

    return command


def _looking_verb(verb: str) -> Callable[..., None]:
    def command(
        inventory: opt.InventoryOption,
        limit: opt.LimitOption = None,
        extra_vars: opt.ExtraOption = None,
        json_file: opt.JsonOption = None,
        forks: opt.ForksOption = None,
        timeout: opt.TimeoutOption = None,
        verbose: opt.VerboseOption = 0,
        ask_become: opt.BecomeOption = False,
        ask_connection: opt.ConnectionOption = False,
        ask_vault: opt.VaultOption = False,
    ) -> None:
        given = _options(limit, extra_vars, forks, timeout, verbose, ask_become, ask_connection, ask_vault)
        _run(verb, inventory, given, json_file)

    return command


def _uninstall(
    inventory: opt.InventoryOption,
    limit: opt.LimitOption = None,
    extra_vars: opt.ExtraOption = None,
    json_file: opt.JsonOption = None,
    purge: Annotated[
        bool, typer.Option("--purge", help="Also remove the environments that users made inside the installation.")
    ] = False,
    check: opt.CheckOption = False,
    diff: opt.DiffOption = False,
    forks: opt.ForksOption = None,
    timeout: opt.TimeoutOption = None,
    verbose: opt.VerboseOption = 0,
    ask_become: opt.BecomeOption = False,
    ask_connection: opt.ConnectionOption = False,
    ask_vault: opt.VaultOption = False,
) -> None:
    given = _options(limit, extra_vars, forks, timeout, verbose, ask_become, ask_connection, ask_vault)
    given.update(check=check, diff=diff, purge=purge)
    _run("uninstall", inventory, given, json_file)


def _lock(
    inventory: opt.InventoryOption,
    limit: opt.LimitOption = None,
    extra_vars: opt.ExtraOption = None,
    json_file: opt.JsonOption = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit status 3 if a lock is stale.")] = False,
    update: Annotated[
        list[str] | None, typer.Option("--update", metavar="ENVIRONMENT", help="Solve again. Can be repeated.")
    ] = None,
    timeout: opt.TimeoutOption = None,
    verbose: opt.VerboseOption = 0,
    ask_vault: opt.VaultOption = False,
) -> None:
    given = _options(limit, extra_vars, None, timeout, verbose, False, False, ask_vault)
    given.update(check=check, update=tuple(update or ()))
    _run("lock", inventory, given, json_file)


def _options(
    limit: str | None,
    extra_vars: list[str] | None,
    forks: int | None,
    timeout: float | None,
    verbose: int,
    ask_become: bool,
    ask_connection: bool,
    ask_vault: bool,
) -> dict[str, object]:
    variables, files = opt.read_extra_vars(extra_vars or [])
    given: dict[str, object] = {"extra_vars": variables, "extra_vars_files": files, "verbosity": min(verbose, 4)}
    given.update({key: value for key, value in (("limit", limit), ("forks", forks), ("timeout", timeout)) if value})
    for asked, name, what in (
        (ask_connection, "connection_password", "Password of the connection"),
        (ask_become, "become_password", "Password of sudo"),
        (ask_vault, "vault_password", "Password of the vault"),
    ):
        if asked:
            given[name] = typer.prompt(what, hide_input=True, err=True)
    return given


def _run(verb: str, inventory: str, given: dict[str, object], json_file: str | None) -> None:
    output = Output(json_file)
    output.prepare()  # a report that can't be written is said before anything is done
    function, _ = VERBS[verb]
    show_diff = bool(given.get("diff")) or verb == "plan"
    with Progress(output.errors, verbosity=int(str(given["verbosity"])), diff=show_diff) as progress:
        result = function(inventory=opt.read_inventory(inventory), on_event=progress.event, **given)
    check = verb == "plan" or bool(given.get("check"))
    output.result(result, verb, check=check)
    raise typer.Exit(exit_code(result, verb, check=check))
