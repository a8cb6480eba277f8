"""The verb `schema`: the published JSON Schemas."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from condafleet.errors import InputError
from condafleet.schemas import NAMES, schema

NameOption = Annotated[str, typer.Argument(metavar="NAME", help=f"{', '.join(NAMES)}.")]


def register(app: typer.Typer) -> None:
    """Add the verb to an app."""
    app.command("schema", help="Print the JSON Schema of a report, of a host's checks, or of a finding.")(show)


def show(name: NameOption = NAMES[0]) -> None:
    """Print one schema that needs no other file."""
    if name not in NAMES:
        raise InputError(f"schema: {name} is not accepted. Accepted: {', '.join(NAMES)}. Next: choose one.")
    typer.echo(json.dumps(schema(name), indent=2, ensure_ascii=False))
