"""A rollback of three nodes on this machine, really run by Ansible: what comes of it in result, report and table."""

from __future__ import annotations

import calendar
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.vars.reserved import get_reserved_names

from ansible_collections.condafleet.core.plugins.module_utils.clock import FORM
from ansible_collections.condafleet.core.plugins.module_utils.fingerprint import fingerprint
from ansible_collections.condafleet.core.plugins.module_utils.generation_drift import DAMAGED
from ansible_collections.condafleet.core.plugins.module_utils.generation_history import announce, confirm
from ansible_collections.condafleet.core.plugins.module_utils.generations import link_state
from ansible_collections.condafleet.core.plugins.module_utils.root_folder import mark_root
from condafleet import api
from condafleet.api import build_call, run_call
from condafleet.cli.output import Output
from condafleet.errors import FleetError, InputError
from condafleet.results import FleetResult

ROOT = Path(__file__).resolve().parents[3]
OLD, NEW = "x-aaaaaaaaaaaa-1", "x-bbbbbbbbbbbb-1"
NODES = ("n1", "n2", "n3")


@pytest.fixture
def fleet(tmp_path: Path) -> dict[str, Any]:
    """Three nodes, each with its own prefix and root: two went from OLD to NEW, the third has NEW alone."""
    hosts = {}
    for node in NODES:
        prefix, root = tmp_path / node / "mini", tmp_path / node / "root"
        (prefix / "envs").mkdir(parents=True)
        root.mkdir()
        mark_root(str(root))
        for day, name in enumerate((OLD, NEW)):
            generation = root / "generations" / name
            (generation / "bin").mkdir(parents=True)
            (generation / "conda-meta").mkdir()
            (generation / "bin/python").symlink_to(sys.executable)
            receipt = {"digest": name[2:14] + "0" * 52, "target": "linux-64-cpu", "packages": [], "frameworks": []}
            receipt["fingerprint"] = fingerprint(str(generation))
            (generation / ".condafleet.json").write_text(json.dumps(receipt))
            if node != "n3" or name == NEW:
                link = prefix / "envs/x"
                announce(str(root), "x", link_state(str(prefix), str(root), "x"), name, "switch", f"2026-01-0{day + 1}")
                link.unlink(missing_ok=True)
                link.symlink_to(generation)
                confirm(str(root), "x")
        hosts[node] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "environments_prefix": str(prefix),
            "environments_root": str(root),
            "environments_become": False,
        }
    return {"all": {"hosts": hosts}}


def current(fleet: dict[str, Any]) -> list[str]:
    hosts = fleet["all"]["hosts"].values()
    return [(Path(host["environments_prefix"]) / "envs/x").readlink().name for host in hosts]


def shown(result: FleetResult, capsys: pytest.CaptureFixture[str], *, check: bool = False) -> str:
    Output().result(result, "rollback", check=check)
    return " ".join(capsys.readouterr().out.split())


def test_who_can_not_go_back_is_named_and_nobody_else(
    fleet: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    result = api.rollback(inventory=fleet)
    assert (result.failed, current(fleet)) == (("n3",), [NEW, NEW, NEW])
    assert "nothing was current before" in str(result.hosts["n3"].message)
    report = result.report()
    assert report["gate"]["rollback"]["missing"] == 1
    assert [host["rollback"] for host in report["hosts"].values()] == [None, None, None]
    with pytest.raises(FleetError, match="1 of 3 nodes can't go back"):
        result.raise_for_status()
    said = shown(result, capsys)
    assert "1 of 3 can't go back nobody goes on n3" in said
    assert "→" not in said


def test_where_it_goes_and_why_one_stays_is_told(fleet: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    promised = api.rollback(inventory=fleet, limit="n1,n2", check=True)
    assert (promised.changed, current(fleet)) == (("n1", "n2"), [NEW, NEW, NEW])
    assert f"n1 changed x: {NEW} → {OLD}" in shown(promised, capsys, check=True)
    done = api.rollback(inventory=fleet, limit="n1,n2", on_event=lambda event: said.append(str(event.get("stdout"))))
    assert current(fleet) == [OLD, OLD, NEW]
    host = done.report()["hosts"]["n1"]
    digest = OLD[2:14] + "0" * 52
    went = {"generation": OLD, "digest": digest, "target": "linux-64-cpu"}
    assert {key: host["environments"]["x"][key] for key in went} == went
    assert host["rollback"] == {"moves": {"x": {"before": NEW, **went}}, "kept": {}}
    assert f"n1 changed x (linux-64-cpu) x: {NEW} → {OLD}" in shown(done, capsys)
    assert not [line for line in said if "WARNING" in line and "loop" in line]
    again = api.rollback(inventory=fleet, limit="n1,n2")
    assert again.changed == ()
    assert again.report()["hosts"]["n2"]["rollback"] == {"moves": {}, "kept": {"x": "it was rolled back already"}}
    assert "n2 ok x: it was rolled back already" in shown(again, capsys)


@pytest.mark.parametrize("note", ['{"since": "2026-01-01T00:00:00Z"}', ""])
def test_what_was_found_damaged_is_nothing_to_go_back_to(fleet: dict[str, Any], note: str) -> None:
    # Its packages are what they were: without the note, which a power cut may empty, nobody would know.
    root = Path(fleet["all"]["hosts"]["n1"]["environments_root"])
    (root / "generations" / OLD / DAMAGED).write_text(note)
    result = api.rollback(inventory=fleet, limit="n1,n2")
    assert (result.failed, current(fleet)) == (("n1",), [NEW, NEW, NEW])
    when = "2026-01-01T00:00:00Z" if note else "an unknown time"
    said = f"no whole generation of {OLD[:-2]} is kept (kept are: {OLD} (drifted: found damaged at {when}"
    assert said in str(result.hosts["n1"].message)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"environments": ["nosuch"]}, "environments: nosuch is not accepted"),
        ({"to": "bad"}, "to: bad is not accepted"),
    ],
)
def test_what_nobody_knows_is_input_also_beside_a_node_that_failed(
    fleet: dict[str, Any], asked: dict[str, Any], said: str
) -> None:
    fleet["all"]["hosts"]["n1"]["environments_prefix"] = "relative"
    with pytest.raises(InputError, match=said):
        api.rollback(inventory=fleet, **asked)
    assert current({"all": {"hosts": {"n2": fleet["all"]["hosts"]["n2"]}}}) == [NEW]


@pytest.mark.parametrize("tasks_from", ["check", "rollback"])
def test_portions_of_a_play_are_one_run(fleet: dict[str, Any], tmp_path: Path, tasks_from: str) -> None:
    # What a run brought is undone together; a portion that comes later is no later run.
    play = {
        "hosts": "n1,n2",
        "gather_facts": False,
        "serial": 1,
        "tasks": [
            {"ansible.builtin.import_role": {"name": "condafleet.core.environments", "tasks_from": tasks_from}},
            {
                "ansible.builtin.copy": {
                    "content": "{{ __environments_run }}",
                    "dest": str(tmp_path / "run-{{ inventory_hostname }}"),
                }
            },
            # All that is told apart is told apart by seconds.
            {"ansible.builtin.wait_for": {"timeout": 2}},
        ],
    }
    (tmp_path / "portions.json").write_text(json.dumps([play]))
    began = int(time.time())
    run_call(build_call(str(tmp_path / "portions.json"), fleet, {}), None).raise_for_status()
    first, second = ((tmp_path / f"run-{node}").read_text() for node in ("n1", "n2"))
    assert first == second
    assert calendar.timegm(time.strptime(first, FORM)) >= began
    if tasks_from == "rollback":
        assert current(fleet) == [OLD, OLD, NEW]
        roots = [Path(fleet["all"]["hosts"][node]["environments_root"]) for node in ("n1", "n2")]
        moves = [json.loads((root / "history.json").read_text())["environments"]["x"][-1] for root in roots]
        assert [one["run"] for one in moves] == [first, first]


def test_no_loop_takes_a_name_that_is_ansible_s_own() -> None:
    # Ansible warns of it at every run.
    reserved = get_reserved_names()
    names = [
        line.split(":", 1)[1].strip()
        for path in (*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/*.yml"))
        for line in path.read_text().splitlines()
        if line.strip().startswith(("loop_var:", "register:", "index_var:"))
    ]
    assert names
    assert [name for name in names if name in reserved] == []


def test_no_action_has_all_variables_of_all_hosts_templated() -> None:
    # 180 ms a host with a node's facts, for 500 hosts a minute and a half; raw_get gives them as they are.
    plugins = [*(ROOT / "plugins/action").glob("*.py"), *(ROOT / "plugins/plugin_utils").glob("*.py")]
    asking = [path.name for path in plugins if '["hostvars"]' in path.read_text()]
    assert asking == ["registered.py"]
    assert '["hostvars"].raw_get(' in (ROOT / "plugins/plugin_utils/registered.py").read_text()
