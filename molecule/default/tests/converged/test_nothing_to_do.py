"""Check mode on converged nodes. The scenario's idempotence step holds a real run to the same."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path


def test_check_mode_finds_nothing_to_do() -> None:
    scenario = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
    project = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
    reached = project / "build" / "fleets" / f"molecule-{os.environ['MOLECULE_SCENARIO_NAME']}" / "inventory.yml"
    done = subprocess.run(
        ["ansible-playbook", "--check", "--diff", f"--inventory={scenario / 'inventory'}", f"--inventory={reached}",
         str(scenario / "converge.yml")],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, check=False,
        # molecule asks for colours, which would stand between the words of the recap
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "true"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    recap = re.findall(r"^(debian\d+)\s*: ok=\d+\s+changed=(\d+)\s", done.stdout, re.MULTILINE)
    assert dict(recap) == {"debian12": "0", "debian13": "0"}, done.stdout
