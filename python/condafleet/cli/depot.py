"""The verbs `depot build | verify | serve | list`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from condafleet import depot
from condafleet.cli import options as opt
from condafleet.cli import tables
from condafleet.cli.exit_codes import FINE, NODE_FAILED
from condafleet.cli.output import Output, write_whole
from condafleet.cli.progress import Progress
from condafleet.errors import InputError

Sha256Option = Annotated[str | None, typer.Option("--sha256", help="The sha256 that manifest.json must have.")]
DirectoryArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The depot's folder.")]


def register(app: typer.Typer) -> None:
    """Add the group to an app."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.command("build", help="Make a depot.")(build)
    group.command("verify", help="Read every byte of a depot, and compare it with its manifest.")(verify)
    group.command("serve", help="Serve a depot over HTTP: on this machine only, unless told otherwise.")(serve)
    group.command("list", help="Say what a depot holds.")(show)
    app.add_typer(group, name="depot", help="Make, check, serve and list depots.")


def build(
    embedded: Annotated[
        Path | None,
        typer.Option("--embedded", metavar="DIR", help="From the Python package index and this machine's Python."),
    ] = None,
    cache_dir: Annotated[
        Path | None, typer.Option("--cache-dir", metavar="DIR", help="What is kept between builds.")
    ] = None,
    sha256_file: Annotated[
        Path | None, typer.Option("--sha256-file", metavar="FILE", help="Write the manifest's sha256 there too.")
    ] = None,
    json_file: opt.JsonOption = None,
) -> None:
    """Build a depot, and print the two lines that an inventory needs."""
    if embedded is None:
        raise InputError(
            "depot build: nothing says what to build. Accepted: --embedded DIR. "
            "Next: condafleet depot build --embedded DIR, where DIR is a new or empty folder. Nothing was changed."
        )
    output = Output(json_file)
    output.prepare()
    with Progress(output.errors) as progress:
        made = depot.build_embedded(embedded, cache_dir=cache_dir, progress=progress.tell)
    url = made.path.absolute().as_uri()
    if sha256_file is not None:
        write_whole(sha256_file, made.manifest_sha256 + "\n")
    output.show(f"{made.kind} depot for {made.platform}: {made.files} files, {size(made.bytes)}, in {made.path}")
    output.show(lines(url, made.manifest_sha256))
    output.data(
        {
            "path": str(made.path),
            "depot_url": url,
            "depot_sha256": made.manifest_sha256,
            "kind": made.kind,
            "platform": made.platform,
            "files": made.files,
            "bytes": made.bytes,
        }
    )


def verify(directory: DirectoryArgument, sha256: Sha256Option = None, json_file: opt.JsonOption = None) -> None:
    """Check a depot, byte by byte; exit status 1 if it is not what its manifest says."""
    existing(directory)
    output = Output(json_file)
    output.prepare()
    with Progress(output.errors) as progress:
        found = depot.verify(directory, expected_sha256=sha256, progress=progress.tell)
    for one in found.findings:
        output.show(f"{one.problem}  {one.path}: {one.detail}")
    verdict = "whole" if found.ok else f"NOT whole, {len(found.findings)} findings"
    output.show(f"{found.path}: {verdict}; {found.files} files, {size(found.bytes)}; sha256 {found.manifest_sha256}")
    output.data({"ok": found.ok, **asdict(found)})
    raise typer.Exit(FINE if found.ok else NODE_FAILED)


def serve(
    directory: DirectoryArgument,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: a free one.")] = 0,
) -> None:
    """Serve a depot until Ctrl-C, which is its ordinary end: exit status 0."""
    existing(directory)
    output = Output()

    def ready(url: str) -> None:
        output.show(f"serving {directory}; Ctrl-C ends it")
        output.show(lines(url, depot.open_depot(str(directory)).sha256))
        sys.stdout.flush()

    depot.serve(directory, host=host, port=port, ready=ready)


def show(directory: DirectoryArgument, json_file: opt.JsonOption = None) -> None:
    """List a depot."""
    existing(directory)
    output = Output(json_file)
    output.prepare()
    found = depot.contents(directory)
    about = f"{found.kind} depot for {found.platform}, glibc {found.glibc}, Python {found.python}, {size(found.bytes)}"
    output.show(about)
    output.show(lines(directory.absolute().as_uri(), found.manifest_sha256))
    rows = [("installer", f"{one.distribution} {one.version}", size(one.size)) for one in found.installers]
    for kind, items in (("conda", found.conda_packages), ("wheel", found.wheels), ("data set", found.datasets)):
        rows += [(kind, " ".join(filter(None, (one.name, one.version, one.build))), size(one.size)) for one in items]
    output.show(tables.listing(("kind", "what", "size"), rows))
    output.data({**asdict(found), "installers": [one.model_dump(mode="json") for one in found.installers]})


def existing(directory: Path) -> None:
    """Refuse a folder that is no depot: that is a wrong argument, and no damaged depot. Raises InputError."""
    if not (directory / "manifest.json").exists():
        raise InputError(
            f"DIR: {directory} is no depot: it has no manifest.json. Accepted: the folder of a depot. "
            f"Next: correct the path, or make one: condafleet depot build --embedded {directory}"
        )


def lines(url: str, sha256: str) -> str:
    """Return the two lines that an inventory needs."""
    return f'depot_url: "{url}"\ndepot_sha256: "{sha256}"'


def size(count: int) -> str:
    """Return a size as people read it: decimal units."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit != "MB" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
