"""The verbs of validation as they are typed: levels, files for other programs, schemas, comparisons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from junitparser import JUnitXml
from tests.contract.variables_page import options_of
from tests.unit.checks.records import fleet, log_unreadable, remap_pending, report, sound
from tests.unit.cli.test_main import HOME, condafleet

from condafleet import api
from condafleet.cli.exit_codes import exit_code
from condafleet.cli.output import Output
from condafleet.errors import InputError
from condafleet.results import FleetResult


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report(node1=[*sound(), remap_pending()], node2=sound())))
    return path


def asked(monkeypatch: pytest.MonkeyPatch, **given: Any) -> Any:
    """Return the variables that a call of `validate` would run Ansible with; only the run itself is left out."""
    calls = []

    def keep(call: Any, _on_event: Any) -> FleetResult:
        calls.append(call)
        return fleet(node1=sound())

    monkeypatch.setattr(api, "run_call", keep)
    api.validate(inventory=["node1"], **given)
    return calls[0].extra_vars


def test_keywords_become_the_role_s_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch) == {}
    assert asked(monkeypatch, level="full", rerun=True, rerun_previous=True, extra_vars={"a": 1}) == {
        "a": 1, "validation_level": "full", "validation_rerun": True, "validation_rerun_previous": True,
    }  # fmt: skip
    assert {"validation_level", "validation_rerun", "validation_rerun_previous"} <= set(
        options_of(HOME / "roles" / "validation")
    )
    with pytest.raises(InputError, match=r"level: .deep. is not accepted\. Accepted: smoke, standard, full"):
        api.validate(inventory=["node1"], level="deep")


@pytest.mark.parametrize(
    ("findings", "code"), [(sound(), 0), ([*sound(), remap_pending()], 5), ([*sound(), log_unreadable()], 5)]
)
def test_a_bad_verdict_is_status_5(findings: list[dict[str, Any]], code: int) -> None:
    assert exit_code(fleet(node1=sound(), node2=findings), "validate") == code


def test_a_level_that_is_none_is_said_before_anything_is_done() -> None:
    done = condafleet("validate", "-i", "node1,", "--level", "deep")
    assert (done.returncode, "level: 'deep' is not accepted" in done.stderr) == (2, True)


def test_junit_beside_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "checks.xml"
    output = Output(None, str(path))
    output.prepare()
    output.result(fleet(node1=[*sound(), remap_pending()]), "validate")
    assert "node1: FAIL gpu.remaps" in capsys.readouterr().out
    assert [suite.failures for suite in JUnitXml.fromfile(str(path))] == [1]
    with pytest.raises(InputError, match=r"--junit: .* is a folder"):
        Output(None, str(tmp_path)).prepare()


def test_a_saved_report_in_other_forms(saved: Path, tmp_path: Path) -> None:
    shown = condafleet("report", str(saved))
    assert "node1: FAIL gpu.remaps" in shown.stdout
    written = condafleet("report", str(saved), "--format", "junit")
    assert [suite.name for suite in JUnitXml.fromstring(written.stdout.encode())] == ["node1", "node2"]
    text = tmp_path / "fleet.prom"
    done = condafleet("report", str(saved), "--format", "prometheus", "--output", str(text))
    assert (done.returncode, done.stdout) == (0, "")
    assert 'host="node1",check="gpu.remaps"' in text.read_text()
    assert text.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("report", "x", "--format", "pdf"), "--format: pdf is not accepted. Accepted: table, junit, prometheus."),
        (("report", "x", "--output", "y"), "--output: tables go to the terminal"),
        (("compare",), "compare: two reports are needed"),
        (("compare", "-i", "node1,", "a/b.json"), "compare: a/b.json is a file, and -i asks the nodes"),
        (("compare", "no", "such"), "report: no is not accepted"),
        (("schema", "nothing"), "schema: nothing is not accepted. Accepted: report, checks, finding."),
    ],
)
def test_wrong_use_is_status_2(tmp_path: Path, args: tuple[str, ...], said: str) -> None:
    done = condafleet(*args, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_two_reports_compared(saved: Path, tmp_path: Path) -> None:
    same = condafleet("compare", str(saved), str(saved))
    assert (same.returncode, same.stdout.splitlines()[-1]) == (0, "node[1-2]: Nothing moved.")
    other = tmp_path / "other.json"
    other.write_text(json.dumps(report(node1=[*sound(), remap_pending()], node2=sound(600.0))))
    assert condafleet("compare", str(saved), str(other), "--limit", "node1").returncode == 0
    done = condafleet("compare", str(saved), str(other), "--json", "-")
    assert done.returncode == 3
    assert [name for name, host in json.loads(done.stdout)["hosts"].items() if host["moved"]] == ["node2"]


def test_a_schema_stands_alone(saved: Path) -> None:
    schema = json.loads(condafleet("schema", "report").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(saved.read_text()))
