"""Where results go: tables for people, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from condafleet.cli import (
    audit_tables,
    check_tables,
    compare_tables,
    gate_tables,
    status_tables,
    tables,
    users_tables,
)
from condafleet.cli.plain import plain
from condafleet.errors import InputError
from condafleet.junit import junit
from condafleet.results import FleetResult

WELL = ("ok", "changed")
EACH_BY_ITSELF = 12  # hosts, up to which each has its own lines: a table has to be read
PLAIN_WIDTH = 160  # columns, where there is no terminal that has a width


def console(*, errors: bool = False) -> Console:
    """Return a console on stdout or stderr, wide enough for messages where it is no terminal."""
    stream = sys.stderr if errors else sys.stdout
    width = None if stream.isatty() else PLAIN_WIDTH
    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False)


class Output:
    """Writes results. With `--json -`, JSON is all that stdout gets, and everything else goes to stderr."""

    def __init__(self, json_file: str | None = None, junit_file: str | None = None) -> None:
        self.json_file = json_file
        self.junit_file = junit_file
        self.errors = console(errors=True)
        self.tables = self.errors if json_file == "-" else console()

    def prepare(self) -> None:
        """Refuse a file that can't be written. Raises InputError."""
        if self.json_file not in (None, "-"):
            prepare_file("--json", str(self.json_file), "a file, or -")
        if self.junit_file is not None:
            prepare_file("--junit", self.junit_file, "a file")

    def result(self, result: FleetResult, verb: str, *, check: bool = False, diff: bool = False) -> None:
        """Show the result of a run; of one that changed nothing (`check`), what it would have changed.

        With `diff`, what changes in locks is shown line by line.
        """
        report = result.report()
        notes = _notes(result)
        notes.update(gate_tables.notes(report))
        if verb == "rollback":
            notes.update({name: tables.rolled_back(host) for name, host in result.hosts.items() if host.status in WELL})
        elif check and verb != "lock":
            notes.update({name: tables.planned(result.hosts[name]) for name in result.changed})
        if verb == "audit":
            self.audit(result)
            return
        if verb == "lock":
            self.show(tables.locks(result.locks))
            for line in tables.lock_changes(result.locks) if diff else []:
                self.show(line)
            report = {"schema_version": 1, "locks": dict(result.locks)}
            if not result.ok:
                self.hosts(result.report(), notes)
        elif verb == "status":
            self.status(result, report)
        else:
            self.report(report, notes)
        self.data(report)
        if self.junit_file is not None:
            write_whole(Path(self.junit_file), junit(report))

    def report(self, report: dict[str, Any], notes: dict[str, str] | None = None) -> None:
        """Show a report as tables. `notes` say more about a host than its message."""
        # Its complaints stand below, each with its next step.
        self.hosts(report, {**(notes or {}), **check_tables.notes(report)})
        stopped = gate_tables.gate(report)
        if stopped.row_count:
            self.show(stopped)
        trained = sum(bool(host["validation"]) for host in report["hosts"].values())
        if trained:
            self.show((tables if trained <= EACH_BY_ITSELF else status_tables).validation(report))
        self.checks(report)
        self._beside(report, tables.summary(report))

    def hosts(self, report: dict[str, Any], notes: dict[str, str]) -> None:
        """Show what came of each host; of many, those of which the same is true in one row."""
        few = len(report["hosts"]) <= EACH_BY_ITSELF
        self.show((tables if few else status_tables).hosts(report, notes))

    def checks(self, report: dict[str, Any]) -> None:
        """Show what the checks of a validation came to: figures, what was left out, verdicts, and last what is bad."""
        found = (check_tables.speeds(report), check_tables.skips(report), check_tables.nodes(report))
        for table in (*found, status_tables.checked(report)):
            if table.row_count:
                self.show(table)
        for line in check_tables.complaints(report):
            self.show(line)

    def comparison(self, found: dict[str, Any]) -> None:
        """Show what moved between two validations, and what else changed in between."""
        self.show(compare_tables.sides(found))
        for table in (compare_tables.moves(found), compare_tables.changes(found)):
            if table.row_count:
                self.show(table)
        for line in (*compare_tables.beside(found), *compare_tables.conclusions(found)):
            self.show(line)
        self.data(found)

    def failures(self, result: FleetResult) -> None:
        """Show the hosts of a run in which some failed, with what each said."""
        self.hosts(result.report(), _notes(result))

    def status(self, result: FleetResult, report: dict[str, Any]) -> None:
        """Show how a fleet stands: nodes that stand alike in one row."""
        self.show(status_tables.nodes(result.hosts))
        found = (status_tables.environments(report), status_tables.validation(report), status_tables.checked(report))
        for table in found:
            if table.row_count:
                self.show(table)
        self._beside(report, status_tables.summary(result.hosts))

    def _beside(self, report: dict[str, Any], last: Text) -> None:
        """Show what users built, and the last line."""
        for table in (tables.dependants(report), users_tables.environments(report)):
            if table.row_count:
                self.show(table)
        self.show(last)

    def audit(self, result: FleetResult) -> None:
        """Show an audit: who has which list of packages, and what has to be looked at."""
        found = result.audit()
        if not result.ok:
            self.failures(result)
        for table in (audit_tables.audited(found), audit_tables.findings(found), audit_tables.absent(found)):
            if table.row_count:
                self.show(table)
        self.show(audit_tables.summary(found))
        self.data(found)

    def show(self, what: RenderableType) -> None:
        """Show something to people."""
        what = plain(what) if isinstance(what, str) else what
        self.tables.print(what, soft_wrap=not isinstance(what, Table))  # lines can be copied whole

    def data(self, data: Any) -> None:
        """Write data as JSON, if it was asked for."""
        if self.json_file is None:
            return
        text = json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n"
        # Half a surrogate in what a tool has said would cost the whole report.
        text = text.encode("utf-8", "replace").decode("utf-8")
        if self.json_file == "-":
            sys.stdout.write(text)
            sys.stdout.flush()
        else:
            write_whole(Path(self.json_file), text)


def prepare_file(option: str, given: str, accepted: str) -> None:
    """Refuse a file that can't be written, and make the folder that it is to be in. Raises InputError."""
    path = Path(given).absolute()
    if path.is_dir():
        raise InputError(f"{option}: {given} is a folder. Accepted: {accepted}. Nothing was changed.")
    try:
        if _is_stream(path):
            return
        folder = path.resolve().parent
        folder.mkdir(parents=True, exist_ok=True)
        # As it is written in the end: whether that works is asked before anything takes hours.
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=folder)
        os.close(handle)
        Path(name).unlink()
    except OSError as error:
        raise InputError(
            f"{option}: {given} can't be written ({error.strerror}). Accepted: {accepted}. Nothing was changed."
        ) from error


def _notes(result: FleetResult) -> dict[str, str]:
    return {name: f"{host.task}: {host.message}" for name, host in result.hosts.items() if host.task}


def write_whole(path: Path, text: str) -> None:
    """Write a file at once: a reader sees the old one or the new one. A link stays one, and so does a device."""
    if _is_stream(path):
        with path.open("w", encoding="utf-8") as stream:
            stream.write(text)
        return
    place = path.resolve()
    handle, name = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(place)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _is_stream(path: Path) -> bool:
    """Whether it is a device or a pipe, such as /dev/null or a shell's >(…), which no file may take the place of."""
    return path.exists() and not path.is_file()
