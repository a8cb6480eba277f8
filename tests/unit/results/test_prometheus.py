"""A fleet's verdicts as metrics, read back by Prometheus' own library."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from tests.unit.checks.records import GPUS, log_unreadable, remap_pending, report, sound

from condafleet.prometheus import prometheus


def test_every_metric_stands_once_with_each_host() -> None:
    whole = report(node1=[*sound(), remap_pending()], node2=[*sound(), log_unreadable()], node3=sound())
    whole["hosts"]["node3"]["checks"] = None
    families = {one.name: one for one in text_string_to_metric_families(prometheus(whole))}
    verdicts = families["condafleet_check_verdict"].samples
    assert {one.labels["host"] for one in verdicts} == {"node1", "node2"}
    bad = [one.labels for one in verdicts if one.labels["verdict"] in ("FAIL", "ERROR")]
    assert bad == [
        {"host": "node1", "check": "gpu.remaps", "subject": GPUS[1], "verdict": "FAIL"},
        {"host": "node2", "check": "gpu.xid", "subject": GPUS[0], "verdict": "ERROR"},
    ]
    assert prometheus(whole).count("# TYPE condafleet_check_value gauge") == 1
    speeds = [one for one in families["condafleet_check_value"].samples if one.labels["check"] == "speed.matmul.bf16"]
    assert [(one.labels["host"], one.value) for one in speeds] == [("node1", 720.0)] * 2 + [("node2", 720.0)] * 2


def test_a_name_can_not_end_the_reading() -> None:
    whole = report(node1=sound())
    whole["hosts"] = {'odd"} 1\n': whole["hosts"]["node1"]}
    (name,) = {one.labels["host"] for family in text_string_to_metric_families(prometheus(whole))
               for one in family.samples}  # fmt: skip
    assert name == 'odd"} 1\n'


def test_no_other_line_separator_ends_a_line() -> None:
    """A group's name is a site's own word."""
    whole = report(node1=[{**sound()[0], "subject": "rack\u20287"}])
    samples = [one for family in text_string_to_metric_families(prometheus(whole)) for one in family.samples]
    assert [one.labels["subject"] for one in samples if one.name == "condafleet_check_verdict"] == ["rack\u20287"]


def test_a_host_that_could_not_be_reached_is_told() -> None:
    """It has no checks, and whoever watches only these would take silence for health."""
    whole = report(node1=sound(), node2=sound())
    whole["hosts"]["node2"].update(checks=None, status="unreachable", message="no route to host")
    families = {one.name: one for one in text_string_to_metric_families(prometheus(whole))}
    assert [one.labels for one in families["condafleet_host_status"].samples] == [
        {"host": "node1", "status": "ok"}, {"host": "node2", "status": "unreachable"},
    ]  # fmt: skip


def test_where_nothing_was_validated_no_verdict_is_told() -> None:
    whole = report(node1=sound())
    whole["hosts"]["node1"]["checks"] = None
    names = {one.name for one in text_string_to_metric_families(prometheus(whole))}
    assert names == {"condafleet_host_status"}
