"""Two reports side by side, host by host, and two runs of nodes' own histories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.checks.records import EARLIER, GPUS, RUN, fleet, record, remap_pending, report, sound

from condafleet import compare, compare_history
from condafleet.errors import InputError
from condafleet.results import FleetResult, HostResult


def moved(found: dict[str, Any], name: str) -> list[tuple[str, str]]:
    host = found["hosts"][name]
    return [(one["check"], one["subject"]) for one in (*host["verdicts"], *host["figures"])]


def test_only_what_moved_is_told_of_the_hosts_that_moved() -> None:
    before = report(node1=sound(), node2=sound())
    after = report(node1=sound(), node2=sound(bf16=600.0))
    found = compare(before=before, after=after)
    assert (found["moved"], found["hosts"]["node1"]["moved"], moved(found, "node1")) == (True, False, [])
    speeds = [("speed.matmul.bf16", gpu) for gpu in GPUS]
    assert moved(found, "node2") == [*speeds, *speeds]
    assert {one["after"] for one in found["hosts"]["node2"]["verdicts"]} == {"FAIL"}
    assert found["hosts"]["node2"]["conclusion"].startswith("Neither software nor GPUs changed")
    assert not compare(before=before, after=before)["moved"]


def test_what_counts_as_noise_is_the_callers_word() -> None:
    before, after = report(node1=sound(720.0)), report(node1=sound(690.0))
    assert not compare(before=before, after=after)["moved"]
    assert compare(before=before, after=after, noise_percent=4)["moved"]
    with pytest.raises(InputError, match="noise_percent: -1 is not accepted"):
        compare(before=before, after=after, noise_percent=-1)


def test_software_and_gpus_that_changed_are_told() -> None:
    before, after = report(node1=sound()), report(node1=sound(600.0))
    after["hosts"]["node1"]["checks"]["identity"].update(driver="575.51", gpus=[{"uuid": "GPU-new"}])
    host = compare(before=before, after=after)["hosts"]["node1"]
    assert host["software"] == {"driver": ["570.86.15", "575.51"]}
    assert host["gpus"] == {"gone": list(GPUS), "new": ["GPU-new"]}
    assert "driver 570.86.15 → 575.51; 2 GPU(s) gone, 1 new. Hold this node against" in host["conclusion"]


def test_hosts_that_are_not_in_both_are_told_and_compared_with_nobody(tmp_path: Path) -> None:
    before, after = report(node1=sound(), gone=sound(), asleep=sound()), report(node1=sound(), new=sound(), asleep=[])
    after["hosts"]["asleep"]["checks"] = None
    for name, one in (("before", before), ("after", after)):
        (tmp_path / name).write_text(json.dumps(one))
    found = compare(before=tmp_path / "before", after=str(tmp_path / "after"))
    assert list(found["hosts"]) == ["node1"]
    assert found["not_compared"] == {
        "asleep": "it was not validated in the later report",
        "gone": "it is not there in the later report",
        "new": "it is not there in the earlier report",
    }


def test_a_result_is_as_good_as_its_report() -> None:
    assert compare(before=report(node1=sound()), after=fleet(node1=sound()))["hosts"]["node1"]["after"]["run"] == RUN


@pytest.mark.parametrize(("limit", "names"), [("node1", ["node1"]), ("node*,login", ["node1", "node2"])])
def test_a_limit_leaves_others_out(limit: str, names: list[str]) -> None:
    both = report(node1=sound(), node2=sound(), other=sound())
    assert list(compare(before=both, after=both, limit=limit)["hosts"]) == names


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"limit": "nosuch"}, "limit: nosuch leaves no host of the reports"),
        ({"after": {"fleet": {}}}, "report: as given is not accepted"),
        ({"after": "no/such"}, "report: no/such is not accepted"),
        ({"after": report(other=sound())}, "reports: no host was validated in both .*other: it is not there"),
    ],
)
def test_what_can_not_be_compared_is_refused(more: dict[str, Any], said: str) -> None:
    given = {"before": report(node1=sound()), "after": report(node1=sound()), **more}
    with pytest.raises(InputError, match=said):
        compare(**given)


def test_a_report_with_damaged_checks_is_no_report() -> None:
    bad = report(node1=sound())
    del bad["hosts"]["node1"]["checks"]["findings"][0]["verdict"]
    with pytest.raises(InputError, match="host node1 has malformed checks"):
        compare(before=bad, after=bad)


def remembering(**histories: Any) -> FleetResult:
    hosts = {name: HostResult(name, "ok", data={"history": one}) for name, one in histories.items()}
    return FleetResult(hosts, RUN, RUN)


def two_runs(**records: Any) -> dict[str, Any]:
    return {"runs": [RUN, EARLIER], "records": records}


@pytest.mark.parametrize("words", [("previous", "last"), ("last", "previous"), (EARLIER, "last")])
def test_the_older_run_of_a_history_is_the_earlier_one(words: tuple[str, str]) -> None:
    runs = {"last": record([*sound(), remap_pending()]), "previous": record(sound(), run=EARLIER)}
    runs[EARLIER] = runs["previous"]
    one = two_runs(**{word: runs[word] for word in words})
    found = compare_history(result=remembering(node1=one), before=words[0], after=words[1])
    assert [found["hosts"]["node1"][side]["run"] for side in ("before", "after")] == [EARLIER, RUN]


def test_a_node_with_one_run_is_told_and_the_others_are_compared() -> None:
    whole = two_runs(last=record(sound()), previous=record(sound(), run=EARLIER))
    young = {"runs": [RUN], "records": {"last": record(sound()), "previous": None}}
    found = compare_history(result=remembering(node1=whole, node2=young))
    assert list(found["hosts"]) == ["node1"]
    assert found["not_compared"] == {"node2": f"it has no run previous (kept are: {RUN})"}


def test_no_history_at_all_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"previous and last are not accepted, no node keeps both .*never validated"):
        compare_history(result=remembering(node1={"runs": [], "records": {"last": None, "previous": None}}))
    with pytest.raises(InputError, match="runs: previous was not read from node1"):
        compare_history(result=remembering(node1={"runs": [RUN], "records": {"last": record(sound())}}))
