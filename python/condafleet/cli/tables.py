"""A report as tables. Pure: data in, something to print out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ansible_collections.condafleet.core.plugins.module_utils import results as maker
from condafleet.cli.plain import plain
from condafleet.results import HostResult

WORST_FIRST = ("failed", "unreachable", "changed", "ok")
STYLES = {
    "failed": "bold red",
    "unreachable": "bold red",
    "changed": "yellow",
    "ok": "green",
    "PASS": "green",
    "SKIP": "yellow",
    "ERROR": "bold red",
    "FAIL": "bold red",
}


def hosts(report: Mapping[str, Any], notes: Mapping[str, str]) -> Table:
    """Return the table of hosts, worst first; a note on a host stands instead of its message."""
    table = _table("host", "status", "environments", "what happened")
    for name, host in sorted(report["hosts"].items(), key=lambda item: (WORST_FIRST.index(item[1]["status"]), item[0])):
        what = notes.get(name) or host["message"] or ""
        table.add_row(name, word(host["status"]), environments_of(host), what)
    return table


def planned(host: HostResult) -> str:
    """Return what is to be done on a host, in one line; nothing where it is as declared."""
    return differences(host, environments=True)


def rolled_back(host: HostResult) -> str:
    """Return where a rollback leads a host, or why it stays as it is, in one line; nothing where a gate stopped it."""
    decided = host.data.get("rollback")
    if not decided:
        return ""
    said = {name: f"{move['before']} → {move['generation']}" for name, move in decided["moves"].items()}
    said.update(decided["kept"])
    return "; ".join(f"{name}: {what}" for name, what in sorted(said.items())) or "no switch is noted on this node"


def differences(host: HostResult, *, environments: bool) -> str:
    """Return what differs on a host from its declaration, in one line, with its environments or without."""
    plan = host.data.get("plan") or {}
    changes = [f"installation damaged: {plan['damage']}"] if plan.get("damage") else []
    parts = ("installation", "shells", "modulefiles")
    changes += [str(change["what"]) for part in parts for change in plan.get(part) or ()]
    changes += [f"{name}: declared no more" for name in plan.get("purge") or ()]
    changes += [f"{name}: surplus" for name in plan.get("collect") or ()]
    found = {name: one for name, one in host.environments.items() if one["why"] and one["state"] != "ok"}
    if environments:
        changes += [f"{name}: {one['why']}" for name, one in found.items()]
    # What an environment is blocked by is said of it.
    said = {one["why"] for one in found.values()}
    changes += [text for text in plan.get("blocked") or () if text not in said]
    changes += [
        f"validate {name} with {framework}: {why}"
        for name, frameworks in sorted((plan.get("validation") or {}).items())
        for framework, why in sorted(frameworks.items())
    ]
    changes += [f"check the node: {plan['checks']}"] if plan.get("checks") else []
    return "; ".join(changes)


def environments_of(host: Mapping[str, Any]) -> str:
    """Return a host's environments, in one line."""
    parts = []
    for name, entry in sorted(host["environments"].items()):
        target = f" ({entry['target']})" if entry.get("target") else ""
        state = f" {entry['state']}" if entry.get("state", "ok") != "ok" else ""
        parts.append(f"{name}{target}{state}")
    return ", ".join(parts)


def validation(report: Mapping[str, Any]) -> Table:
    """Return the table of verdicts: one row for each framework of each environment."""
    table = _table("host", "environment", "framework", "verdict", "accuracy", "loss", "images/s", "on", "why")
    for name, host in sorted(report["hosts"].items()):
        for environment, entry in sorted(host["validation"].items()):
            for framework, one in sorted(entry["frameworks"].items()):
                table.add_row(
                    name,
                    environment,
                    framework,
                    word(str(one.get("verdict", "ERROR"))),
                    figure(one.get("test_accuracy"), "{:.4f}"),
                    figure(one.get("test_loss"), "{:.4f}"),
                    figure(one.get("images_per_second"), "{:,.0f}"),
                    str((one.get("device") or {}).get("name") or "-"),
                    str(one.get("reason") or one.get("message") or ""),
                )
    return table


def dependants(report: Mapping[str, Any]) -> Table:
    """Return the table of what users built on installations and generations, and of searches that were not whole."""
    table = _table("host", "user", "built on it", "stands on")
    for name, host in sorted(report["hosts"].items()):
        found = host.get("dependants") or {}
        for one in found.get("found") or []:
            gone = "" if one["there"] else " (gone)"
            table.add_row(name, str(one["user"]), f"{one['kind']} {one['path']}", f"{one['stands_on']}{gone}")
        if found.get("why"):
            table.add_row(name, "", str(found["why"]), "")
    return table


def locks(found: Mapping[str, Any]) -> Table:
    """Return the table of locks: what calls for solving one, and how much came of it."""
    table = _table("environment", "target", "lock", "digest", "why", "changes")
    for environment, target, entry in _each_lock(found):
        digest = str(entry.get("digest") or "")[:12]
        table.add_row(
            environment, target, str(entry.get("state", "")), digest, "; ".join(entry.get("why") or []), _count(entry)
        )
    return table


def lock_changes(found: Mapping[str, Any]) -> list[str]:
    """Return what changes in each lock that was solved, line by line."""
    lines = []
    for environment, target, entry in _each_lock(found):
        if entry.get("changes") is not None:
            lines += ["", f"{environment} for {target}:", *(f"  {line}" for line in entry["changes"] or ["nothing"])]
    return lines


def _each_lock(found: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    return [(name, target, entry) for name, locks in sorted(found.items()) for target, entry in sorted(locks.items())]


def _count(entry: Mapping[str, Any]) -> str:
    changes = entry.get("changes")
    if changes is None:
        return ""
    return f"{len(changes)} packages" if len(changes) > 1 else (changes or ["nothing"])[0]


def listing(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a plain table."""
    table = _table(*columns)
    for row in rows:
        table.add_row(*row)
    return table


def summary(report: Mapping[str, Any]) -> Text:
    """Return the last line: how many of what."""
    return Text(maker.report_summary(report))


class _Plain(Table):
    """A table that shows what its cells say, and does nothing of it."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        super().add_row(*(plain(cell) if isinstance(cell, str) else cell for cell in cells), **options)


def _table(*columns: str) -> Table:
    table = _Plain(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == "host")
    return table


def word(word: str) -> Text:
    return Text(plain(word), style=STYLES.get(word, ""))


def figure(value: Any, form: str) -> str:
    return form.format(value) if isinstance(value, int | float) else "-"
