"""Two validations side by side, as text and tables. Pure: data in, something to print out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from ansible_collections.condafleet.core.plugins.module_utils.node_names import folded
from condafleet.cli import tables


def moves(compared: Mapping[str, Any]) -> Table:
    """Return the table of what moved: verdicts first, then figures by how far they went."""
    table = tables.listing(("host", "check", "of", "before", "after", "moved", "why"), ())
    for name, host in compared["hosts"].items():
        for one in host["verdicts"]:
            words = (tables.word(one["before"]), tables.word(one["after"]))
            why = " ".join(filter(None, (str(one["reason"] or ""), "(by another limit)" if one["relimited"] else "")))
            table.add_row(name, one["check"], one["subject"], *words, "", why)
        for one in host["figures"]:
            if one["percent"] is None:
                figures = (str(one["before"]), str(one["after"]), "")
            else:
                figures = (f"{one['before']:.6g}", f"{one['after']:.6g}", f"{one['percent']:+.1f} %")
            table.add_row(name, one["check"], one["subject"], *figures, str(one["unit"]))
    return table


def changes(compared: Mapping[str, Any]) -> Table:
    """Return the table of what else changed in between: software, and GPUs."""
    table = tables.listing(("host", "what", "before", "after"), ())
    for name, host in compared["hosts"].items():
        for what, (before, after) in {**host["software"], **host["machine"]}.items():
            table.add_row(name, what, str(before or "none"), str(after or "none"))
        for uuid in host["gpus"]["gone"]:
            table.add_row(name, "GPU", uuid, Text("gone", style="red"))
        for uuid in host["gpus"]["new"]:
            table.add_row(name, "GPU", "none", uuid)
    return table


def conclusions(compared: Mapping[str, Any]) -> list[str]:
    """Return what it comes to, a line for all hosts of which it is true, the ones that moved last."""
    found: dict[tuple[bool, str], list[str]] = {}
    for name, host in compared["hosts"].items():
        found.setdefault((host["moved"], host["conclusion"]), []).append(name)
    return [f"{folded(names)}: {said}" for (_moved, said), names in sorted(found.items())]


def beside(compared: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was not compared, and why: a line for all hosts of which the same is true."""
    found: dict[str, list[str]] = {}
    for name, host in compared["hosts"].items():
        if host["not_compared"]:
            found.setdefault("; ".join(host["not_compared"]), []).append(name)
    for name, why in compared["not_compared"].items():
        found.setdefault(str(why), []).append(name)
    for why, names in found.items():
        yield f"{folded(names)}: not compared: {why}."


def sides(compared: Mapping[str, Any]) -> str:
    """Return one line on what was held against what."""
    runs = {
        side: sorted({f"{host[side]['run']} (level {host[side]['level']})" for host in compared["hosts"].values()})
        for side in ("before", "after")
    }
    told = {side: found[0] if len(found) == 1 else f"{found[0]} to {found[-1]}" for side, found in runs.items()}
    return f"{told['before']} against {told['after']}, figures that went {compared['noise_percent']:g} % or more"
