"""A report as metrics of the whole fleet, for a textfile collector on the controller. Pure: data in, text out.

Each node's own metrics (`validation_textfile_dir`), with the label `host`, and every metric described once. What came
of each host in the run is said too: one that could not be reached has no other metric to be noticed by.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.condafleet.core.plugins.module_utils.prometheus_text import escaped, render

STATUS = "condafleet_host_status"
DESCRIBED = (
    f"# HELP {STATUS} What came of a host in the run: 1 for its status (ok, changed, failed, unreachable).",
    f"# TYPE {STATUS} gauge",
)
SAMPLE = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")


def prometheus(report: Mapping[str, Any]) -> str:
    """Return what the checks of all hosts came to, in Prometheus' text format."""
    described: dict[str, list[str]] = {STATUS: list(DESCRIBED)}
    samples: dict[str, list[str]] = {}
    for host, entry in sorted(report["hosts"].items()):
        told = f'{STATUS}{{host="{escaped(host)}",status="{escaped(entry["status"])}"}} 1'
        samples.setdefault(STATUS, []).append(told)
        for line in render(entry["checks"]).split("\n") if entry.get("checks") else ():
            if line.startswith("#"):
                described.setdefault(line.split()[2], []).append(line)
            elif found := SAMPLE.fullmatch(line):
                labels = f'host="{escaped(host)}"' + (f",{found['labels']}" if found["labels"] else "")
                samples.setdefault(found["name"], []).append(f"{found['name']}{{{labels}}} {found['value']}")
    lines = [line for name, one in samples.items() for line in (*dict.fromkeys(described[name]), *one)]
    return "".join(f"{line}\n" for line in lines)
