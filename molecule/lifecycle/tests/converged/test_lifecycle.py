"""The life of generations on two nodes. The tests stand in their order: each goes on where the one before ended."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import scenario

NODES = ("life-one", "life-two")
PREFIX = "/opt/miniconda3"
GENERATIONS = "/opt/condafleet/generations"
# Waits for a file, then does for the first time what a job may do late: import, and start a worker that starts anew.
JOB = """
import os, sys, time

def work(_):
    import six
    return [sys.prefix, sys.executable, six.__file__, os.environ.get("WHICH", "")]

if __name__ == "__main__":
    print("started", flush=True)
    while not os.path.exists("go"):
        time.sleep(0.05)
    import json, multiprocessing, sqlite3, subprocess
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        worker = pool.map(work, [0])[0]
    child = subprocess.check_output([sys.executable, "-c", "import sys, six; print(sys.prefix)"], text=True)
    print(json.dumps({"mine": work(0), "worker": worker, "sqlite3": sqlite3.__file__, "child": child.strip()}))
"""


def ssh(node: str, command: str, user: str = "root") -> str:
    done = scenario.fleet().ssh(node, command, user=user)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout).strip()


def current(node: str, environment: str = "plain") -> str:
    """The generation that the environment's link leads to, or nothing."""
    return ssh(node, f"basename $(readlink {PREFIX}/envs/{environment}) 2>/dev/null || true")


def which(node: str) -> str:
    """Which update is current there: the variable that activation sets."""
    return ssh(node, "bash -lc 'conda activate plain && echo $WHICH'", user="alice")


def kept(node: str, environment: str = "plain") -> list[str]:
    return (
        ssh(node, f"ls {GENERATIONS}").split()
        if not environment
        else [name for name in ssh(node, f"ls {GENERATIONS}").split() if name.startswith(environment + "-")]
    )


def spared(node: str) -> dict[str, dict[str, str]]:
    return dict(json.loads(ssh(node, "cat /opt/condafleet/spared.json 2>/dev/null || echo {}")))


def play(name: str, *options: str, **variables: object) -> subprocess.CompletedProcess[str]:
    return scenario.play(f"condafleet.core.{name}", "-e", json.dumps(variables), *options)


def ran(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """{node: how much was changed} of a run that went well."""
    assert done.returncode == 0, done.stdout + done.stderr
    return {node: int(number) for node, number in re.findall(r"(life-\w+) +: .*changed=(\d+)", done.stdout)}


@pytest.fixture(scope="module")
def names() -> dict[str, str]:
    """The generations by their updates, as they come."""
    return {}


def test_a_job_runs_through_an_update_and_a_collection(names: dict[str, str]) -> None:
    names["a"] = current("life-one")
    ssh("life-one", f"cat > job.py <<'END'\n{JOB}\nEND", user="alice")
    start = "setsid bash -lc 'conda activate plain && exec python -u job.py' > said 2> errors < /dev/null &"
    ssh("life-one", f"rm -f go; {start} sleep 3; cat said", user="alice")
    # With none kept, the former generation is surplus at once. It goes where nobody uses it.
    ran(play("site", lifecycle_which="b", environments_keep=0))
    names["b"] = current("life-one")
    assert [which(node) for node in NODES] == ["b", "b"]
    assert {node: kept(node) for node in NODES} == {
        "life-one": sorted([names["a"], names["b"]]), "life-two": [names["b"]],
    }  # fmt: skip
    assert re.search(r"process \d+ \(alice: python\) runs from it", spared("life-one")[names["a"]]["why"])
    # What is spared is no work to be done.
    assert ran(play("site", lifecycle_which="b", environments_keep=0)) == {"life-one": 0, "life-two": 0}
    said = ssh(
        "life-one",
        "touch go; for i in $(seq 100); do [ $(wc -l < said) -gt 1 ] && break; sleep 0.2; done; cat said errors",
        user="alice",
    )
    found = json.loads(said.splitlines()[1])
    places = [*found["mine"][:3], *found["worker"][:3], found["sqlite3"], found["child"]]
    assert [place for place in places if not place.startswith(f"{GENERATIONS}/{names['a']}")] == []
    assert (found["mine"][3], found["worker"][3]) == ("a", "a")


def test_what_users_built_spares(names: dict[str, str]) -> None:
    ssh("life-one", f"bash -lc '{PREFIX}/envs/plain/bin/python -m venv --without-pip work/.venv'", user="alice")
    kernel = json.dumps({"argv": [f"{GENERATIONS}/{names['b']}/bin/python", "-m", "ipykernel_launcher"]})
    folder = ".local/share/jupyter/kernels/plain"
    ssh("life-two", f"mkdir -p {folder}; cat > {folder}/kernel.json <<'END'\n{kernel}\nEND", user="alice")
    ran(play("environments", lifecycle_which="c", environments_keep=0))
    names["c"] = current("life-one")
    # The job has ended, so what it ran on is gone.
    for node in NODES:
        assert kept(node) == sorted([names["b"], names["c"]])
    assert spared("life-one")[names["b"]]["why"] == "venv /home/alice/work/.venv (alice)"
    assert spared("life-two")[names["b"]]["why"] == f"kernel /home/alice/{folder} (alice)"
    assert ssh("life-one", "work/.venv/bin/python -c 'import sys; print(sys.base_prefix)'", user="alice").endswith(
        names["b"]
    )
    # Modulefiles of what is gone went too.
    assert ssh("life-one", "ls /opt/condafleet/modulefiles/plain").split() == sorted([names["b"], names["c"]])


# On a bad day: no locks, no depot.
BAD_DAY = {"environments_locks_dir": "/nonexistent", "depot_url": "http://127.0.0.1:9/"}


def test_the_fleet_goes_back(names: dict[str, str], tmp_path: Path) -> None:
    promised = play("rollback", "--check", "--diff", **BAD_DAY)
    assert ran(promised) == {"life-one": 1, "life-two": 1}
    assert f"{names['c']} → {names['b']}" in scenario.words(promised)
    assert [which(node) for node in NODES] == ["c", "c"]
    assert ran(play("rollback", **BAD_DAY)) == {"life-one": 1, "life-two": 1}
    assert [which(node) for node in NODES] == ["b", "b"]
    # Run again, it changes nothing.
    again = play("rollback", **BAD_DAY)
    assert ran(again) == {"life-one": 0, "life-two": 0}
    assert "it was rolled back already" in scenario.words(again)
    # The declaration says the newer lock still, and says so.
    done = subprocess.run(
        ["condafleet", "status", "-i", str(scenario.inventory(tmp_path)), "-e", "lifecycle_which=c"],
        capture_output=True, text=True, timeout=180, check=False, cwd=scenario.ROOT,
    )  # fmt: skip
    assert done.returncode == 3, done.stdout + done.stderr
    assert "rolled back" in " ".join(done.stdout.split())


def test_one_node_goes_to_what_is_named(names: dict[str, str], tmp_path: Path) -> None:
    lock, where = names["c"].rsplit("-", 1)[0], str(scenario.inventory(tmp_path))
    done = subprocess.run(
        ["condafleet", "rollback", "plain", "--to", lock, "--limit", "life-one", "-i", where],
        capture_output=True, text=True, timeout=180, check=False, cwd=scenario.ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert [which(node) for node in NODES] == ["c", "b"]
    history = json.loads(ssh("life-one", "cat /opt/condafleet/history.json"))["environments"]["plain"]
    assert [(one["generation"], one["why"]) for one in history] == [
        (names["a"], "switch"), (names["b"], "switch"), (names["c"], "switch"),
        (names["b"], "rollback"), (names["c"], "rollback"),
    ]  # fmt: skip


def test_what_one_node_does_not_keep_nobody_goes_to(names: dict[str, str]) -> None:
    ssh("life-two", f"cp -al {GENERATIONS}/{names['c']} {GENERATIONS}/plain-0123456789ab-1")
    refused = play("rollback", condafleet_rollback_to="plain-0123456789ab-1")
    assert refused.returncode != 0
    said = scenario.words(refused)
    assert "environments_may_fail: 1 of 2 nodes can't go back" in said
    assert "life-one: environment plain: no whole generation of plain-0123456789ab is kept (kept are: " in said
    assert f"{names['c']} (current)" in said
    assert [which(node) for node in NODES] == ["c", "b"]
    ssh("life-two", f"rm -r {GENERATIONS}/plain-0123456789ab-1")


def test_the_next_run_goes_forward_again() -> None:
    ran(play("environments", lifecycle_which="c", environments_keep=1))
    assert [which(node) for node in NODES] == ["c", "c"]


def test_staged_today_switched_another_day(names: dict[str, str]) -> None:
    ran(play("stage", lifecycle_which="d"))
    assert [which(node) for node in NODES] == ["c", "c"]
    (names["d"],) = [name for name in kept("life-one") if name not in names.values()]
    # Somebody else's run, who knows nothing of it, collects all that is surplus.
    ssh("life-one", f"mv {GENERATIONS}/{names['d']}/.condafleet.json /root/receipt")
    ran(play("environments", lifecycle_which="c", environments_keep=0))
    assert [names["d"] in kept(node) for node in NODES] == [True, True]
    refused = play("switch", lifecycle_which="d")
    assert refused.returncode != 0
    assert "environment plain is not staged" in scenario.words(refused)
    assert "1 of 2 nodes are not staged" in scenario.words(refused)
    assert [which(node) for node in NODES] == ["c", "c"]
    ssh("life-one", f"mv /root/receipt {GENERATIONS}/{names['d']}/.condafleet.json")
    promised = scenario.words(play("switch", "--check", "--diff", lifecycle_which="d", environments_keep=0))
    assert [which(node) for node in NODES] == ["c", "c"]
    done = scenario.words(play("switch", "--diff", lifecycle_which="d", environments_keep=0))
    for said in (promised, done):
        assert f"{names['c']} → {names['d']}" in said
        assert f"-generation {names['c']}" in said
    assert [which(node) for node in NODES] == ["d", "d"]
    assert names["c"] not in kept("life-one")


def test_what_is_declared_no_more_goes_when_asked(names: dict[str, str]) -> None:
    ssh("life-one", "bash -lc 'conda create --yes --quiet --offline --name hers'", user="alice")
    ssh("life-one", f"{PREFIX}/bin/conda create --yes --quiet --offline --name shared")
    used = current("life-one", "extra")
    job = ssh(
        "life-one", f"cd {GENERATIONS}/{used}; setsid sleep 300 < /dev/null > /dev/null 2>&1 & echo $!", user="alice"
    )
    variables = {"lifecycle_which": "d", "lifecycle_extra": False}
    promised = play("site", "--check", "--diff", environments_purge=True, **variables)
    assert "environment extra: declared no more" in scenario.words(promised)
    assert current("life-one", "extra") == used
    ran(play("environments", environments_purge=True, **variables))
    for node in NODES:
        assert current(node, "extra") == ""
    assert (kept("life-one", "extra"), kept("life-two", "extra")) == ([used], [])
    assert "sleep) works in it" in spared("life-one")[used]["why"]
    assert ran(play("site", environments_purge=True, **variables)) == {"life-one": 0, "life-two": 0}
    assert "hers" in ssh("life-one", "ls .conda/envs", user="alice")
    assert ssh("life-one", f"ls {PREFIX}/envs").split() == ["plain", "shared"]
    ssh("life-one", f"kill {job}")
