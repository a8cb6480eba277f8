"""Exit statuses, values of options, tables and progress lines: without Ansible."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from condafleet.cli import status_tables, tables
from condafleet.cli.depot import size
from condafleet.cli.exit_codes import error_code, exit_code
from condafleet.cli.options import read_extra_vars, read_inventory, read_value
from condafleet.cli.output import Output, write_whole
from condafleet.cli.progress import Progress, elapsed, warnings_of
from condafleet.errors import DepotError, InputError, LockError, RunError, RunInterruptedError
from condafleet.report import load_report
from condafleet.results import FleetResult, HostResult, Status


def host(status: Status = "ok", verdict: str | None = None, action: str = "none") -> HostResult:
    data: dict[str, Any] = {"plan": {"environments": {"e": {"action": action, "target": "t", "why": "w"}}}}
    if verdict:
        data["validation"] = {"e": {"torch": {"verdict": verdict, "test_accuracy": 0.98, "images_per_second": 1234.5}}}
    bad = status in ("failed", "unreachable")
    return HostResult("n", status, "because" if bad else None, "Do it" if bad else None, data)


def refused(verdict: str, action: str = "none", why: str | None = "the last verdict was bad") -> HostResult:
    """Return a host as `status` finds it after a validation, and why the plan has it looked at again."""
    found = host(action=action)
    observed = {"checked": {"verdict": verdict, "level": "standard", "ended": "2026-01-02T03:00:00Z"}}
    return HostResult("n", "ok", data={"observed": observed, "plan": {**found.data["plan"], "checks": why}})


def stored_failure() -> HostResult:
    """Return a host with a bad verdict from an earlier run, in a run that validated nothing."""
    observed = {
        "environments": {"e": {"kind": "link", "generation": "g"}},
        "validations": {"e": {"torch": {"verdict": "FAIL", "generation": "g"}}},
    }
    found = HostResult("n", "ok", data={"observed": observed, **host().data})
    assert found.validation["e"]["verdict"] == "FAIL"
    return found


def audited(channel: str, tos: str = "decline", **more: Any) -> HostResult:
    rows = [["conda", "python", "3.11.7", "0", channel, "PSF-2.0"], ["pip", "namex", "0.1.0", "", None, None]]
    one = {"generation": "e-0123456789ab-1", "target": "t", "packages": rows}
    fields = ["manager", "name", "version", "build", "channel", "license"]
    audit = {"environments": {"e": one}, "fields": fields, "absent": [], "accepted": [], "tos": tos, **more}
    return HostResult("n", "ok", data={"audit": audit})


def fleet(*hosts: HostResult, **more: Any) -> FleetResult:
    named = {f"n{number}": one for number, one in enumerate(hosts)}
    return FleetResult(named, "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", **more)


def test_what_a_task_warned_of_is_shown() -> None:
    said = io.StringIO()
    progress = Progress(Console(file=said, width=200))
    result = {"changed": True, "warnings": ["n1: mind the gap", {"msg": "and this"}]}
    progress.event({"event": "runner_on_ok", "event_data": {"host": "n1", "res": result}})
    assert said.getvalue().split("\n")[:3] == [
        "    changed  n1: ",
        "    warning  n1: mind the gap",
        "    warning  n1: and this",
    ]
    assert (warnings_of({}), warnings_of({"warnings": None})) == ([], [])


@pytest.mark.parametrize(
    ("verb", "result", "check", "code"),
    [
        ("provision", fleet(host()), False, 0),
        ("provision", fleet(host("changed")), False, 0),
        ("plan", fleet(host("changed", action="build")), True, 0),
        ("provision", fleet(host("failed"), host("unreachable")), False, 1),
        ("provision", fleet(host("unreachable"), host("changed")), False, 4),
        ("provision", fleet(host("unreachable"), host("failed", "FAIL")), False, 4),
        ("provision", fleet(host("failed", "FAIL"), host("failed")), False, 1),
        ("provision", fleet(host("failed", "FAIL")), False, 5),
        ("validate", fleet(host("failed", "ERROR")), False, 5),
        ("validate", fleet(host("ok", "ERROR")), False, 5),
        ("validate", fleet(host("ok", "SKIP"), host("ok", "PASS")), False, 0),
        ("provision", fleet(stored_failure()), False, 0),
        ("status", fleet(host(action="build")), False, 3),
        ("status", fleet(host()), False, 0),
        ("status", fleet(host(), refused("FAIL")), False, 5),
        ("status", fleet(refused("ERROR")), False, 5),
        ("status", fleet(refused("FAIL"), host(action="build")), False, 3),
        ("status", fleet(refused("FAIL"), host("unreachable")), False, 4),
        # Not yet validated as declared now, which is what a run is for; and switched off.
        ("status", fleet(refused("PASS"), refused("SKIP")), False, 0),
        ("status", fleet(refused("FAIL", why=None)), False, 0),
        ("provision", fleet(refused("FAIL")), False, 0),
        ("environments", fleet(host(action="build")), False, 0),
        ("audit", fleet(audited("https://conda.anaconda.org/conda-forge")), False, 0),
        ("audit", fleet(audited("https://repo.anaconda.com/pkgs/main")), False, 3),
        ("audit", fleet(audited("https://repo.anaconda.com/pkgs/main", tos="accept")), False, 0),
        ("audit", fleet(audited("https://repo.anaconda.com/pkgs/main"), host("unreachable")), False, 4),
        ("lock", fleet(host("changed")), True, 3),
        ("lock", fleet(host("changed")), False, 0),
        ("lock", fleet(host(), locks={"e": {"t": {"state": "unlocked"}}}), True, 3),
        ("lock", fleet(host(), locks={"e": {"t": {"state": "reused"}}}), True, 0),
    ],
)
def test_exit_status(verb: str, result: FleetResult, check: bool, code: int) -> None:
    assert exit_code(result, verb, check=check) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("x"), 2),
        (LockError("x"), 2),
        (RunInterruptedError("x"), 130),
        (RunError("x"), 1),
        (DepotError("x"), 1),
    ],
)
def test_exit_status_of_errors(error: Any, code: int) -> None:
    assert error_code(error) == code


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("24.10", "24.10"),
        ("0755", "0755"),
        ("5", 5),
        ("true", True),
        ("True", "True"),
        ("null", None),
        ('["a", 1]', ["a", 1]),
        ('{"a": 1.5}', {"a": 1.5}),
        ('"quoted"', '"quoted"'),
        ("a=b c", "a=b c"),
        ("", ""),
    ],
)
def test_values(text: str, value: Any) -> None:
    assert read_value(text) == value
    assert type(read_value(text)) is type(value)


def test_extra_vars() -> None:
    assert read_extra_vars(["a=1", "@vars.yml", "b=x=y", "a=2"]) == ({"a": 2, "b": "x=y"}, ["vars.yml"])
    with pytest.raises(InputError, match=r"--extra-vars: 'no-value' is not accepted\. Accepted: KEY=VALUE, or @FILE"):
        read_extra_vars(["no-value"])


def test_inventories(tmp_path: Path) -> None:
    odd = tmp_path / "a,b"
    odd.write_text("")
    assert read_inventory("hosts.yml") == "hosts.yml"
    assert read_inventory("gpu1, gpu2,") == ["gpu1", "gpu2"]
    assert read_inventory(str(odd)) == str(odd)


def text_of(*what: Any) -> str:
    out = Console(file=io.StringIO(), width=120, markup=False, highlight=False)
    for one in what:
        out.print(one)
    return out.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_hosts_worst_first_with_task_and_message() -> None:
    report = fleet(host(action="build"), host("changed"), host("failed")).report()
    lines = text_of(tables.hosts(report, {"n2": "Do it: because"}), tables.summary(report)).splitlines()
    assert [line.split()[0] for line in lines] == ["host", "n2", "n1", "n0", "3"]
    assert "Do it: because" in lines[1]
    assert "e (t) behind" in lines[3]
    assert lines[-1] == "3 hosts: 1 ok, 1 changed, 1 failed, 0 unreachable"


def test_locks_say_why_and_what_changes() -> None:
    solved = {"state": "made", "digest": "0123456789abcdef", "why": ["the spec changed: conda adds numpy"]}
    locks = {
        "a": {"t": {**solved, "changes": ["numpy 2.1.0 is new (conda)"]}, "u": {**solved, "changes": []}},
        "b": {"t": {"state": "reused", "digest": "f" * 64, "why": [], "changes": None}},
        "c": {"t": {**solved, "changes": ["x 1 → 2 (pip)", "y is gone (pip)"]}},
    }
    lines = text_of(tables.locks(locks)).splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        ["a", "t", "made"], ["a", "u", "made"], ["b", "t", "reused"], ["c", "t", "made"],
    ]  # fmt: skip
    assert [line.rstrip().split("  ")[-1].strip() for line in lines[1:]] == [
        "numpy 2.1.0 is new (conda)", "nothing", "f" * 12, "2 packages",
    ]  # fmt: skip
    assert tables.lock_changes(locks) == [
        "", "a for t:", "  numpy 2.1.0 is new (conda)",
        "", "a for u:", "  nothing",
        "", "c for t:", "  x 1 → 2 (pip)", "  y is gone (pip)",
    ]  # fmt: skip


def test_how_a_host_stands() -> None:
    assert status_tables.stand(host()) == ("ok", "")
    part = host(action="build")
    part.data["plan"]["shells"] = [{"what": "bash", "before": None, "after": "block"}]
    assert status_tables.stand(part) == ("behind", "bash")
    lost = HostResult("lost", "unreachable", "no route", "Observe")
    assert status_tables.summary({"a": host(), "b": part, "c": host(), "lost": lost}).plain == (
        "4 hosts: 2 ok, 1 behind, 1 unreachable"
    )
    assert status_tables.summary({"a": part}).plain == "1 host: 1 behind"
    assert tables.planned(part) == "bash; e: w"


def test_a_node_that_failed_its_last_validation_is_not_ok() -> None:
    bad = refused("FAIL")
    assert bad.state == "ok"
    assert status_tables.stand(bad) == ("FAIL", "check the node: the last verdict was bad")
    assert status_tables.stand(refused("FAIL", action="build"))[0] == "behind"
    hosts = {"a": host(), "b": bad, "c": refused("ERROR"), "d": host(action="build")}
    assert status_tables.summary(hosts).plain == "4 hosts: 1 ok, 1 ERROR, 1 FAIL, 1 behind"
    column = [str(cell) for cell in status_tables.nodes(hosts).columns[1].cells]
    assert column == ["behind", "FAIL", "ERROR", "ok"]


def test_a_training_that_failed_counts_for_the_generation_that_is_current() -> None:
    failed = stored_failure()
    plan = {**failed.data["plan"], "validation": {"e": {"torch": "the last verdict was FAIL"}}}
    assert HostResult("n", "ok", data={**failed.data, "plan": plan}).bad_verdict == "FAIL"
    newer = {**failed.data["observed"], "environments": {"e": {"kind": "link", "generation": "h"}}}
    assert HostResult("n", "ok", data={"observed": newer, "plan": plan}).bad_verdict is None
    assert failed.bad_verdict is None


def test_last_verdicts_of_nodes_the_worst_first() -> None:
    def last(verdict: str, day: int) -> dict[str, Any]:
        return {"verdict": verdict, "level": "standard", "ended": f"2026-01-0{day}T03:00:00Z"}

    hosts: dict[str, Any] = {
        "n1": {"checked": last("PASS", 1)},
        "n2": {"checked": last("PASS", 3)},
        "bad": {"checked": last("FAIL", 2), "plan": {"checks": "the last verdict was FAIL"}},
        "new": {"checked": None},
        "now": {"checked": last("FAIL", 2), "checks": {"verdict": "PASS"}},
    }
    table = status_tables.checked({"hosts": hosts})
    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    assert list(zip(*columns, strict=True)) == [
        ("FAIL", "standard", "1", "bad", "2026-01-02T03:00:00Z", "the last verdict was FAIL"),
        ("PASS", "standard", "2", "n[1-2]", "2026-01-01T03:00:00Z to 2026-01-03T03:00:00Z", ""),
    ]


def test_what_is_planned_for_a_host() -> None:
    assert tables.planned(host()) == ""
    unproven = HostResult("n", "changed", data={"plan": {"validation": {"e": {"torch": "it never ran"}}}})
    assert tables.planned(unproven) == "validate e with torch: it never ran"
    assert tables.planned(HostResult("n", "changed", data={"plan": {"checks": "never checked"}})) == (
        "check the node: never checked"
    )


def test_a_plan_says_what_would_be_changed(capsys: pytest.CaptureFixture[str]) -> None:
    Output().result(fleet(host("changed", action="build"), host()), "plan", check=True)
    assert "e: w" in capsys.readouterr().out
    Output().result(fleet(host("changed", action="build"), host()), "provision")
    assert "e: w" not in capsys.readouterr().out


def test_verdicts_with_their_figures() -> None:
    line = text_of(tables.validation(fleet(host("ok", "PASS")).report())).splitlines()[1]
    assert line.split() == ["n0", "e", "torch", "PASS", "0.9800", "-", "1,234", "-"]


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def shown(*events: dict[str, Any], **more: Any) -> list[str]:
    out = Console(file=io.StringIO(), width=40, markup=False, highlight=False)
    progress = Progress(out, clock=Clock(), **more)
    for one in events:
        progress.event(one)
    return out.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


def event(kind: str, stdout: str = "", **data: Any) -> dict[str, Any]:
    return {"event": kind, "stdout": stdout, "event_data": data}


def test_plain_progress() -> None:
    long = "m" * 60
    assert shown(
        event("playbook_on_play_start", name="Stage"),
        event("playbook_on_task_start", task="Validating arguments against arg spec 'main' - Install"),
        event("playbook_on_task_start", task="Install conda"),
        event("runner_on_ok", host="a", res={"changed": False}),
        event("runner_on_ok", host="b", res={"changed": True}),
        event("verbose", "\x1b[0;32ma: pytorch: link 40/120 packages (12 s)\x1b[0m"),
        event("verbose", "skipping: no hosts matched"),
        event("runner_on_failed", host="c", res={"msg": long}),
        event("runner_on_failed", host="c", res={"msg": "no"}, ignore_errors=True),
        event("runner_on_unreachable", host="d", res={"msg": "no route"}),
        event("runner_on_file_diff", "- old\n+ new"),
    ) == [
        "Stage",
        "  Install conda",
        "    changed  b: Install conda",
        "    a: pytorch: link 40/120 packages (12 s)",
        f"    failed  c: Install conda: {long}",
        "    ignored  c: Install conda: no",
        "    unreachable  d: no route",
    ]


def test_differences_and_unchanged_hosts_when_asked_for() -> None:
    assert shown(event("runner_on_file_diff", "- old\n+ new"), diff=True) == ["    - old", "    + new"]
    assert shown(event("runner_on_ok", host="a", res={}), verbosity=1) == ["    ok  a: "]


def test_nothing_is_silent_for_long() -> None:
    out = Console(file=io.StringIO(), width=80, markup=False, highlight=False)
    clock = Clock()
    progress = Progress(out, clock=clock)
    progress.event(event("playbook_on_task_start", task="Train"))
    clock.now = 14.0
    progress.break_silence()
    clock.now = 16.0
    progress.break_silence()
    clock.now = 17.0
    progress.break_silence()
    assert out.file.getvalue().splitlines() == ["  Train", "    still at it, 0:16  Train"]  # type: ignore[attr-defined]
    assert elapsed(125) == "2:05"


def test_a_moving_line_on_a_terminal() -> None:
    out = Console(file=io.StringIO(), width=80, force_terminal=True, markup=False, highlight=False)
    with Progress(out) as progress:
        progress.event(event("playbook_on_play_start", name="Stage"))
        progress.event(event("playbook_on_task_start", task="Install conda"))
        progress.event(event("runner_on_failed", host="c", res={"msg": "no room"}))
    said = out.file.getvalue()  # type: ignore[attr-defined]
    assert "failed  c: Install conda: no room" in said
    assert "\n  Install conda\n" not in said  # the moving line has it


def test_json_alone_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    Output("-").result(fleet(host()), "provision")
    out, err = capsys.readouterr()
    assert json.loads(out)["fleet"]["ok"] == 1
    assert "1 host: 1 ok" in err


def test_a_report_that_can_not_be_written_is_said_first(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--json: .* is a folder\. Accepted: a file, or -\."):
        Output(str(tmp_path)).prepare()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't be written"):
        Output(str(tmp_path / "file/report.json")).prepare()
    # A folder in which nobody may make a file, not even root.
    with pytest.raises(InputError, match="can't be written"):
        Output(json_file=None, junit_file="/proc/checks.xml").prepare()


def test_what_is_no_file_is_written_to_and_stays(tmp_path: Path) -> None:
    """As root a report to /dev/null would leave a file in its place, for every other program of the machine."""
    nothing, link, report = tmp_path / "nothing", tmp_path / "link", tmp_path / "report.json"
    nothing.symlink_to("/dev/null")
    report.write_text("before")
    link.symlink_to(report)
    for path in (nothing, link):
        Output(str(path)).prepare()
        write_whole(path, "after")
    assert nothing.is_symlink() and Path("/dev/null").is_char_device()
    assert link.is_symlink() and report.read_text() == "after"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "nothing", "report.json"]


PART = {"status": "ok", "message": None, "installation": {}, "environments": {}, "validation": {}}


def test_a_saved_report_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    report = fleet(host("ok", "PASS")).report()
    write_whole(path, json.dumps(report))
    assert path.stat().st_mode & 0o777 == 0o644
    assert load_report(path) == report


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "it is no JSON"),
        ("[]", "it has no fleet and hosts"),
        ('{"fleet": {}, "hosts": {}, "schema_version": 2}', "its schema_version is 2"),
        ('{"fleet": {}, "hosts": {}, "schema_version": 1}', "fleet has no number of hosts"),
        ({"a": {"status": "ok"}}, "host a has no message"),
        ({"a": {**PART, "status": "odd"}}, "host a has the status 'odd'"),
        ({"a": {**PART, "environments": {"e": 1}}}, "host a has malformed environments"),
        ({"a": {**PART, "validation": {"e": {}}}}, "host a has malformed validation"),
    ],
)
def test_a_file_that_is_no_report(tmp_path: Path, text: str | dict[str, Any], said: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text if isinstance(text, str) else json.dumps({**fleet().report(), "hosts": text}))
    with pytest.raises(InputError) as caught:
        load_report(path)
    assert said in caught.value.message
    assert "Accepted: a report of schema_version 1." in caught.value.message


def test_sizes() -> None:
    assert [size(count) for count in (0, 999, 1000, 2_500_000, 2_400_000_000)] == [
        "0 B",
        "999 B",
        "1 kB",
        "2.5 MB",
        "2.4 GB",
    ]
