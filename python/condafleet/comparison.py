"""Two validations side by side, host by host: what moved, and whether software changed in between."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ansible_collections.condafleet.core.plugins.module_utils import run_comparison
from ansible_collections.condafleet.core.plugins.module_utils.validation_history import run_named
from condafleet.errors import InputError
from condafleet.report import check_report, load_report
from condafleet.results import FleetResult

SCHEMA_VERSION = 1
NOISE_PERCENT: float = run_comparison.NOISE_PERCENT
TOLD = ("run", "level", "verdict")
Record = Mapping[str, Any]
Given = str | Path | Mapping[str, Any] | FleetResult


def compare(
    *,
    before: Given,
    after: Given,
    limit: str | None = None,
    noise_percent: float = NOISE_PERCENT,
) -> dict[str, Any]:
    """Hold the validations of two reports side by side, host by host; no node is touched.

    Each is a file, a report as data, or a result. `limit` are names or shell patterns of hosts, with commas between;
    figures that went less than `noise_percent` are noise. Returns {schema_version: 1, moved, noise_percent, hosts:
    {NAME: {before, after: {run, level, verdict}, moved, verdicts, figures, software, gpus, not_compared, conclusion}},
    not_compared: {NAME: why}}. Raises InputError where no host was validated in both.
    """
    return of_reports(_report_of(before), _report_of(after), limit=limit, noise_percent=noise_percent)


def compare_history(
    *,
    result: FleetResult,
    before: str = "previous",
    after: str = "last",
    noise_percent: float = NOISE_PERCENT,
) -> dict[str, Any]:
    """Hold two validations of each node's own history side by side: what `history` returned. Returns as `compare`.

    Both have to be among the `runs` that `history` was asked for; the older one counts as the earlier.
    """
    told = {name: host.data["history"] for name, host in result.hosts.items() if "history" in host.data}
    for word in (before, after):
        unread = [name for name, history in told.items() if word not in history["records"]]
        if unread:
            raise InputError(
                f"runs: {word} was not read from {unread[0]}. Accepted: what history(runs=[…]) was asked for. "
                f"Next: ask for it: history(inventory=…, runs=[{before!r}, {after!r}])."
            )
    return of_histories(told, before, after, noise_percent=noise_percent)


def _report_of(given: Given) -> dict[str, Any]:
    if isinstance(given, FleetResult):
        return given.report()
    return check_report(given, "as given") if isinstance(given, Mapping) else load_report(given)


def of_reports(
    before: Record, after: Record, *, limit: str | None = None, noise_percent: float = NOISE_PERCENT
) -> dict[str, Any]:
    """Compare the hosts of two reports. `limit` are names or shell patterns of hosts, with commas between.

    Raises InputError where `limit` leaves no host, or no host has been validated in both.
    """
    _check_noise(noise_percent)
    names = _limited(sorted({*before["hosts"], *after["hosts"]}), limit)
    pairs, apart = {}, {}
    for name in names:
        told = [_checks(report, name) for report in (before, after)]
        if isinstance(told[0], str) or isinstance(told[1], str):
            which = ("earlier", "later")
            apart[name] = "; ".join(
                f"{why} in the {when} report" for why, when in zip(told, which, strict=True) if isinstance(why, str)
            )
        else:
            pairs[name] = (told[0], told[1])
    if not pairs:
        raise InputError(
            "reports: no host was validated in both "
            f"({'; '.join(f'{name}: {why}' for name, why in list(apart.items())[:3]) or 'they have no host'}). "
            "Accepted: two reports of runs that validated, with at least one host in common. "
            "Next: write them with condafleet validate -i INVENTORY --json FILE, or compare a node's own history: "
            "condafleet compare -i INVENTORY --limit NODE."
        )
    return _compared(pairs, apart, noise_percent)


def of_histories(
    histories: Mapping[str, Record],
    before: str = "previous",
    after: str = "last",
    *,
    noise_percent: float = NOISE_PERCENT,
) -> dict[str, Any]:
    """Compare two runs of each host's own history, {NAME: {runs, records}}; the older one counts as the earlier.

    Raises InputError where no host keeps both.
    """
    _check_noise(noise_percent)
    pairs, apart = {}, {}
    for name, history in sorted(histories.items()):
        runs: Sequence[str] = history["runs"]
        named = {word: run_named(word, runs) for word in (before, after)}
        missing = [word for word, run in named.items() if run is None]
        if missing or named[before] == named[after]:
            kept = f"kept are: {', '.join(runs)}" if runs else "it was never validated"
            apart[name] = f"it has no run {' and none '.join(missing)} ({kept})" if missing else f"one run ({kept})"
            continue
        # The newest stands first.
        older, newer = sorted((before, after), key=lambda word: -runs.index(str(named[word])))
        pairs[name] = (history["records"][older], history["records"][newer])
    if not pairs:
        raise InputError(
            f"runs: {before} and {after} are not accepted, no node keeps both "
            f"({'; '.join(f'{name}: {why}' for name, why in list(apart.items())[:3]) or 'no node answered'}). "
            "Accepted: last, previous, or the names of two runs that a node keeps (validation_keep). "
            "Next: name others, or validate again: condafleet validate -i INVENTORY -e validation_rerun=true."
        )
    return _compared(pairs, apart, noise_percent)


def _compared(
    pairs: Mapping[str, tuple[Record, Record]], apart: Mapping[str, str], noise_percent: float
) -> dict[str, Any]:
    hosts = {}
    for name, (before, after) in sorted(pairs.items()):
        sides = {
            "before": {key: before.get(key) for key in TOLD},
            "after": {key: after.get(key) for key in TOLD},
        }
        hosts[name] = {**sides, **run_comparison.compare(before, after, noise_percent)}
    return {
        "schema_version": SCHEMA_VERSION,
        "moved": any(host["moved"] for host in hosts.values()),
        "noise_percent": noise_percent,
        "hosts": hosts,
        "not_compared": dict(apart),
    }


def _checks(report: Record, name: str) -> Record | str:
    """Return a host's validation in a report, or why there is none."""
    host = report["hosts"].get(name)
    if host is None:
        return "it is not there"
    return host.get("checks") or "it was not validated"


def _limited(names: Sequence[str], limit: str | None) -> list[str]:
    if limit is None:
        return list(names)
    patterns = [part for part in re.split(r"[,:\s]+", limit) if part]
    found = [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if not found:
        raise InputError(
            f"limit: {limit} leaves no host of the reports. Accepted: names of their hosts, and shell patterns "
            f"(node1*), with commas between. Next: correct it; they have {', '.join(names[:5]) or 'no host'}"
            f"{', …' if len(names) > 5 else ''}."
        )
    return found


def _check_noise(percent: float) -> None:
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 <= percent < float("inf"):
        raise InputError(f"noise_percent: {percent!r} is not accepted. Accepted: a number from 0 up.")
