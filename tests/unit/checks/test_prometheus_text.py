"""Metrics of a node, read by Prometheus' own parsers."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from ansible_collections.condafleet.core.plugins.module_utils import findings, prometheus_text
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import BY_NAME
from ansible_collections.condafleet.core.plugins.module_utils.validation_record import record_of

RUN, END = "2026-01-08T03:00:00Z", "2026-01-08T03:02:05Z"


def record(*found: dict[str, Any]) -> dict[str, Any]:
    return record_of(RUN, "standard", "0" * 64, found, {}, RUN, END)


def read(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """{metric: {labels: value}}; a series that is there twice is an error for node_exporter."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.type == "gauge"
        for sample in family.samples:
            series = found.setdefault(sample.name, {})
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in series
            assert sample.timestamp is None
            series[labels] = sample.value
    return found


SOUND = findings.passed(BY_NAME["speed.disk"], "node", 1250.5)
BAD = findings.failed(BY_NAME["gpu.ecc"], "GPU-1", 2, "2 errors", "drain it")
UNKNOWN = findings.unknown(BY_NAME["gpu.xid"], "node", "no log", "run as root")


def test_verdicts_values_and_times_are_metrics() -> None:
    found = read(prometheus_text.render(record(SOUND, BAD, UNKNOWN)))
    assert found["condafleet_check_verdict"] == {
        (("check", "gpu.ecc"), ("subject", "GPU-1"), ("verdict", "FAIL")): 1,
        (("check", "gpu.xid"), ("subject", "node"), ("verdict", "ERROR")): 1,
        (("check", "speed.disk"), ("subject", "node"), ("verdict", "PASS")): 1,
    }
    assert found["condafleet_check_value"] == {
        (("check", "gpu.ecc"), ("subject", "GPU-1"), ("unit", "errors")): 2,
        (("check", "speed.disk"), ("subject", "node"), ("unit", "MB/s")): 1250.5,
    }
    assert found["condafleet_validation_verdict"] == {(("level", "standard"), ("verdict", "FAIL")): 1}
    assert found["condafleet_validation_findings"][(("verdict", "SKIP"),)] == 0
    assert found["condafleet_validation_timestamp_seconds"] == {(): 1767841325}
    assert found["condafleet_validation_duration_seconds"] == {(): 125}


@given(st.text(max_size=40))
def test_no_subject_can_break_the_file(subject: str) -> None:
    one = findings.passed(BY_NAME["speed.disk"], subject, 1.0)
    ((labels, _value),) = read(prometheus_text.render(record(one)))["condafleet_check_value"].items()
    assert dict(labels)["subject"] == subject.replace("\r", " ")


def test_a_surrogate_is_no_text_of_utf_8() -> None:
    one = findings.passed(BY_NAME["speed.disk"], "a\udcffb", 1.0)
    assert 'subject="a?b"' in prometheus_text.render(record(one))


def test_of_two_findings_of_one_series_the_worse_one_stands() -> None:
    worse = findings.failed(BY_NAME["speed.disk"], "node", 5.0, "slow", "replace")
    for order in ((SOUND, worse), (worse, SOUND)):
        found = read(prometheus_text.render(record(*order)))
        assert [dict(labels)["verdict"] for labels in found["condafleet_check_verdict"]] == ["FAIL"]
        assert list(found["condafleet_check_value"].values()) == [5.0]


@pytest.mark.parametrize("value", [math.nan, math.inf, None, True, "570.86", [13]])
def test_what_is_no_figure_has_no_value(value: Any) -> None:
    one = findings.passed(BY_NAME["gpu.driver"], "node", value)
    assert "condafleet_check_value" not in read(prometheus_text.render(record(one)))


def test_a_node_without_findings_has_metrics_too() -> None:
    found = read(prometheus_text.render(record()))
    assert found["condafleet_validation_verdict"] == {(("level", "standard"), ("verdict", "SKIP")): 1}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (Debian: prometheus)")
def test_promtool_has_nothing_to_complain_of() -> None:
    text = prometheus_text.render(record(SOUND, BAD, UNKNOWN))
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_alerts_in_the_documentation_are_about_metrics_that_are_there() -> None:
    page = (Path(__file__).parents[3] / "docs" / "validation.md").read_text()
    alerts = page.partition("\n## Alerts\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"condafleet_\w+", alerts))
    found = read(prometheus_text.render(record(SOUND, BAD)))
    assert "condafleet_validation_timestamp_seconds" in named <= set(found)
    # The rule about the age counts from the end of the validation.
    age = found["condafleet_validation_timestamp_seconds"][()]
    assert age == datetime.fromisoformat(END).timestamp()
