"""The verb `report`: a saved report as tables, or in the form that another program reads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from condafleet.cli.output import Output, prepare_file, write_whole
from condafleet.errors import InputError
from condafleet.junit import junit
from condafleet.prometheus import prometheus
from condafleet.report import load_report

TABLE = "table"
# What a report can be written as, beside tables for people.
FORMS: dict[str, Callable[[Mapping[str, Any]], str]] = {"junit": junit, "prometheus": prometheus}
ACCEPTED = ", ".join((TABLE, *FORMS))


def register(app: typer.Typer) -> None:
    """Add the verb to an app."""

    @app.command("report", help="Show a saved report, or write it in a form that another program reads.")
    def show(
        file: Annotated[str, typer.Argument(metavar="FILE", help="A report.json.")],
        form: Annotated[str, typer.Option("--format", metavar="FORM", help=f"{ACCEPTED}.")] = TABLE,
        output: Annotated[
            str | None, typer.Option("--output", metavar="FILE", help="Write it there, at once; else to stdout.")
        ] = None,
    ) -> None:
        if form not in (TABLE, *FORMS):
            raise InputError(f"--format: {form} is not accepted. Accepted: {ACCEPTED}. Next: choose one.")
        if form == TABLE and output is not None:
            raise InputError(
                f"--output: tables go to the terminal. Accepted: --output with --format {' or '.join(FORMS)}. "
                "Next: choose a form, or leave out --output."
            )
        if output is not None:
            prepare_file("--output", output, "a file")
        report = load_report(file)
        if form == TABLE:
            Output().report(report)
        elif output is None:
            sys.stdout.write(FORMS[form](report))
        else:
            write_whole(Path(output), FORMS[form](report))
