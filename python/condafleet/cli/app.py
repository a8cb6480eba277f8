"""The app: its verbs, and how errors leave it."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from condafleet.cli import catalog, compare, depot, fleet, saved, schema
from condafleet.cli.exit_codes import INTERRUPTED, error_code
from condafleet.errors import CondafleetError
from condafleet.version import __version__

app = typer.Typer(
    help="Declare a fleet's deep-learning stack once; every node gets exactly that, and proves it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"condafleet {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Take the options that stand before the verb."""


fleet.register(app)
saved.register(app)
compare.register(app)
schema.register(app)
depot.register(app)
catalog.register(app)


def main() -> None:
    """Run the command line: one line for an error, and a traceback only if CONDAFLEET_DEBUG is set."""
    try:
        app(prog_name="condafleet")
    except CondafleetError as error:
        if os.environ.get("CONDAFLEET_DEBUG"):
            raise
        sys.stderr.write(f"condafleet: {' '.join(error.message.split())}\n")
        sys.exit(error_code(error))
    except KeyboardInterrupt:
        sys.stderr.write("condafleet: Interrupted.\n")
        sys.exit(INTERRUPTED)
