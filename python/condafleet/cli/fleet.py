"""The verbs that work on a fleet: each is one function of condafleet, with a progress view and a table."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from condafleet import api
from condafleet.cli import options as opt
from condafleet.cli.exit_codes import exit_code
from condafleet.cli.output import Output
from condafleet.cli.progress import Progress
from condafleet.results import FleetResult

Function = Callable[..., FleetResult]


def _option(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


INVENTORY = _option("inventory", opt.InventoryOption)
FIRST = (
    INVENTORY,
    _option("limit", opt.LimitOption, None),
    _option("extra_vars", opt.ExtraOption, None),
    _option("json_file", opt.JsonOption, None),
)
CHECK = _option("check", opt.CheckOption, False)
DIFF = _option("diff", opt.DiffOption, False)
LAST = (
    _option("timeout", opt.TimeoutOption, None),
    _option("verbose", opt.VerboseOption, 0),
    _option("ask_vault", opt.VaultOption, False),
)
# What reaching the nodes needs: not for a verb that stays on the controller.
NODES = (
    _option("forks", opt.ForksOption, None),
    _option("ask_become", opt.BecomeOption, False),
    _option("ask_connection", opt.ConnectionOption, False),
)


@dataclass(frozen=True)
class Verb:
    """A function, and the options that it takes beside those of all: what it is called with, by the same names.

    Only files for what came of it, as `junit_file`, are the command line's own.
    """

    function: Function
    own: tuple[inspect.Parameter, ...] = ()
    checks: bool = True  # takes --check and --diff
    nodes: bool = True

    def parameters(self) -> list[inspect.Parameter]:
        """Return the options in the order in which `--help` shows them."""
        checks = [one for one in (CHECK, DIFF) if self.checks and one.name not in {own.name for own in self.own}]
        return [*FIRST, *self.own, *checks, *(NODES if self.nodes else ()), *LAST]


PURGE = _option(
    "purge",
    Annotated[
        bool, typer.Option("--purge", help="Also remove the environments that users made inside the installation.")
    ],
    False,
)
FULL = _option(
    "full",
    Annotated[
        bool,
        typer.Option("--full", help="Also compare every file of the environments by its sha256."),
    ],
    False,
)
LEVEL = _option(
    "level",
    Annotated[
        str | None,
        typer.Option(
            "--level",
            metavar="LEVEL",
            help="smoke (seconds), standard (minutes) or full (all GPUs together, node to node).",
        ),
    ],
    None,
)
RERUN = _option(
    "rerun",
    Annotated[bool | None, typer.Option("--rerun", help="Also where a stored verdict still holds.")],
    None,
)
RERUN_PREVIOUS = _option(
    "rerun_previous",
    Annotated[
        bool | None,
        typer.Option(
            "--rerun-previous",
            help="Train in each environment's former generation too: does what is bad follow the software or the node?",
        ),
    ],
    None,
)
JUNIT = _option("junit_file", opt.JunitOption, None)
LOCK_ENVIRONMENTS = _option(
    "environments",
    Annotated[list[str] | None, typer.Argument(metavar="ENVIRONMENT", help="Only these environments.")],
    None,
)
LOCK_TARGETS = _option(
    "targets",
    Annotated[list[str] | None, typer.Option("--target", metavar="TARGET", help="Only these. Can be repeated.")],
    None,
)
UPGRADE = _option(
    "upgrade",
    Annotated[
        list[str] | None,
        typer.Option(
            "--upgrade", metavar="PACKAGE", help="Move this package, and only what it forces. Can be repeated."
        ),
    ],
    None,
)
LOCK_DIFF = _option(
    "diff",
    Annotated[bool, typer.Option("--diff", help="Say which versions change; with --check, solve to know it.")],
    False,
)
STALE_CHECK = _option(
    "check", Annotated[bool, typer.Option("--check", help="Write nothing; exit status 3 if a lock is stale.")], False
)
UPDATE = _option(
    "update",
    Annotated[
        list[str] | None, typer.Option("--update", metavar="ENVIRONMENT", help="Solve it anew. Can be repeated.")
    ],
    None,
)

AUDITED = _option(
    "environments",
    Annotated[
        list[str] | None, typer.Argument(metavar="ENVIRONMENT", help="Only these; base is the installation's own.")
    ],
    None,
)

ROLLED_BACK = _option(
    "environments",
    Annotated[
        list[str] | None,
        typer.Argument(metavar="ENVIRONMENT", help="Only these; without, what the newest run brought."),
    ],
    None,
)
TO = _option(
    "to",
    Annotated[
        str | None,
        typer.Option(
            "--to", metavar="GENERATION", help="This one, or without its last number any of that lock; or adopted."
        ),
    ],
    None,
)

VERBS: dict[str, Verb] = {
    "provision": Verb(api.provision, own=(JUNIT,)),
    "plan": Verb(api.plan, checks=False),
    "install": Verb(api.install_miniconda),
    "shell": Verb(api.init_shell),
    "environments": Verb(api.create_environments),
    "stage": Verb(api.stage),
    "switch": Verb(api.switch),
    "rollback": Verb(api.rollback, own=(ROLLED_BACK, TO)),
    "validate": Verb(api.validate, own=(LEVEL, RERUN, RERUN_PREVIOUS, JUNIT)),
    "status": Verb(api.status, own=(FULL,), checks=False),
    "lock": Verb(
        api.lock,
        own=(LOCK_ENVIRONMENTS, LOCK_TARGETS, UPGRADE, UPDATE, STALE_CHECK, LOCK_DIFF),
        checks=False,
        nodes=False,
    ),
    "audit": Verb(api.audit, own=(AUDITED,), checks=False),
    "uninstall": Verb(api.uninstall, own=(PURGE,)),
}


def register(app: typer.Typer) -> None:
    """Add the verbs to an app."""
    for name, verb in VERBS.items():
        summary = (verb.function.__doc__ or "").strip().splitlines()[0]
        app.command(name, help=summary)(_command(name, verb))


def _command(name: str, verb: Verb) -> Callable[..., None]:
    """Return a command with the verb's options: typer reads them from the signature."""

    def command(**given: Any) -> None:
        _run(name, given)

    command.__signature__ = inspect.Signature(verb.parameters())  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in verb.parameters()}
    return command


def _run(name: str, given: dict[str, Any]) -> None:
    output = Output(given.pop("json_file"), given.pop("junit_file", None))
    output.prepare()  # a report that can't be written is said before anything is done
    inventory = opt.read_inventory(given.pop("inventory"))
    options = run_options(given)
    show_diff = bool(options.get("diff")) or name == "plan"
    # A lock's difference is said in words at the end; Ansible's would be both lists of packages.
    with Progress(output.errors, verbosity=options["verbosity"], diff=show_diff and name != "lock") as progress:
        result = VERBS[name].function(inventory=inventory, on_event=progress.event, **options)
    check = name == "plan" or bool(options.get("check"))
    output.result(result, name, check=check, diff=show_diff)
    raise typer.Exit(exit_code(result, name, check=check))


def run_options(given: dict[str, Any]) -> dict[str, Any]:
    """Return what the command line gave as the functions take it; asks for the passwords that are to be asked for."""
    options = dict(given)
    variables, files = opt.read_extra_vars(options.pop("extra_vars") or [])
    options.update(extra_vars=variables, extra_vars_files=files, verbosity=min(options.pop("verbose"), 4))
    for asked, name, what in (
        ("ask_connection", "connection_password", "Password of the connection"),
        ("ask_become", "become_password", "Password of sudo"),
        ("ask_vault", "vault_password", "Password of the vault"),
    ):
        if options.pop(asked, False):
            options[name] = typer.prompt(what, hide_input=True, err=True)
    # What was not given is the function's own to say.
    return {name: value for name, value in options.items() if value is not None}
