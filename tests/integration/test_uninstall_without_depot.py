"""An uninstallation needs nothing of what installing needs: neither a depot that answers nor files that are there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import installations, receipt

REPO = Path(__file__).parents[2]
pytestmark = [pytest.mark.integration]


def test_uninstall_with_the_depot_off(tmp_path: Path) -> None:
    prefix = tmp_path / "miniconda3"
    # As an installation of condafleet's lies there.
    own = Path(installations.folder(str(prefix)), "embedded-24.7.1-0-1")
    (own / "conda-meta").mkdir(parents=True)
    (own / "bin").mkdir()
    for name in ("conda", "python"):
        (own / "bin" / name).touch(0o755)
    (own / "conda-meta/history").write_text("==> done <==\n")
    (own / "conda-meta/conda-24.7.1-py311_0.json").write_text("{}")
    receipt.note(str(own), sha256="a" * 64, distribution="embedded", version="24.7.1-0")
    prefix.symlink_to(f"miniconda3.d/{own.name}")
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_remote_tmp": str(tmp_path / "tmp"),
        "miniconda_prefix": str(prefix),
        "miniconda_version": "no-such-version",
        "miniconda_distribution": "embedded",
        "miniconda_ca": "/gone/ca.pem",
        "miniconda_catalog": "/gone/catalog.json",
        "miniconda_installer_path": "/gone/installer.sh",
        "depot_url": "http://127.0.0.1:9/depot",
        "depot_sha256": "0" * 64,
        "shell_init_system_root": str(tmp_path / "system"),
        "environments_root": str(tmp_path / "root"),
    }
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": {"node1": variables}}}))
    done = subprocess.run(
        ["ansible-playbook", "playbooks/uninstall.yml", "-i", str(inventory)],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "4000"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not os.path.lexists(prefix)
    assert not own.parent.exists()
