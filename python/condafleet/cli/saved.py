"""The verb `report`: a saved report as tables."""

from __future__ import annotations

from typing import Annotated

import typer

from condafleet.cli.output import Output
from condafleet.report import load_report


def register(app: typer.Typer) -> None:
    """Add the verb to an app."""

    @app.command("report", help="Show a saved report.")
    def show(file: Annotated[str, typer.Argument(metavar="FILE", help="A report.json.")]) -> None:
        Output().report(load_report(file))
