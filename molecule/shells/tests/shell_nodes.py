"""The fleet as its users reach it, and the playbook with other choices."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from fleet import Fleet

SCENARIO = Path(__file__).parents[1]
ROOT = SCENARIO.parents[1]

# The nodes by what is declared for them, and the users by the shell that sshd starts for them.
SYSTEM, HOMES = ("system12", "system13"), ("users12", "group13")
LOGINS = {"alice": "bash", "zoe": "zsh", "finn": "fish", "tess": "tcsh", "dora": "dash"}


class Nodes:
    """The scenario's nodes, reached as their users reach them."""

    def __init__(self) -> None:
        self.fleet = Fleet(f"molecule-{os.environ['MOLECULE_SCENARIO_NAME']}", {})

    def ssh(
        self, node: str, user: str, command: str, *options: str, typed: str = ""
    ) -> subprocess.CompletedProcess[str]:
        where = f"{user}@{self.fleet.address(node)}"
        return subprocess.run(
            ["ssh", *self.fleet.ssh_options(), *options, where, *([command] if command else [])],
            input=typed, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def play(self, *words: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        """The role on every node, with these variables instead."""
        inventories = [SCENARIO / "inventory", self.fleet.inventory]
        return subprocess.run(
            [
                Path(sys.executable).parent / "ansible-playbook", "condafleet.core.shell",
                *(f"--inventory={path}" for path in inventories), "--extra-vars", json.dumps(variables), *words,
            ],
            env={key: value for key, value in os.environ.items() if key != "ANSIBLE_FORCE_COLOR"},
            cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def changed(self, *words: str, **variables: Any) -> dict[str, bool]:
        """The same, and which nodes it changed; it may not fail."""
        done = self.play(*words, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return {
            node: int(count) > 0 for node, count in re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+)", done.stdout, re.M)
        }

    def snapshot(self, node: str) -> dict[str, Any]:
        looked = self.ssh(node, "root", "python3 -", typed=(SCENARIO / "files/snapshot.py").read_text(encoding="utf-8"))
        return dict(json.loads(looked.stdout))

    def before(self, node: str) -> dict[str, Any]:
        return dict(json.loads(self.ssh(node, "root", "cat /var/lib/condafleet-test-before.json").stdout))
