"""What checks came to, as a person on a terminal reads it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.unit.checks.records import (
    GPUS,
    H100,
    log_unreadable,
    remap_pending,
    report,
    slow_for_the_fleet,
    sound,
)

from condafleet.cli import check_tables, tables
from condafleet.cli.compare_tables import beside, changes, conclusions, moves, sides
from condafleet.cli.output import Output
from condafleet.comparison import compare


def rows(table: Any) -> list[list[str]]:
    """Return the rows of a table, cell by cell."""
    out = Console(file=io.StringIO(), width=400, markup=False, highlight=False)
    out.print(table)
    lines = out.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines[1:]]


def test_nodes_that_are_alike_stand_in_one_row_the_worst_first() -> None:
    whole = report(node1=sound(), node2=[*sound(), remap_pending()], node3=sound(), node4=[*sound(), log_unreadable()])
    found = rows(check_tables.nodes(whole))
    assert [row[:3] for row in found] == [
        ["FAIL", "1", "node2"], ["ERROR", "1", "node4"], ["PASS", "2", "node[1,3]"],
    ]  # fmt: skip
    assert found[0][3:] == ["standard", "14", "1", "-", "1"]


def test_a_fault_is_one_sentence_with_its_nodes_and_the_next_step() -> None:
    whole = report(
        node1=[*sound(), log_unreadable()], node2=[*sound(), remap_pending()], node3=[*sound(), remap_pending()]
    )
    first, second = check_tables.complaints(whole)
    assert first == (
        f"node[2-3]: FAIL gpu.remaps ({GPUS[1]}): a row's remapping is pending. Next: drain the node and reset the GPU."
    )
    assert second.startswith(f"node1: ERROR gpu.xid ({GPUS[0]}): the kernel's log can't be read")
    assert check_tables.complaints(report(node1=sound())) == []


def test_the_hosts_table_names_what_the_sentences_below_explain(capsys: pytest.CaptureFixture[str]) -> None:
    whole = report(node1=[*sound(), log_unreadable(), remap_pending(), remap_pending()], node2=sound())
    assert check_tables.notes(whole) == {"node1": "FAIL gpu.remaps, ERROR gpu.xid"}
    # A node that failed for another reason than its checks says that reason.
    whole["hosts"]["node2"].update(status="failed", message="no room to write the record")
    Output().report(whole)
    said = capsys.readouterr().out
    assert said.count("a row's remapping is pending") == 1
    assert "no room to write the record" in said


def test_a_sick_fleet_is_told_check_by_check() -> None:
    sick = {f"node{number}": [*sound(), remap_pending() | {"reason": f"{number} rows"}] for number in range(40)}
    whole = report(**sick)
    first, last = check_tables.complaints(whole)
    assert first.startswith("FAIL gpu.remaps: 40 of 40: node[0-39]")
    assert last == "40 in all; the report has each with its evidence."


def test_what_was_left_out_is_told_with_its_reason() -> None:
    assert rows(check_tables.skips(report(node1=sound(), node2=sound()))) == [
        ["node[1-2]", "DCGM is not installed", "gpu.dcgm"]
    ]


def test_speeds_have_limit_and_median_and_who_is_lowest() -> None:
    whole = report(node1=sound(), node2=sound(700.0), node3=[*sound(710.0), slow_for_the_fleet()])
    found = {(row[0], row[1]): row[2:] for row in rows(check_tables.speeds(whole))}
    assert found["speed.matmul.bf16", H100] == [
        "6", "700", f"node2 {GPUS[0]}", "710", "720", "TFLOP/s", "642.9",
    ]  # fmt: skip
    # What was learnt from the others is a limit too.
    assert found["train.speed", f"pytorch/torch, {H100}"][-1] == "8,100"
    assert found["train.speed", f"jax/jax, {H100}"][-1] == "-"


def test_models_are_told_apart() -> None:
    whole = report(node1=sound(), node2=sound(300.0))
    for gpu in whole["hosts"]["node2"]["checks"]["identity"]["gpus"]:
        gpu["name"] = "NVIDIA A100-SXM4-80GB"
    found = [row[:4] for row in rows(check_tables.speeds(whole)) if row[0] == "speed.matmul.bf16"]
    assert found == [
        ["speed.matmul.bf16", "NVIDIA A100-SXM4-80GB", "2", "300"], ["speed.matmul.bf16", H100, "2", "720"],
    ]  # fmt: skip


def test_four_frameworks_stand_in_one_table() -> None:
    found = rows(tables.validation(report(node1=sound())))
    assert [row[:7] for row in found] == [
        ["node1", environment, framework, "PASS", "0.9780", "0.0712", "9,000"]
        for environment, framework in (
            ("jax", "jax"), ("keras", "keras-torch"), ("pytorch", "torch"), ("tensorflow", "tensorflow"),
        )
    ]  # fmt: skip
    assert {row[7] for row in found} == {H100}


@pytest.mark.parametrize(("count", "shown"), [(12, "node7 "), (13, "node[0-12]")])
def test_trainings_of_a_large_fleet_are_folded(count: int, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    Output().report(report(**{f"node{number}": sound() for number in range(count)}))
    lines = [line for line in capsys.readouterr().out.splitlines() if "keras-torch" in line and "0.9780" in line]
    assert len(lines) == (12 if count == 12 else 1)
    assert any(shown in line for line in lines)


def test_what_moved_and_what_else_changed() -> None:
    before, after = report(node1=sound(), node2=sound()), report(node1=sound(), node2=sound(600.0), node3=sound())
    after["hosts"]["node2"]["checks"]["identity"]["generations"]["pytorch"] = "pytorch-ffffffffffff-1"
    found = compare(before=before, after=after)
    moved = rows(moves(found))
    assert [row[:5] for row in moved[:2]] == [["node2", "speed.matmul.bf16", gpu, "PASS", "FAIL"] for gpu in GPUS]
    assert moved[2] == ["node2", "speed.matmul.bf16", GPUS[0], "720", "600", "-16.7 %", "TFLOP/s"]
    assert rows(changes(found)) == [["node2", "pytorch", "pytorch-0123456789ab-1", "pytorch-ffffffffffff-1"]]
    assert conclusions(found)[0] == "node1: Nothing moved."
    assert conclusions(found)[1].endswith("To tell software from hardware, run again with --rerun-previous.")
    assert list(beside(found)) == ["node3: not compared: it is not there in the earlier report."]
    assert sides(found).startswith("2026-01-08T03:00:00Z (level standard) against")


def test_a_state_that_moved_is_shown_as_it_is() -> None:
    state = {"check": "gpu.pcie", "subject": "GPU-1", "unit": "", "before": "x16 gen5", "after": "x16 gen4"}
    host = {"verdicts": [], "figures": [{**state, "percent": None}]}
    assert rows(moves({"hosts": {"node1": host}})) == [["node1", "gpu.pcie", "GPU-1", "x16 gen5", "x16 gen4"]]


def test_hosts_of_a_large_fleet_are_folded(capsys: pytest.CaptureFixture[str]) -> None:
    whole = report(**{f"node{number:03d}": sound() for number in range(1, 501)})
    whole["hosts"]["node017"].update(status="failed", message="node017: no room")
    whole["hosts"]["node018"].update(status="failed", message="node018: no room")
    Output().report(whole)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["nodes", "status", "which", "environments", "what", "happened"]
    assert lines[1].split()[:3] == ["2", "failed", "node[017-018]"]
    assert lines[1].endswith("NODE: no room")
    assert lines[2].split()[:3] == ["498", "ok", "node[001-016,019-500]"]
    assert len(lines) < 40


HOSTILE = "all is well\nnode9: PASS\r\x1b[2J\x1b]0;title\x07 \x9b31m \u202e \udcff [bold]x[/nosuch]"


def test_what_a_node_says_does_nothing_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    left_out = log_unreadable() | {"verdict": "SKIP", "reason": HOSTILE}
    whole = report(node1=[*sound(), remap_pending() | {"reason": HOSTILE}, left_out])
    whole["hosts"]["node2"] = {**whole["hosts"]["node1"], "checks": None, "status": "failed", "message": HOSTILE}
    Output().report(whole)
    said = capsys.readouterr().out
    assert not set("\r\x1b\x07\x9b\u202e\udcff") & set(said)
    assert "[bold]x[/nosuch]" in said  # and is shown as it is
    # One finding is one line: none of it passes for another node's.
    assert not [line for line in said.splitlines() if line.startswith("node9: PASS")]


def test_what_was_not_compared_is_told_once_for_all_of_whom_it_is_true() -> None:
    nodes = {f"node{number:03d}": sound() for number in range(1, 501)}
    fewer = {name: found[1:] for name, found in nodes.items()}
    found = compare(before=report(**nodes, old=sound()), after=report(**fewer))
    assert list(beside(found)) == [
        "node[001-500]: not compared: host.shm is in the earlier run alone.",
        "old: not compared: it is not there in the later report.",
    ]


@pytest.mark.parametrize("to_stdout", [True, False])
def test_what_is_no_text_costs_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str], to_stdout: bool) -> None:
    whole = report(node1=[*sound(), remap_pending() | {"reason": "odd \udcff word"}])
    path = tmp_path / "report.json"
    Output("-" if to_stdout else str(path)).data(whole)
    written = capsys.readouterr().out if to_stdout else path.read_text()
    assert json.loads(written)["hosts"]["node1"]["checks"]["findings"][-1]["reason"] == "odd ? word"
