"""Environments made by hand, by root on one node and by a user on the other: adopted, looked at, and given back.

The last tests of the scenario: they end with an uninstallation.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import scenario

NODES = ("life-one", "life-two")
PREFIX = "/opt/miniconda3"
MADE = f"{PREFIX}/envs/made"
ASIDE = f"{PREFIX}.d/adopted-envs/made-1"
# As the tests before have left the nodes, and one more environment, whose name is taken.
DECLARED: dict[str, Any] = {
    "lifecycle_which": "d",
    "lifecycle_extra": True,
    "lifecycle_other": {
        "name": "made",
        "spec": {"conda": ["python"], "pip": ["six"]},
        "targets": ["linux-64-cpu"],
        "checks": [
            "python -c 'import six'",
            'test "${CONDA_PREFIX#/opt/condafleet/generations/made-}" != "$CONDA_PREFIX"',
        ],
    },
}
JOB = "import os, sys, time\\nwhile not os.path.exists('go'): time.sleep(0.05)\\nimport sqlite3\\nprint(sys.prefix)"


def ssh(node: str, command: str, user: str = "root") -> str:
    done = scenario.fleet().ssh(node, command, user=user)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout).strip()


def fleet(verb: str, folder: Path, *options: str, rc: int = 0, **variables: Any) -> str:
    """What a verb said, in one line; it has to end with `rc`."""
    where = folder / str(len(list(folder.iterdir())))
    where.mkdir()
    given = where / "variables.json"
    given.write_text(json.dumps({**DECLARED, **variables}))
    done = subprocess.run(
        ["condafleet", verb, *options, "-e", f"@{given}", "-i", str(scenario.inventory(where))],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, check=False, cwd=scenario.ROOT,
    )  # fmt: skip
    assert done.returncode == rc, done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).split())


def tree(node: str, path: str) -> str:
    """Everything that makes up a tree: names, inodes, owners, modes, sizes and times."""
    return ssh(node, f"cd {path} && find . -printf '%p %i %u %g %m %s %T@\\n' | sort | sha256sum; stat -c '%U %a' .")


def test_an_environment_in_use_is_not_adopted(tmp_path: Path) -> None:
    ssh("life-one", f"{PREFIX}/bin/conda create --yes --quiet --name made python packaging")
    ssh("life-two", f"install -d -o alice -m 700 {MADE}")
    ssh("life-two", f"{PREFIX}/bin/conda create --yes --quiet --prefix {MADE} python", user="alice")
    before = {node: tree(node, MADE) for node in NODES}
    refused = fleet("provision", tmp_path, rc=1)
    assert f"{MADE} is a directory that was not made by condafleet" in refused
    assert "name it in environments_adopt" in refused

    ssh("life-one", f'printf "{JOB}" > waits.py; rm -f go', user="alice")
    pid = ssh(
        "life-one", f"setsid {MADE}/bin/python waits.py > waited 2>&1 < /dev/null & echo $!; sleep 1", user="alice"
    )
    for verb in ("plan", "provision"):
        refused = fleet(verb, tmp_path, rc=1, environments_adopt=["made"])
        assert f"can't be moved aside while processes use it: {pid} (alice: python)" in refused
    assert {node: tree(node, MADE) for node in NODES} == before
    ssh("life-one", "touch go; for i in $(seq 50); do [ -s waited ] && break; sleep 0.2; done", user="alice")
    assert ssh("life-one", "cat waited", user="alice").endswith("envs/made"), "the job ended as it had begun"


def test_adopted_looked_at_and_given_back(tmp_path: Path) -> None:
    ssh("life-two", f"{MADE}/bin/python -m venv --without-pip stands", user="alice")
    ssh("life-two", f"{PREFIX}/bin/conda create --yes --quiet --offline --prefix ~/own", user="alice")
    before = {node: tree(node, MADE) for node in NODES}
    owners = {"life-one": "root", "life-two": "alice"}

    promised = fleet("plan", tmp_path, environments_adopt=["made"])
    for node, owner in owners.items():
        assert f"{MADE}, made by hand by {owner}, is adopted and moved to {ASIDE}" in promised, node
    assert "- made: packaging" in promised
    assert "+ made: six 1.17.0" in promised
    assert "venv /home/alice/stands (alice)" in promised
    assert {node: tree(node, MADE) for node in NODES} == before

    fleet("provision", tmp_path, environments_adopt=["made"])
    for node in NODES:
        assert ssh(node, f"readlink {MADE}").startswith("/opt/condafleet/generations/made-")
        assert tree(node, ASIDE) == before[node]
        receipt = json.loads(ssh(node, f"cat {MADE}/.condafleet.json"))
        assert [one["command"] for one in receipt["checks"]["results"]] == DECLARED["lifecycle_other"]["checks"]
    assert ssh("life-two", f"{MADE}/bin/python -c 'import six; print(six.__version__)'", user="alice") == "1.17.0"

    report = tmp_path / "status.json"
    said = fleet("status", tmp_path, "--json", str(report), environments_adopt=["made"])
    assert f"{ASIDE} (3." in said
    hosts = json.loads(report.read_text())["hosts"]
    listed = {node: {one["path"]: one for one in hosts[node]["users_environments"]["found"]} for node in NODES}
    assert {node: listed[node][ASIDE]["owner"] for node in NODES} == owners
    assert listed["life-two"]["/home/alice/own"]["noted_by"] == ["alice"]
    assert not [path for found in listed.values() for path in found if "/generations/" in path or path == MADE]

    audited = tmp_path / "audit.json"
    said = fleet("audit", tmp_path, "--json", str(audited))
    found = json.loads(audited.read_text())
    assert (
        found["hosts"]["life-one"]["environments"]["made"]["list"]
        == (found["hosts"]["life-two"]["environments"]["made"]["list"])
    )
    assert "0 from Anaconda's channels" in said
    # One of the installation's own packages is said to be from there; nothing else knows where a package came from.
    record = ssh("life-one", f"ls {PREFIX}/conda-meta/tqdm-*.json")
    other = r's#"url": "[^"]*/#"url": "https://repo.anaconda.com/pkgs/main/linux-64/#'
    ssh("life-one", f"cp {record} /root/record; sed -i '{other}' {record}")
    said = fleet("audit", tmp_path, "base", rc=3)
    assert "terms not accepted tqdm" in said
    assert "https://repo.anaconda.com/pkgs/main" in said
    assert "terms not accepted" not in fleet("audit", tmp_path, "base", environments_tos="accept")
    ssh("life-one", f"cp /root/record {record}")

    # The way back, on one node; the other gets its own back when all is taken away.
    fleet("rollback", tmp_path, "made", "--to", "adopted", "--limit", "life-one")
    assert tree("life-one", MADE) == before["life-one"]
    fleet("uninstall", tmp_path)
    for node in NODES:
        assert tree(node, MADE) == before[node]
        assert ssh(node, "ls -A /opt/condafleet 2>/dev/null || true") == ""
        assert ssh(node, f"test ! -e {PREFIX}.d/adopted-envs && echo gone") == "gone"
