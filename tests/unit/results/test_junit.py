"""Verdicts as JUnit XML, read back by the library that CI tools are tested with."""

from __future__ import annotations

from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase
from tests.unit.checks.records import GPUS, log_unreadable, remap_pending, report, sound

from condafleet.junit import junit


def read(whole: dict[str, Any]) -> dict[str, dict[str, TestCase]]:
    """Return {host: {case's name: case}} of what was written."""
    return {suite.name: {case.name: case for case in suite} for suite in JUnitXml.fromstring(junit(whole).encode())}


def test_each_verdict_is_what_ci_systems_know() -> None:
    cases = read(report(node1=[*sound(), remap_pending(), log_unreadable()], node2=sound()))
    results = {name: [type(one) for one in case.result] for name, case in cases["node1"].items()}
    assert results["gpu.count"] == []
    assert results["gpu.dcgm"] == [Skipped]
    assert results[f"gpu.remaps ({GPUS[1]})"] == [Failure]
    assert results[f"gpu.xid ({GPUS[0]})"] == [Error]
    assert len(cases["node1"]) == len(sound()) + 2
    (failure,) = cases["node1"][f"gpu.remaps ({GPUS[1]})"].result
    assert (failure.type, failure.message) == ("FAIL", "a row's remapping is pending")
    assert failure.text.endswith("Next: drain the node and reset the GPU.")


def test_what_a_check_saw_is_its_output() -> None:
    cases = read(report(node1=[*sound(), remap_pending()]))["node1"]
    said = cases[f"speed.matmul.bf16 ({GPUS[0]})"]
    assert (said.classname, said.time) == ("node1.speed.matmul.bf16", 2.5)
    assert "value: 720.0 TFLOP/s\nlimit: at least 642.9 (65 % of the 989 TFLOP/s" in said.system_out
    assert cases[f"gpu.remaps ({GPUS[1]})"].system_out.endswith("pending: yes")


def test_counts_and_what_the_node_was() -> None:
    (suite,) = JUnitXml.fromstring(junit(report(node1=[*sound(), remap_pending(), log_unreadable()])).encode())
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (len(sound()) + 2, 1, 1, 1)
    told = {one.name: one.value for one in suite.properties()}
    assert (told["level"], told["verdict"], told["driver"]) == ("standard", "FAIL", "570.86.15")
    assert told["generation.pytorch"] == "pytorch-0123456789ab-1"


def test_what_a_node_prints_never_breaks_the_file() -> None:
    whole = report(node1=[*sound(), log_unreadable()])
    assert "\x1b" not in junit(whole)
    assert "�[31m(dmesg)" in read(whole)["node1"][f"gpu.xid ({GPUS[0]})"].result[0].message


def test_a_host_without_checks_is_no_silence() -> None:
    whole = report(node1=sound(), node2=sound(), node3=sound())
    whole["hosts"]["node2"].update(status="unreachable", message="no route to host", checks=None)
    whole["hosts"]["node3"].update(checks=None)
    cases = read(whole)
    assert [type(one) for one in cases["node2"]["validation"].result] == [Error]
    assert cases["node2"]["validation"].result[0].message == "no route to host"
    assert [type(one) for one in cases["node3"]["validation"].result] == [Skipped]


def test_a_node_that_failed_beside_its_checks_is_an_error_too() -> None:
    whole = report(node1=sound())
    whole["hosts"]["node1"].update(status="failed", message="no room to write the record")
    assert read(whole)["node1"]["validation"].result[0].message == "no room to write the record"
