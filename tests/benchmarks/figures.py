"""From samples to figures: medians, spreads, ratios, and one short table. Pure."""

from __future__ import annotations

import re
from statistics import median
from typing import Any

MEASURES = ("wall_s", "controller_cpu_s", "node_cpu_s")
RECAP = re.compile(r"^(\S+)\s+: (ok=.*)$", re.MULTILINE)
EXECUTED = re.compile(r"^<([^>]+)> SSH: EXEC ", re.MULTILINE)


def recap(text: str) -> dict[str, dict[str, int]]:
    """The counts at the end of a playbook's output, by host."""
    found = {}
    for host, counts in RECAP.findall(text):
        found[host] = {name: int(value) for name, value in (pair.split("=") for pair in counts.split())}
    return found


def work_left(text: str, hosts: list[str]) -> str | None:
    """Why a run does not count as one of a converged fleet; None: it does."""
    counts = recap(text)
    for host in hosts:
        if host not in counts:
            return f"{host} is not in the recap"
        for what in ("changed", "failed", "unreachable", "rescued", "ignored"):
            if counts[host].get(what):
                return f"{host}: {what}={counts[host][what]}"
    return None


def tasks_per_node(text: str, hosts: list[str]) -> dict[str, float]:
    """Tasks that ran and were skipped, and commands sent over SSH, per node, from the output of a run with -vvv."""
    counts = recap(text)
    return {
        "ran": median(counts[host]["ok"] for host in hosts),
        "skipped": median(counts[host]["skipped"] for host in hosts),
        "remote_commands": round(len(EXECUTED.findall(text)) / len(hosts), 1),
    }


def spread(values: list[float]) -> dict[str, float]:
    """Median and range."""
    return {"median": round(median(values), 3), "min": round(min(values), 3), "max": round(max(values), 3)}


def summary(samples: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Median and range of each measure."""
    return {name: spread([sample[name] for sample in samples]) for name in MEASURES}


def ratios(samples: list[dict[str, float]], base: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Each measure over that of the `base` sample of the same round, so that a busy minute weighs on both."""
    of_round = {sample["round"]: sample for sample in base}
    pairs = [(sample, of_round[sample["round"]]) for sample in samples if sample["round"] in of_round]
    return {name: spread([one[name] / other[name] for one, other in pairs]) for name in MEASURES}


def table(result: dict[str, Any]) -> str:
    """The result as a table of medians; ratios to the yardstick in brackets."""
    rows = [("variant", "runs", "tasks", "skipped", "commands", "wall s", "controller CPU s", "node CPU s")]
    for name, variant in result["variants"].items():
        tasks = variant["tasks_per_node"]
        cells = [name, str(len(variant["samples"])), f"{tasks['ran']:g}", f"{tasks['skipped']:g}"]
        cells.append(f"{tasks['remote_commands']:g}")
        for measure in MEASURES:
            ratio = variant["ratio_to_yardstick"][measure]["median"]
            cells.append(f"{variant['summary'][measure]['median']:.1f} ({ratio:.2f})")
        rows.append(tuple(cells))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)
