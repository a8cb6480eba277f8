"""The action condafleet.core.lock, in real ansible-playbook runs on the controller alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from condafleet.lock import lock_all

REPOSITORY = Path(__file__).parents[3]
PLAYBOOK = """
- name: Lock
  hosts: all
  gather_facts: false
  tasks:
    - name: Lock
      condafleet.core.lock: "{{ arguments }}"
      register: result
      run_once: true
    - name: Show
      ansible.builtin.copy:
        content: "{{ {'result': result, 'fact': __environments_locks, 'host': inventory_hostname} | to_json }}"
        dest: "{{ playbook_dir }}/{{ inventory_hostname }}.json"
        mode: "0600"
      delegate_to: localhost
      vars:
        ansible_connection: local
      check_mode: false
"""


@pytest.fixture
def play(tmp_path):
    """Runs the action for two nodes that can't be reached; gives (exit code, output, what each node saw)."""
    folder = tmp_path / "play"
    (folder / "inventory").mkdir(parents=True)
    (folder / "inventory" / "hosts.yml").write_text(
        "all: {hosts: {one: {ansible_host: 192.0.2.1}, two: {ansible_host: 192.0.2.2}}}\n"
    )

    def run(arguments, *options, condafleet=True, once=True):
        (folder / "play.yml").write_text(PLAYBOOK if once else PLAYBOOK.replace("      run_once: true\n", ""))
        (folder / "vars.json").write_text(json.dumps({"arguments": arguments}))
        shadow = tmp_path / "shadow" / "condafleet"
        if not condafleet:
            shadow.mkdir(parents=True, exist_ok=True)
            (shadow / "__init__.py").write_text("raise ImportError('condafleet is hidden by a test')\n")
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PYTHON"))}
        environ["PYTHONPATH"] = str(REPOSITORY / "python" if condafleet else shadow.parent)
        environ["ANSIBLE_COLLECTIONS_PATH"] = str(REPOSITORY / "collections")
        environ["ANSIBLE_HOME"] = str(tmp_path / "ansible")
        environ["ANSIBLE_LOCALHOST_WARNING"] = "false"
        command = [sys.executable, "-m", "ansible.cli.playbook", "-i", "inventory/hosts.yml", "-e", "@vars.json"]
        done = subprocess.run(
            [*command, *options, "play.yml"], cwd=folder, env=environ, capture_output=True, text=True, check=False
        )
        found = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json") if path.stem != "vars"}
        for path in folder.glob("*.json"):
            path.unlink()
        return done.returncode, done.stdout + done.stderr, found

    return run


@pytest.fixture
def arguments(made, declared, targets):
    """What the role would hand to the action."""
    return {
        "environments": [declared],
        "targets": targets,
        "locks_dir": "locks",
        "depot": made.write(),
    }


def test_locks_are_made_beside_the_inventory_and_then_reused(play, arguments, tmp_path):
    code, output, hosts = play(arguments, "--diff")
    assert code == 0, output
    lock = hosts["one"]["result"]["locks"]["pytorch"]["linux-64-cpu"]
    assert (lock["state"], hosts["one"]["result"]["changed"]) == ("made", True)
    assert lock["conda_lock"] == str(tmp_path / "play/inventory/locks/pytorch/linux-64-cpu.conda-lock.yml")
    assert "+pip torch 2.7.1+cpu" in output
    assert "solving 2 conda specs" in output
    # run_once, yet every node has the fact that the plan reads
    assert hosts["one"]["fact"] == hosts["two"]["fact"] == hosts["one"]["result"]["locks"]
    # each node has it, so it holds no list of packages
    assert len(json.dumps(lock)) < 1000

    code, output, hosts = play(arguments)
    again = hosts["two"]["fact"]["pytorch"]["linux-64-cpu"]
    assert (code, again["state"], again["digest"]) == (0, "reused", lock["digest"])
    assert hosts["one"]["result"]["changed"] is False


def test_check_mode_writes_nothing_and_says_unlocked(play, arguments, tmp_path):
    code, output, hosts = play(arguments, "--check", "--diff")
    assert code == 0, output
    lock = hosts["one"]["result"]["locks"]["pytorch"]["linux-64-cpu"]
    assert (lock["state"], lock["digest"]) == ("unlocked", None)
    assert hosts["one"]["result"]["changed"] is True
    assert "unknown until locked" in output
    assert not (tmp_path / "play/inventory/locks").exists()


def test_current_locks_need_no_condafleet_and_missing_ones_name_it(play, arguments, tmp_path):
    locks = tmp_path / "play/inventory/locks"
    (state,) = lock_all(arguments["environments"], arguments["targets"], locks, depot=arguments["depot"])
    code, output, hosts = play(arguments, condafleet=False)
    assert code == 0, output
    assert hosts["one"]["fact"]["pytorch"]["linux-64-cpu"]["digest"] == state.digest

    state.pylock.unlink()
    code, output, hosts = play(arguments, condafleet=False)
    assert code == 2
    assert "no current lock of pytorch for linux-64-cpu" in output
    assert "`pip install condafleet`" in output


def test_an_unsatisfiable_spec_is_explained_and_nothing_is_written(play, arguments, tmp_path):
    arguments["environments"][0]["spec"] = {"conda": ["python=3.11"], "pip": ["torch==9"]}
    code, output, _ = play(arguments)
    assert code == 2
    assert "the pip part can't be solved for target 'linux-64-cpu'" in " ".join(output.split())
    assert "torch==9" in output
    assert not (tmp_path / "play/inventory/locks").exists()


def test_a_spec_is_found_beside_the_inventory_and_updated_by_name(play, arguments, made, tmp_path):
    spec = tmp_path / "play/inventory/environments/x.yml"
    spec.parent.mkdir()
    spec.write_text("dependencies:\n- python=3.11\n")
    arguments["environments"][0]["spec"] = "environments/x.yml"
    code, output, hosts = play(arguments)
    assert code == 0, output
    # without run_once, as the role calls it: the first host solves, the others find it done
    made.conda("python", "3.11.10", depends=["zlib"])
    arguments["depot"] = made.write()
    code, output, hosts = play({**arguments, "update": ["pytorch"]}, once=False)
    assert code == 0, output
    locks = [hosts[name]["fact"]["pytorch"]["linux-64-cpu"] for name in ("one", "two")]
    assert sorted(lock["state"] for lock in locks) == ["made", "reused"]
    assert output.count("solving 1 conda specs") == 1
    assert [lock["changes"] for lock in locks if lock["state"] == "made"] == [["python 3.11.9 → 3.11.10 (conda)"]]
    # Asked for again, it is solved again; and since nothing new comes of it, nothing is made.
    code, output, hosts = play({**arguments, "update": True})
    again = hosts["one"]["result"]["locks"]["pytorch"]["linux-64-cpu"]
    assert (again["state"], again["changes"], hosts["one"]["result"]["changed"]) == ("reused", [], False)
    code, output, hosts = play({**arguments, "update": ["typo"]})
    assert code == 2
    assert "update: 'typo' is no environment. Accepted: pytorch" in output


def test_a_preview_says_what_would_change_and_writes_nothing(play, arguments, made, tmp_path):
    code, output, _ = play(arguments)
    assert code == 0, output
    locks = tmp_path / "play/inventory/locks/pytorch"
    before = {path.name: path.read_bytes() for path in locks.iterdir()}
    made.conda("zlib", "1.3.2")
    for page in made.root.rglob("index.html"):
        page.unlink()
    arguments["depot"] = made.write()
    arguments["environments"][0]["spec"]["conda"].append("tool")
    code, output, hosts = play({**arguments, "preview": True, "upgrade": ["zlib"]}, "--check", once=False)
    assert code == 0, output
    for host in hosts.values():
        lock = host["result"]["locks"]["pytorch"]["linux-64-cpu"]
        assert (lock["state"], lock["digest"]) == ("unlocked", None)
        assert lock["why"] == ["the spec changed: conda adds tool"]
        assert lock["changes"] == ["tool 1.0 is new (conda)", "zlib 1.3.1 → 1.3.2 (conda)"]
        assert host["result"]["changed"] is True
    # Two hosts of one run, one solve.
    assert output.count("solving 3 conda specs") == 1
    assert {path.name: path.read_bytes() for path in locks.iterdir()} == before
    arguments["environments"][0]["spec"]["conda"].remove("tool")
    code, output, hosts = play({**arguments, "preview": True, "update": True}, "--check", "--diff")
    assert hosts["one"]["result"]["locks"]["pytorch"]["linux-64-cpu"]["changes"] == ["zlib 1.3.1 → 1.3.2 (conda)"]
    assert "all of it to be solved anew, as asked" in output
    code, output, hosts = play({**arguments, "preview": True, "upgrade": ["numpy"]}, "--check")
    same = hosts["one"]["result"]["locks"]["pytorch"]["linux-64-cpu"]
    assert (same["state"], same["changes"], hosts["one"]["result"]["changed"]) == ("reused", [], False)


def test_only_what_is_named_is_locked(play, arguments, tmp_path):
    arguments["environments"].append({"name": "zlib", "spec": {"conda": ["zlib"]}, "targets": ["linux-64-cpu"]})
    arguments["environments"][0]["targets"] = ["linux-64-cpu", "linux-64-cuda12"]
    # As `-e` gives them.
    only = {"environments": "pytorch,", "targets": "linux-64-cpu"}
    code, output, hosts = play({**arguments, "only": only})
    assert code == 0, output
    assert {name: sorted(targets) for name, targets in hosts["one"]["fact"].items()} == {"pytorch": ["linux-64-cpu"]}
    assert [path.name for path in (tmp_path / "play/inventory/locks").iterdir()] == ["pytorch"]
    for wrong, message in (
        ({"environments": ["typo"]}, "environments: 'typo' is no environment. Accepted: pytorch, zlib"),
        (
            {"targets": ["typo"]},
            "targets: 'typo' is no target of any environment. Accepted: linux-64-cpu, linux-64-cuda12",
        ),
        (
            {"environments": ["zlib"], "targets": ["linux-64-cuda12"]},
            "'linux-64-cuda12' is no target of zlib. Accepted: linux-64-cpu",
        ),
    ):
        code, output, _ = play({**arguments, "only": wrong})
        assert (code, message in " ".join(output.split())) == (2, True), output


def test_an_environment_of_other_nodes_alone_is_no_mistake(play, arguments):
    """What is named on the command line is meant for the whole fleet, of which each node declares its part."""
    declared = {"declared": {"environments": [{"name": "elsewhere", "targets": ["linux-64-cpu"]}]}}
    options = ("-e", json.dumps({"__environments_checked": declared}))
    code, output, hosts = play({**arguments, "only": {"environments": ["elsewhere"]}}, *options)
    assert (code, hosts["one"]["fact"]) == (0, {}), output


@pytest.mark.parametrize("options", [(), ("--check",)])
def test_two_nodes_that_declare_one_lock_differently_are_told_so_and_nothing_is_written(
    play, arguments, tmp_path, options
):
    """Each would overwrite the other's for ever, and the run would be green."""
    folder = tmp_path / "play/inventory"
    for host, wanted, locks in (("one", "zlib", "locks"), ("two", "tool", "./locks")):
        entry = {"name": "small", "targets": ["linux-64-cpu"], "spec": {"conda": ["python=3.11", wanted]}}
        declared = {"environments": [entry], "targets": arguments["targets"], "locks_dir": locks}
        checked = {"declared": declared, "depot": {"url": "set"}}
        (folder / "host_vars").mkdir(exist_ok=True)
        (folder / "host_vars" / f"{host}.json").write_text(json.dumps({"__environments_checked": checked}))
    template = "{{ __environments_checked.declared.%s }}"
    arguments = {**arguments, "environments": template % "environments", "locks_dir": template % "locks_dir"}
    code, output, _ = play(arguments, *options, once=False)
    said = " ".join(output.split())
    assert code == 2, output
    for host, other, adds, drops in (("one", "two", "tool", "zlib"), ("two", "one", "zlib", "tool")):
        assert f"small for linux-64-cpu: {host} and {other} declare it differently" in said
        assert f"Where {host} and {other} differ: the spec: conda adds {adds}, drops {drops}. Accepted" in said
    assert not (folder / "locks").exists()
    # In folders of their own both are right.
    two = json.loads((folder / "host_vars/two.json").read_text())
    two["__environments_checked"]["declared"]["locks_dir"] = "others"
    (folder / "host_vars/two.json").write_text(json.dumps(two))
    code, output, _ = play(arguments, *options, once=False)
    assert (code, (folder / "others").exists()) == (0, not options), output
