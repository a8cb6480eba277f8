"""Where the controller fetched an installer, the node's receipt names the place that really had it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
pytestmark = [pytest.mark.integration]

# What a constructor-made installer leaves, without a conda in it.
INSTALLER = r"""#!/bin/sh
while getopts bup: flag; do case $flag in p) prefix=$OPTARG ;; *) ;; esac; done
mkdir -p "$prefix/conda-meta" "$prefix/bin"
printf '#!/bin/sh\necho conda 24.7.1\n' > "$prefix/bin/conda"; printf '#!/bin/sh\n' > "$prefix/bin/python"
chmod 755 "$prefix/bin/conda" "$prefix/bin/python"
echo '{}' > "$prefix/conda-meta/conda-24.7.1-py311_0.json"
echo "==> done <==" > "$prefix/conda-meta/history"
"""
PLAY = """\
- name: Install
  hosts: all
  gather_facts: false
  serial: 1
  tasks:
    - name: Install what the controller fetched
      condafleet.core.conda_installation:
        prefix: "{{ prefix }}"
        installers: "{{ installers }}"
        fetch: controller
        access: {retries: 0}
"""


def test_the_place_that_had_it_is_noted_on_every_node(tmp_path: Path) -> None:
    script = tmp_path / "Fake3-24.7.1-0-Linux.sh"
    script.write_text(INSTALLER)
    entry = {
        "filename": script.name,
        "sha256": hashlib.sha256(script.read_bytes()).hexdigest(),
        "version": "24.7.1-0",
        "distribution": "fake",
        "sources": [
            {"kind": "depot", "url": (tmp_path / "gone" / script.name).as_uri()},
            {"kind": "mirror", "url": script.as_uri()},
        ],
    }
    common = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_remote_tmp": str(tmp_path / "tmp"),
        "installers": {platform.machine(): entry},
    }
    nodes = {name: {**common, "prefix": str(tmp_path / name)} for name in ("first", "second")}
    (tmp_path / "inventory.json").write_text(json.dumps({"all": {"hosts": nodes}}))
    (tmp_path / "play.yml").write_text(PLAY)
    done = subprocess.run(
        ["ansible-playbook", str(tmp_path / "play.yml"), "-i", str(tmp_path / "inventory.json")],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=240,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
        },
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in nodes:
        receipt = json.loads((tmp_path / name / ".condafleet-installation.json").read_text())
        assert receipt["url"] == script.as_uri()
