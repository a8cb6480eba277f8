"""The options that several verbs share, and how their values are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from condafleet.errors import InputError
from condafleet.inventory import Inventory

InventoryOption = Annotated[
    str, typer.Option("-i", "--inventory", metavar="PATH", help="Inventory file or folder, or HOST,HOST,…")
]
LimitOption = Annotated[str | None, typer.Option("--limit", metavar="PATTERN", help="Only these hosts.")]
ExtraOption = Annotated[
    list[str] | None,
    typer.Option(
        "-e",
        "--extra-vars",
        metavar="KEY=VALUE",
        help="A variable that wins over the inventory's, or @FILE. VALUE is text, unless it is an integer, true, "
        "false, null, a list or an object in JSON. Can be repeated.",
    ),
]
JsonOption = Annotated[
    str | None, typer.Option("--json", metavar="FILE", help="Write the report as JSON; - writes it, alone, to stdout.")
]
JunitOption = Annotated[
    str | None, typer.Option("--junit", metavar="FILE", help="Write what the checks came to as JUnit XML.")
]
CheckOption = Annotated[bool, typer.Option("--check", help="Change nothing, say what would be changed.")]
DiffOption = Annotated[bool, typer.Option("--diff", help="Show differences.")]
ForksOption = Annotated[int | None, typer.Option("--forks", min=1, help="Hosts at a time.")]
TimeoutOption = Annotated[float | None, typer.Option("--timeout", min=1, metavar="SECONDS", help="For the whole run.")]
VerboseOption = Annotated[int, typer.Option("-v", "--verbose", count=True, help="More; up to four times.")]
BecomeOption = Annotated[bool, typer.Option("-K", "--ask-become-pass", help="Ask for the password of sudo.")]
ConnectionOption = Annotated[bool, typer.Option("-k", "--ask-pass", help="Ask for the password of the connection.")]
VaultOption = Annotated[bool, typer.Option("-J", "--ask-vault-pass", help="Ask for the password of the vault.")]


def read_inventory(value: str) -> Inventory:
    """Return an inventory as the functions take it: a path, or the hosts of a list with commas."""
    if "," in value and not Path(value).exists():
        return [host.strip() for host in value.split(",") if host.strip()]
    return value


def read_extra_vars(values: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Return variables, and files of variables. Raises InputError."""
    variables: dict[str, Any] = {}
    files: list[str] = []
    for value in values:
        name, equals, text = value.partition("=")
        if value.startswith("@"):
            files.append(value[1:])
        elif equals and name.isidentifier():
            variables[name] = read_value(text)
        else:
            raise InputError(
                f"--extra-vars: {value!r} is not accepted. Accepted: KEY=VALUE, or @FILE with YAML or JSON. "
                "Next: write for example -e validation_enabled=false. Nothing was changed."
            )
    return variables, files


def read_value(text: str) -> Any:
    """Return text, or what it is in JSON. Not for fractions: as a version, 24.10 must not become 24.1."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, float | str) else value
