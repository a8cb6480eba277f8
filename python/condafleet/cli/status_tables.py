"""How a fleet stands, as tables that stay short however many nodes it has. Pure: data in, something to print out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from ansible_collections.condafleet.core.plugins.module_utils.environment_standing import STATES
from ansible_collections.condafleet.core.plugins.module_utils.findings import BAD, ORDER
from ansible_collections.condafleet.core.plugins.module_utils.node_names import folded, without_name
from condafleet.cli import tables
from condafleet.results import HostResult

# A node that is as declared stands by its last validation, where that was bad.
STYLES = {"ok": "green", "behind": "yellow", "unreachable": "bold red", "failed": "bold red"}
WORST_FIRST = ("failed", "unreachable", *reversed(STATES[1:]), *BAD, STATES[0])


def nodes(hosts: Mapping[str, HostResult]) -> Table:
    """Return the table of nodes: those that stand alike in one row, the worst first."""
    rows: dict[tuple[str, str], list[str]] = {}
    for name, host in hosts.items():
        rows.setdefault(stand(host), []).append(name)
    table = tables.listing(("nodes", "state", "which", "what differs beside environments"), ())
    for (state, what), names in sorted(
        rows.items(), key=lambda item: (WORST_FIRST.index(item[0][0]), item[0], item[1])
    ):
        table.add_row(str(len(names)), _word(state), folded(names), what)
    return table


def hosts(report: Mapping[str, Any], notes: Mapping[str, str]) -> Table:
    """Return the table of hosts as tables.hosts does, those of which the same is true in one row."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for name, host in report["hosts"].items():
        what = without_name(name, str(notes.get(name) or host["message"] or ""), "NODE")
        rows.setdefault((host["status"], tables.environments_of(host), what), []).append(name)
    table = tables.listing(("nodes", "status", "which", "environments", "what happened"), ())
    for (status, environments, what), names in sorted(
        rows.items(), key=lambda row: (tables.WORST_FIRST.index(row[0][0]), sorted(row[1]))
    ):
        table.add_row(str(len(names)), tables.word(status), folded(names), environments, what)
    return table


def summary(hosts: Mapping[str, HostResult]) -> Text:
    """Return the last line: how many nodes stand how, the worst last."""
    states = [stand(host)[0] for host in hosts.values()]
    counts = ", ".join(f"{states.count(state)} {state}" for state in reversed(WORST_FIRST) if state in states)
    return Text(f"{len(states)} host{'' if len(states) == 1 else 's'}: {counts}")


def stand(host: HostResult) -> tuple[str, str]:
    """Return how a node stands, and what differs on it, in the same words for all nodes of which they are true."""
    if host.status in ("failed", "unreachable"):
        # Of each node it is said with its own name.
        return host.status, without_name(host.name, f"{host.task}: {host.message}", "NODE")
    state = host.state
    return (host.bad_verdict or state if state == STATES[0] else state), tables.differences(host, environments=False)


def environments(report: Mapping[str, Any]) -> Table:
    """Return the table of environments: for each of their targets the nodes that have the same, the most first."""
    table = tables.listing(("environment", "target", "nodes", "state", "which", "how it differs"), ())
    for name, members in report["fleet"]["groups"].items():
        for group in members:
            state = Text.assemble(_word(group["state"]), {"ok": " (files ok)"}.get(str(group["files"]), ""))
            number = f"{len(group['hosts'])} of {group['of']}"
            target = str(group["target"] or "-")
            table.add_row(name, target, number, state, folded(group["hosts"]), group["how"])
    return table


def validation(report: Mapping[str, Any]) -> Table:
    """Return the table of verdicts: nodes of one verdict in one row, with their lowest figures."""
    rows: dict[tuple[str, ...], list[tuple[str, Mapping[str, Any]]]] = {}
    for name, host in report["hosts"].items():
        for environment, entry in host["validation"].items():
            for framework, one in entry["frameworks"].items():
                why = without_name(name, str(one.get("reason") or one.get("message") or ""), "NODE")
                key = (environment, framework, str(one.get("verdict", "ERROR")), why)
                rows.setdefault(key, []).append((name, one))
    table = tables.listing(
        ("environment", "framework", "verdict", "nodes", "which", "least accuracy", "least images/s", "why"), ()
    )
    for (environment, framework, verdict, why), found in sorted(rows.items()):
        table.add_row(
            environment,
            framework,
            tables.word(verdict),
            str(len(found)),
            folded(name for name, _ in found),
            tables.figure(_least(found, "test_accuracy"), "{:.4f}"),
            tables.figure(_least(found, "images_per_second"), "{:,.0f}"),
            why,
        )
    return table


def checked(report: Mapping[str, Any]) -> Table:
    """Return the table of last validations, of nodes that this run has not validated itself: those alike in one row."""
    rows: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for name, host in report["hosts"].items():
        last = host.get("checked")
        if last and not host.get("checks"):
            why = str((host.get("plan") or {}).get("checks") or "")
            key = (str(last.get("verdict")), str(last.get("level")), why)
            rows.setdefault(key, []).append((name, str(last.get("ended"))))
    table = tables.listing(("last verdict", "level", "nodes", "which", "when", "to be checked again, for"), ())
    for (verdict, level, why), found in sorted(rows.items(), key=_worst_first):
        times = sorted({when for _, when in found})
        when = times[0] if len(times) == 1 else f"{times[0]} to {times[-1]}"
        table.add_row(tables.word(verdict), level, str(len(found)), folded(name for name, _ in found), when, why)
    return table


def _worst_first(row: tuple[tuple[str, str, str], Any]) -> tuple[int, tuple[str, str, str]]:
    verdict = row[0][0]
    return (-ORDER.index(verdict) if verdict in ORDER else 1, row[0])


def _least(found: list[tuple[str, Mapping[str, Any]]], figure: str) -> float | None:
    return min((one[figure] for _, one in found if isinstance(one.get(figure), int | float)), default=None)


def _word(state: str) -> Text:
    return Text(state, style=STYLES.get(state, "red"))
