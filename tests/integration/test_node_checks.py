"""The module node_checks as Ansible runs it on this machine: in one call, as a job, in check mode, and refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from installs import ROOT

from ansible_collections.condafleet.core.plugins.module_utils import fleet_memory
from ansible_collections.condafleet.core.plugins.module_utils.root_folder import MARKER, refuse_root

pytestmark = pytest.mark.integration

QUICK = {"speed.*": False, "gpu.dcgm": False}
# A job, but for the sake of the disk alone.
DISK = {"host.*": False, "gpu.*": False, "speed.*": False, "speed.disk": {"enabled": True}}


def look(tmp_path: Path, *options: str, **arguments: Any) -> dict[str, Any]:
    given = {"prefix": str(tmp_path / "conda"), "root": str(tmp_path / "root"), **arguments}
    ansible = Path(sys.executable).parent / "ansible"
    done = subprocess.run(
        [ansible, "localhost", "-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}",
         "-m", "condafleet.core.node_checks", "-a", json.dumps(given), *options],
        cwd=ROOT, env={**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False,
    )  # fmt: skip
    start = done.stdout.index("localhost | ")
    answer: dict[str, Any] = json.JSONDecoder().raw_decode(done.stdout, done.stdout.index("{", start))[0]
    return answer


def test_one_call_tells_all_and_leaves_the_mark_of_root_alone(tmp_path: Path) -> None:
    told = look(tmp_path, checks=QUICK)
    assert told["changed"] is False
    assert {one["check"].split(".")[0] for one in told["findings"]} == {"host", "gpu"}
    assert told["identity"]["kernel"] and told["began"] <= told["ended"]
    assert [path.name for path in (tmp_path / "root").rglob("*")] == [MARKER]


def test_load_is_put_on_the_node_by_a_job_that_leaves_nothing_running(tmp_path: Path) -> None:
    told = look(tmp_path, checks=DISK)
    (one,) = told["findings"]
    assert one["check"] == "speed.disk" and one["verdict"] in ("PASS", "SKIP")
    assert sorted(path.name for path in (tmp_path / "root").rglob("*")) == [MARKER, "jobs", "progress"]
    # So that the node can be provisioned afterwards.
    (tmp_path / "root" / "validation").mkdir()
    assert refuse_root(str(tmp_path / "root")) is None
    # What the node keeps of its fleet comes back with all else.
    row = {**dict.fromkeys(fleet_memory.KEPT), "check": "speed.disk", "count": 9, "run": told["began"]}
    Path(fleet_memory.path_of(str(tmp_path / "root"))).write_text(json.dumps(fleet_memory.as_file([row])))
    assert look(tmp_path, checks=QUICK)["learnt"] == [row]


def test_a_folder_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "root" / "photos").mkdir(parents=True)
    assert "It holds what condafleet did not put there (photos)" in look(tmp_path, checks=QUICK)["msg"]
    assert [path.name for path in (tmp_path / "root").rglob("*")] == ["photos"]


def test_check_mode_reads_and_puts_no_load_on_the_node(tmp_path: Path) -> None:
    told = look(tmp_path, "--check", checks={"host.*": {"timeout": 30}})
    found = {one["check"]: one for one in told["findings"]}
    assert found["host.cpus"]["verdict"] == "PASS"
    assert found["speed.disk"]["verdict"] == found["speed.memory"]["verdict"] == "SKIP"
    assert list(tmp_path.iterdir()) == []


def test_a_check_that_nobody_knows_is_refused_before_the_node_is_touched(tmp_path: Path) -> None:
    told = look(tmp_path, checks={"gpu.cuont": False})
    assert told["msg"].startswith(
        "validation_checks: gpu.cuont is not accepted. Accepted: a check's name, or a pattern"
    )
    assert "gpu.count" in told["msg"]


def test_a_look_that_hangs_is_ended_by_its_silence(tmp_path: Path) -> None:
    """A file that never answers stands for one of a dead file server; the limit in all would be hours."""
    environment = tmp_path / "conda" / "envs" / "e"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(sys.executable)
    (environment / "conda-meta").mkdir()
    os.mkfifo(environment / "conda-meta" / "state")
    checks = {"host.*": False, "gpu.*": False, "speed.*": False, "speed.memory": {"enabled": True}}
    given = {
        "prefix": str(tmp_path / "conda"),
        "root": str(tmp_path / "root"),
        "checks": checks,
        "speed_environment": "e",
    }
    code = (
        "import sys\n"
        "from ansible.plugins.loader import init_plugin_loader\n"
        f"init_plugin_loader([{str(ROOT / 'collections')!r}])\n"
        "from ansible_collections.condafleet.core.plugins.module_utils import node_limits\n"
        "node_limits.silence = lambda _level, _checks: 6\n"
        "from ansible.cli.adhoc import main\n"
        "main(sys.argv)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "localhost", "-i", "localhost,", "-c", "local", "-e",
         f"ansible_python_interpreter={sys.executable}", "-m", "condafleet.core.node_checks", "-a", json.dumps(given)],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False,
    )  # fmt: skip
    assert "looking at localhost came no further within 6 seconds" in done.stdout, done.stdout
    assert "Its processes on the node were ended." in done.stdout
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in read(path)]
    assert left == []


# As the connection of this machine, but for looks at a job that are cut off: the first two, or all.
FLAKY = '''\
DOCUMENTATION = """
name: flaky
short_description: test
author: test
description: [test]
options:
  become_success_timeout: {type: int, default: 10, description: test}
  become_strip_preamble: {type: bool, default: true, description: test}
extends_documentation_fragment: [connection_pipelining]
"""
import os
from pathlib import Path
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as Local
class Connection(Local):
    transport = "flaky"
    def exec_command(self, cmd, in_data=None, sudoable=True):
        if "echo gone" in cmd:
            seen = Path(os.environ["FLAKY_SEEN"])
            seen.write_text((seen.read_text() if seen.exists() else "") + "x")
            if len(seen.read_text()) <= int(os.environ["FLAKY_CUT"]):
                raise AnsibleConnectionFailure("connection reset by peer")
        return super().exec_command(cmd, in_data, sudoable)
'''


@pytest.mark.parametrize(("cut", "ends"), [(2, "SUCCESS"), (10**6, "UNREACHABLE!")])
def test_a_connection_that_is_cut_off_for_a_moment_costs_no_verdict(tmp_path: Path, cut: int, ends: str) -> None:
    """Of minutes on hundreds of nodes, some looks fail; the job on the node knows nothing of that."""
    (tmp_path / "flaky.py").write_text(FLAKY)
    given = {"prefix": str(tmp_path / "conda"), "root": str(tmp_path / "root"), "checks": DISK}
    code = (
        "import sys\n"
        "from ansible.plugins.loader import init_plugin_loader\n"
        f"init_plugin_loader([{str(ROOT / 'collections')!r}])\n"
        "from ansible_collections.condafleet.core.plugins.plugin_utils import follow\n"
        "follow.CUT_OFF_SECONDS = 6\n"
        "from ansible.cli.adhoc import main\n"
        "main(sys.argv)\n"
    )
    variables = {"ANSIBLE_CONNECTION_PLUGINS": str(tmp_path), "FLAKY_SEEN": str(tmp_path / "seen")}
    done = subprocess.run(
        [sys.executable, "-c", code, "localhost", "-i", "localhost,", "-c", "flaky", "-e",
         f"ansible_python_interpreter={sys.executable}", "-m", "condafleet.core.node_checks", "-a", json.dumps(given)],
        cwd=ROOT, env={**os.environ, **variables, "FLAKY_CUT": str(cut)},
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False,
    )  # fmt: skip
    assert f"localhost | {ends}" in done.stdout, done.stdout
    assert "localhost: not reached (connection reset by peer); trying again for up to 6 seconds" in done.stdout


def test_a_root_that_never_answers_is_named_before_a_job_is_started(tmp_path: Path, dead: Path) -> None:
    given = {"prefix": str(tmp_path / "conda"), "root": str(dead / "root"), "checks": DISK}
    code = (
        "import sys\n"
        "from ansible.plugins.loader import init_plugin_loader\n"
        f"init_plugin_loader([{str(ROOT / 'collections')!r}])\n"
        "from ansible_collections.condafleet.core.plugins.plugin_utils import follow\n"
        "follow.FOLDER_SECONDS = 1\n"
        "from ansible.cli.adhoc import main\n"
        "main(sys.argv)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "localhost", "-i", "localhost,", "-c", "local", "-e",
         f"ansible_python_interpreter={sys.executable}", "-m", "condafleet.core.node_checks", "-a", json.dumps(given)],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False,
    )  # fmt: skip
    said = " ".join(done.stdout.split())
    assert f"validation_root: {dead}/root can't be made or written: no answer within 1 seconds." in said, done.stdout
    assert "see to its file server or disk" in said


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
