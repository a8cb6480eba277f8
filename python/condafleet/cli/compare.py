"""The verb `compare`: two reports, or two runs of each node's own history."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from condafleet import api, comparison
from condafleet.cli import options as opt
from condafleet.cli.exit_codes import FINE, MOVED, exit_code
from condafleet.cli.fleet import run_options
from condafleet.cli.output import Output
from condafleet.cli.progress import Progress
from condafleet.errors import InputError

HELP = "Say what moved between two validations: of two reports, or with -i of each node's own history."
NewestOption = Annotated[
    str | None,
    typer.Argument(metavar="BEFORE", help="A report; with -i: previous (default), last, or a run's name."),
]
AfterOption = Annotated[
    str | None, typer.Argument(metavar="AFTER", help="A report; with -i: last (default), previous, or a run's name.")
]
NodesOption = Annotated[
    str | None, typer.Option("-i", "--inventory", metavar="PATH", help="Ask these nodes for their own history.")
]
NoiseOption = Annotated[
    float, typer.Option("--noise", min=0, metavar="PERCENT", help="Figures that went less are no move.")
]


def register(app: typer.Typer) -> None:
    """Add the verb to an app."""
    app.command("compare", help=HELP)(compare)


def compare(
    before: NewestOption = None,
    after: AfterOption = None,
    inventory: NodesOption = None,
    limit: opt.LimitOption = None,
    noise: NoiseOption = comparison.NOISE_PERCENT,
    json_file: opt.JsonOption = None,
    extra_vars: opt.ExtraOption = None,
    forks: opt.ForksOption = None,
    ask_become: opt.BecomeOption = False,
    ask_connection: opt.ConnectionOption = False,
    timeout: opt.TimeoutOption = None,
    verbose: opt.VerboseOption = 0,
    ask_vault: opt.VaultOption = False,
) -> None:
    """Compare, show what moved, and end with 3 if anything did."""
    output = Output(json_file)
    output.prepare()
    if inventory is None:
        if before is None or after is None:
            raise InputError(
                "compare: two reports are needed. Accepted: condafleet compare BEFORE AFTER with two files, or "
                "condafleet compare -i INVENTORY for what the nodes keep. Next: name them."
            )
        found = comparison.compare(before=before, after=after, limit=limit, noise_percent=noise)
        code = FINE
    else:
        words = (before or "previous", after or "last")
        _refuse_files(words)
        options = run_options(
            {
                "limit": limit,
                "extra_vars": extra_vars,
                "forks": forks,
                "ask_become": ask_become,
                "ask_connection": ask_connection,
                "timeout": timeout,
                "verbose": verbose,
                "ask_vault": ask_vault,
            }
        )
        nodes = opt.read_inventory(inventory)
        with Progress(output.errors, verbosity=options["verbosity"]) as progress:
            result = api.history(inventory=nodes, runs=words, on_event=progress.event, **options)
        code = exit_code(result, "history")
        if not result.ok:
            output.failures(result)
        if code and not any("history" in host.data for host in result.hosts.values()):
            raise typer.Exit(code)
        try:
            found = comparison.compare_history(result=result, before=words[0], after=words[1], noise_percent=noise)
        except InputError as error:
            if not code:
                raise
            output.show(error.message)  # that some nodes failed says more
            raise typer.Exit(code) from error
    output.comparison(found)
    raise typer.Exit(code or (MOVED if found["moved"] else FINE))


def _refuse_files(words: tuple[str, str]) -> None:
    """Refuse reports where nodes are asked: who gives both means one of them."""
    for word in words:
        if "/" in word or Path(word).is_file():
            raise InputError(
                f"compare: {word} is a file, and -i asks the nodes. Accepted: two reports without -i, or with -i last, "
                "previous and names of runs. Next: leave out one of them."
            )
