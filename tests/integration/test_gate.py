"""All or nobody: when a node cannot be staged, or reached, no other one is switched, and one text says which and why.

Two nodes of this machine (local connection, folders of their own), and the embedded depot.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from installs import ROOT, depot_path, local_nodes

DEPOT = depot_path()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.skipif(DEPOT is None, reason="no embedded depot: name one in CONDAFLEET_TEST_DEPOT"),
]
# No account can make a folder there, root neither.
UNWRITABLE = "/proc/condafleet/root"
# The discard port of this machine: nobody listens.
NOBODY = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9}


class Fleet:
    """`good` and `bad`: each a node with a prefix and a root below `top`, of one declaration."""

    def __init__(self, top: Path) -> None:
        assert DEPOT is not None
        self.top = top
        self.variables = {
            **local_nodes(DEPOT, top),
            "miniconda_distribution": "embedded",
            "miniconda_prefix": f"{top}/{{{{ inventory_hostname }}}}/miniconda3",
            "shell_init_system_root": f"{top}/{{{{ inventory_hostname }}}}/system",
            "environments_root": f"{top}/{{{{ inventory_hostname }}}}/root",
            "environments_locks_dir": str(top / "locks"),
            "environments_list": self.environments("1"),
            # A test goes back to the first one after several others.
            "environments_keep": 10,
            "validation_enabled": False,
        }

    @staticmethod
    def environments(value: str, *names: str) -> list[dict[str, Any]]:
        """Environments that are the same but for a variable, so that a change of it makes a new lock."""
        spec = {"conda": ["python"]}
        return [
            {"name": name, "spec": spec, "targets": ["linux-64-cpu"], "frameworks": [], "variables": {"VALUE": value}}
            for name in names or ("small",)
        ]

    def run(self, bad: dict[str, Any], *words: str, playbook: str = "site.yml", **changes: Any) -> tuple[int, str]:
        """Run the playbook with these variables of `bad`, and of all; the exit code and what was printed."""
        hosts = {"good": {}, "bad": bad}
        inventory = self.top / "inventory.json"
        inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": {**self.variables, **changes}}}))
        done = subprocess.run(
            [sys.executable, "-m", "ansible", "playbook", playbook, "-i", str(inventory), *words],
            cwd=ROOT, capture_output=True, text=True, timeout=400, check=False,
            env={**os.environ, "COLUMNS": "4000", "ANSIBLE_SSH_RETRIES": "0", "ANSIBLE_NOCOLOR": "1"},
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def unstageable(self) -> dict[str, Any]:
        """A node whose root can't be made. Its prefix is a new one: the links of the former lead to the former root."""
        new = {
            "miniconda_prefix": str(self.top / "new" / "miniconda3"),
            "shell_init_system_root": str(self.top / "new"),
        }
        return {**new, "environments_root": UNWRITABLE}

    def current(self, node: str, environment: str = "small") -> str | None:
        """The generation that users of a node have."""
        link = self.top / node / "miniconda3" / "envs" / environment
        return link.readlink().name if link.is_symlink() else None

    def value(self, node: str, environment: str = "small") -> str:
        """The environment's variable, as users of a node have it."""
        return value_of(self.top / node / "miniconda3" / "envs" / environment)


def value_of(generation: Path) -> str:
    state = json.loads((generation / "conda-meta" / "state").read_text(encoding="utf-8"))
    return str(state["env_vars"]["VALUE"])


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Both nodes converged on a first declaration."""
    fleet = Fleet(tmp_path_factory.mktemp("g"))
    code, said = fleet.run({})
    assert code == 0, said
    assert fleet.value("good") == fleet.value("bad") == "1"
    return fleet


def refusal(said: str, what: str, untouched: str) -> str:
    """The one text of the gate, which is the last error of the run: from `[ERROR]` to where Ansible says its origin."""
    text = " ".join(said.rpartition("[ERROR]")[2].partition("\nOrigin:")[0].split())
    assert f"environments_may_fail: 1 of 2 nodes {what}" in text, said
    assert untouched in text, said
    return text


def test_who_cannot_stage_keeps_all_from_switching(fleet: Fleet) -> None:
    code, said = fleet.run(fleet.unstageable(), environments_list=fleet.environments("2"))
    assert code != 0
    text = refusal(said, "are not staged", "Nothing was switched, on any node.")
    assert re.search(r"bad: environments_root: /proc/condafleet/root can't be made or written: .*No such file", text), (
        text
    )
    assert fleet.value("good") == "1"
    assert fleet.current("good") == fleet.current("bad")


def test_who_cannot_be_reached_keeps_all_from_switching(fleet: Fleet) -> None:
    code, said = fleet.run(NOBODY, environments_list=fleet.environments("2"))
    assert code != 0
    text = refusal(said, "can't take the plan", "Nothing was fetched, built or switched, on any node.")
    assert re.search(r"bad: it could not be reached .*127.0.0.1 port 9: Connection refused", text), text
    assert fleet.value("good") == "1"


@pytest.mark.parametrize("cause", ["cannot stage", "cannot be reached"])
def test_a_share_may_fail(fleet: Fleet, cause: str) -> None:
    bad = fleet.unstageable() if cause == "cannot stage" else NOBODY
    code, said = fleet.run(bad, environments_list=fleet.environments(cause), environments_may_fail=0.5)
    assert code != 0, "the node that failed is still a failure"
    assert "Nothing was switched" not in said
    # Ansible folds what is no error.
    why = "are not staged" if cause == "cannot stage" else "can't take the plan"
    assert re.search(rf"1 of 2 nodes {why} and stay as they are;.* bad: ", " ".join(said.split())), said
    assert fleet.value("good") == cause
    assert fleet.value("bad") == "1"


def test_what_has_drifted_is_built_anew_before_the_gate(fleet: Fleet) -> None:
    code, said = fleet.run({}, "--limit", "good", environments_list=fleet.environments("2"))
    assert code == 0, said
    generations = fleet.top / "good" / "root" / "generations"
    (former,) = [path for path in generations.iterdir() if value_of(path) == "1"]
    next((former / "conda-meta").glob("python-*.json")).unlink()

    code, said = fleet.run({}, "--limit", "good", environments_list=fleet.environments("1"))
    assert code == 0, said
    assert fleet.value("good") == "1"
    assert fleet.current("good") == former.name.removesuffix("-1") + "-2"


def test_the_role_after_the_whole_run_makes_a_plan_of_its_own(fleet: Fleet) -> None:
    playbook = fleet.top / "two.yml"
    role = {"name": "condafleet.core.environments"}
    more = {"name": "Have more", "ansible.builtin.import_role": role}
    more["vars"] = {"environments_list": fleet.environments("1", "more")}
    plays = [{"import_playbook": "condafleet.core.site"}, {"hosts": "all", "gather_facts": False, "tasks": [more]}]
    playbook.write_text(json.dumps(plays), encoding="utf-8")
    code, said = fleet.run({}, "--limit", "good", playbook=str(playbook))
    assert code == 0, said
    assert fleet.value("good", "more") == "1"
