"""The rows of faults.yml as runs of the role: a run is of one node with its fault, a play of several such nodes."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import nodes
import yaml

TABLE = yaml.safe_load(Path(__file__).with_name("faults.yml").read_text(encoding="utf-8"))
RECORD = "/opt/condafleet/validation/node.json"
SECOND = "GPU-22222222-2222-2222-2222-222222222222"
GPU_NODES = tuple(f"he-gpu{number}" for number in range(1, 7))
TORCH = "he-torch"
Row = dict[str, Any]
Findings = dict[tuple[str, str], dict[str, Any]]


class Run(NamedTuple):
    """One node and what is wrong on it: one row, or all that belong together."""

    node: str
    rows: Sequence[Row]
    name: str


class Outcome(NamedTuple):
    """What the role found on a node, as it keeps it there, and what it said of it."""

    findings: Findings
    said: str

    @property
    def bad(self) -> set[tuple[str, str, str]]:
        return {(*key, one["verdict"]) for key, one in self.findings.items() if one["verdict"] in ("FAIL", "ERROR")}


def subject_of(row: Row) -> str:
    return SECOND if row.get("subject") == "SECOND" else str(row.get("subject", "node"))


def runs_of(rows: Sequence[Row]) -> list[Run]:
    """Rows of the same `run` are one; those that say no node have one of the nodes with GPUs, in turn."""
    groups: dict[str, list[Row]] = {}
    for number, row in enumerate(rows):
        groups.setdefault(row.get("run", str(number)), []).append(row)
    turns = itertools.cycle(GPU_NODES)
    return [Run(group[0].get("node") or next(turns), group, name) for name, group in groups.items()]


def plays_of(runs: Sequence[Run]) -> list[list[Run]]:
    """As few plays as there can be, with one run for each node at most."""
    queues: dict[str, list[Run]] = {}
    for run in runs:
        queues.setdefault(run.node, []).append(run)
    return [[run for run in play if run] for play in itertools.zip_longest(*queues.values())]


def declared(run: Run, healthy: Findings) -> dict[str, Any]:
    """The role's variables for a run; `healthy` is what the node did while nothing was wrong."""
    variables: dict[str, Any] = {}
    checks = dict(TABLE["checks"])
    if run.name in TABLE["cuda"]:
        checks.update(TABLE["healthy"][run.name]["validation_checks"])
    for row in run.rows:
        own = dict(row.get("variables", {}))
        checks.update(own.pop("validation_checks", {}))
        variables.update(own)
        if "share" in row:
            least = row["share"] * healthy[row["check"], subject_of(row)]["value"]
            checks[row["check"]] = {**checks[row["check"]], "least": least}
        if "data" in row:
            variables["validation_data"] = nodes.wrong_data(run.node, row["data"])
    return {"validation_enabled": True, **variables, "validation_checks": checks}


def put_wrong(run: Run, driver: Path, undo: contextlib.ExitStack) -> None:
    """Let a node have its faults until `undo` is closed."""
    node = run.node
    lines = [line for row in run.rows for line in row.get("gpus", [])]
    if run.name in TABLE["cuda"]:
        undo.enter_context(nodes.cuda(node, driver))
        nodes.set_gpus(node, [*TABLE["cuda"][run.name], *lines])
    elif lines:
        undo.callback(nodes.set_gpus, node, [])
        nodes.set_gpus(node, lines)
    library = " ".join(row["library"] for row in run.rows if "library" in row)
    if library:
        undo.enter_context(nodes.wrong_library(node, library))
    for row in run.rows:
        if "log" in row:
            undo.callback(nodes.set_log, node, nodes.QUIET)
            nodes.set_log(node, [*nodes.QUIET, *row["log"]] if row["log"] else [])
        if "undoes" in row:
            undo.callback(nodes.scenario.inside, node, "sh", "-c", row["undoes"])
        if "does" in row:
            nodes.scenario.inside(node, "sh", "-ec", row["does"])
        if "inside" in row:
            nodes.run_inside(node, row["inside"])
        if "dead" in row:
            undo.enter_context(nodes.dead_mount(node, row["dead"]))
        for what, amount in row.get("limits", {}).items():
            undo.callback(nodes.limit, node, what, None)
            nodes.limit(node, what, amount)


def play(variables: dict[str, dict[str, Any]], folder: Path) -> tuple[int, dict[str, Outcome]]:
    """The role on these nodes, each with variables of its own: its exit status, and what came of each."""
    folder.mkdir(parents=True, exist_ok=True)
    inventory = folder / "rows.yml"
    inventory.write_text(json.dumps({"all": {"hosts": variables}}), encoding="utf-8")
    for node in variables:
        nodes.run_inside(node, f"rm -f {RECORD}")
    # Limits of a session are those of its beginning: an earlier play's connection must not live on.
    with mock.patch.dict(os.environ, ANSIBLE_SSH_CONTROL_PATH_DIR=str(folder / "c")):
        limit = f"--limit={','.join(variables)}"
        done = nodes.scenario.play("condafleet.core.validate", f"--inventory={inventory}", limit)
    words = nodes.scenario.words(done)
    said = dict(re.findall(r"fatal: \[(\S+)\]: FAILED! =>(.*?)(?=fatal: \[|PLAY RECAP)", words))
    found = {}
    for node in variables:
        try:
            text = nodes.engine.podman("exec", nodes.container(node), "cat", RECORD)
        except nodes.engine.EngineError as error:
            raise AssertionError(f"{node} has no record: {words}") from error
        record = json.loads(text)["findings"]
        findings = {(one["check"], one["subject"]): one for one in record}
        found[node] = Outcome(findings, said.get(node, ""))
    return done.returncode, found


class Plays:
    """What came of each row. A play is carried out when the first of its rows is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.driver = nodes.driver_files(folder / "driver")
        for node in GPU_NODES:
            nodes.give_gpus(node, self.driver)
        self.plays = plays_of(runs_of(TABLE["faults"]))
        self.told: dict[int | str, dict[str, Outcome]] = {}

    def healthy(self, kind: str) -> dict[str, Outcome]:
        """The role on nodes of a kind, by the table's `healthy`, on which nothing is wrong; it has to say so."""
        if kind not in self.told:
            variables = {"validation_enabled": True, **TABLE["healthy"][kind]}
            variables["validation_checks"] = {**TABLE["checks"], **variables["validation_checks"]}
            members = GPU_NODES if kind == "he-gpu" else (TORCH,)
            with contextlib.ExitStack() as undo:
                if kind in TABLE["cuda"]:
                    undo.enter_context(nodes.cuda(TORCH, self.driver))
                    nodes.set_gpus(TORCH, TABLE["cuda"][kind])
                status, found = play(dict.fromkeys(members, variables), self.folder / kind.replace(" ", "-"))
            assert not status, [one.said for one in found.values()]
            self.told[kind] = found
        return self.told[kind]

    def of(self, row: Row) -> tuple[Run, Outcome]:
        """The run of a row, and what came of it."""
        number, run = next(
            (number, run)
            for number, runs in enumerate(self.plays)
            for run in runs
            if any(row is one for one in run.rows)
        )
        if number not in self.told:
            self.told[number] = self._carried_out(number)
        return run, self.told[number][run.node]

    def _carried_out(self, number: int) -> dict[str, Outcome]:
        variables = {}
        for run in self.plays[number]:
            shares = any("share" in row for row in run.rows)
            variables[run.node] = declared(run, self.healthy(TORCH)[TORCH].findings if shares else {})
        with contextlib.ExitStack() as undo:
            for run in self.plays[number]:
                put_wrong(run, self.driver, undo)
            status, found = play(variables, self.folder / f"play{number}")
        bad = any(outcome.bad for outcome in found.values())
        assert status == (2 if bad else 0), (status, {node: outcome.said for node, outcome in found.items()})
        return found
