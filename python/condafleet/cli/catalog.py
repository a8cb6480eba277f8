"""The verbs `catalog add | list`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from condafleet import catalog
from condafleet.cli import options as opt
from condafleet.cli import tables
from condafleet.cli.output import Output
from condafleet.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the group to an app."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.command("add", help="Add installers to a catalog of your own (miniconda_catalog).")(add)
    group.command("list", help="Say which installers are known.")(show)
    app.add_typer(group, name="catalog", help="Know installers: list them, add others.")


def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The catalog, made where it is missing.")],
    places: Annotated[list[str], typer.Argument(metavar="URL|PATH...", help="Installers that constructor made.")],
    sha256: Annotated[str | None, typer.Option("--sha256", help="What the installer must have.")] = None,
    json_file: opt.JsonOption = None,
) -> None:
    """Add installers, and say of each where its sha256 came from."""
    output = Output(json_file)
    output.prepare()
    added = catalog.add(file, places, sha256=sha256, say=output.errors.print)
    for one in added:
        entry = one.entry
        what = f"{entry['distribution']} {entry['version']} for {entry['arch']}"
        output.show(f"{'added' if one.new else 'known'}  {what}\n  sha256 {entry['sha256']}, {one.trust}")
    output.show(f"miniconda_catalog: {file.absolute()}")
    output.data({"file": str(file.absolute()), "installers": [asdict(one) for one in added]})


def show(
    distribution: Annotated[str | None, typer.Option("--distribution", help="Only this one.")] = None,
    own: Annotated[Path | None, typer.Option("--catalog", metavar="FILE", help="A catalog of your own, too.")] = None,
    json_file: opt.JsonOption = None,
) -> None:
    """List distributions with their versions, newest first."""
    output = Output(json_file)
    output.prepare()
    found = catalog.read(own)
    names = catalog.distributions(found)
    if distribution is not None and distribution not in names:
        raise InputError(
            f"--distribution: {distribution} is not known. Accepted: {', '.join(names)}. Next: choose one, or add it: "
            "condafleet catalog add FILE URL"
        )
    listed = catalog.versions(found, [distribution] if distribution else names)
    rows = [(one.distribution, one.version, ", ".join(one.architectures)) for one in listed]
    output.show(tables.listing(("distribution", "version", "architectures"), rows))
    output.data([asdict(one) for one in listed])
