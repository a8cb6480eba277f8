"""An audit as tables. Pure: data in, something to print out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from ansible_collections.condafleet.core.plugins.module_utils.audit_report import audit_summary
from condafleet.cli.tables import listing

HOSTS_SHOWN = 4


def audited(audit: Mapping[str, Any]) -> Table:
    """Return the table of lists of packages, each once, with who has it."""
    rows = [
        (
            ", ".join(one["environments"]),
            key,
            named(one["hosts"]),
            str(len(one["packages"])),
            str(len(one["defaults"]) or "-"),
            str(len(one["without_license"]) or "-"),
        )
        for key, one in audit["lists"].items()
    ]
    return listing(("environment", "list", "hosts", "packages", "from defaults", "without licence"), rows)


def findings(audit: Mapping[str, Any]) -> Table:
    """Return the table of packages that have to be looked at, each once in each version."""
    found: dict[tuple[str, ...], list[str]] = {}
    for one in audit["lists"].values():
        for package, what in _found(one):
            label = f"{package['name']} {package['version']}"
            key = (what, label, str(package["channel"] or "unknown"), str(package["license"] or "none stated"))
            found.setdefault(key, []).extend(one["environments"])
    rows = [(*key, ", ".join(sorted(set(names)))) for key, names in sorted(found.items())]
    return listing(("finding", "package", "channel", "licence", "environments"), rows)


def absent(audit: Mapping[str, Any]) -> Table:
    """Return the table of environments that were asked for and are not there."""
    missing: dict[str, list[str]] = {}
    for name, host in audit["hosts"].items():
        for environment in host["absent"]:
            missing.setdefault(environment, []).append(name)
    return listing(("not there", "hosts"), [(name, named(hosts)) for name, hosts in sorted(missing.items())])


def summary(audit: Mapping[str, Any]) -> Text:
    """Return the last line: what was looked at, and what was found."""
    return Text(audit_summary(audit))


def named(hosts: Sequence[str]) -> str:
    """Return hosts by name, or how many of them there are beside the first."""
    shown = ", ".join(hosts[:HOSTS_SHOWN])
    return shown if len(hosts) <= HOSTS_SHOWN else f"{shown} and {len(hosts) - HOSTS_SHOWN} more"


def _found(one: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    for package in one["packages"]:
        name = package["name"]
        if name in one["not_accepted"]:
            yield package, "terms not accepted"
        elif name in one["defaults"]:
            yield package, "from defaults"
        if name in one["without_license"]:
            yield package, "no licence"
