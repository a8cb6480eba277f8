"""Several nodes on one file system: the work is done once, and what others may use is not removed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import installation_collect, installations, receipt
from ansible_collections.condafleet.core.plugins.module_utils.shared_files import is_shared, kind_of

MODULE = Path(__file__).parents[3] / "plugins" / "modules" / "conda_installation.py"
INSTALLER = r"""#!/bin/sh
while getopts bup: flag; do case $flag in p) prefix=$OPTARG ;; *) ;; esac; done
echo run >> @RUNS@
mkdir -p "$prefix/conda-meta" "$prefix/bin"
sleep 1
printf '#!/bin/sh\necho conda 24.7.1\n' > "$prefix/bin/conda"; printf '#!/bin/sh\n' > "$prefix/bin/python"
chmod 755 "$prefix/bin/conda" "$prefix/bin/python"
echo '{}' > "$prefix/conda-meta/conda-24.7.1-py311_0.json"
echo "==> done <==" > "$prefix/conda-meta/history"
"""


def test_two_nodes_that_come_at_once_install_once(tmp_path: Path) -> None:
    script, runs = tmp_path / "Fake3-24.7.1-0-Linux-x86_64.sh", tmp_path / "runs"
    script.write_text(INSTALLER.replace("@RUNS@", str(runs)))
    entry = {
        "url": script.as_uri(),
        "sha256": hashlib.sha256(script.read_bytes()).hexdigest(),
        "version": "24.7.1-0",
        "distribution": "fake",
    }
    prefix = tmp_path / "miniconda3"
    arguments = {"prefix": str(prefix), "installers": {os.uname().machine: entry}, "job": "j", "timeout": 30}
    nodes = [
        subprocess.Popen(
            [sys.executable, str(MODULE), json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, "job": f"node{number}"}})],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(MODULE.parents[2] / "collections")},
        )
        for number in range(3)
    ]  # fmt: skip
    said = [node.communicate(timeout=60) for node in nodes]
    answers = [json.loads(output) for output, _errors in said]
    assert [answer.get("msg") for answer in answers] == [None] * 3
    assert sorted(answer["changed"] for answer in answers) == [False, False, True]
    assert runs.read_text() == "run\n"
    assert prefix.resolve().name == "fake-24.7.1-0-1"


MOUNTS = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 22 0:35 / /shared rw shared:2 - nfs4 server:/export rw
41 22 0:36 / /with\\040space rw shared:3 - lustre mgs:/fs rw
42 40 0:37 / /shared/local rw shared:4 - xfs /dev/vdb rw
43 22 0:38 / /fuse rw shared:5 - fuse.sshfs host: rw
"""


@pytest.mark.parametrize(
    ("path", "kind", "shared"),
    [
        ("/opt/miniconda3", "ext4", False),
        ("/shared/miniconda3.d", "nfs4", True),
        ("/shared/local/miniconda3", "xfs", False),
        ("/with space/x", "lustre", True),
        ("/fuse/x", "fuse.sshfs", True),
        ("/sharedother", "ext4", False),
    ],
)
def test_a_shared_file_system_is_told_by_its_mount(tmp_path: Path, path: str, kind: str, shared: bool) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    # Of what does not exist here, the nearest folder above counts: so the mount table is asked for the name itself.
    assert kind_of(path, str(mounts), exists=lambda _path: True) == kind
    assert is_shared(path, str(mounts), exists=lambda _path: True) is shared


def test_nothing_is_collected_where_others_may_use_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = str(tmp_path / "miniconda3")
    for number, name in enumerate(("fake-1-1", "fake-2-1", "fake-3-1")):
        path = Path(installations.folder(prefix), name)
        path.mkdir(parents=True)
        receipt.note(str(path), sha256=str(number), installed=f"2026-01-0{number + 1}")

    def left() -> list[Any]:
        return sorted(path.name for path in Path(installations.folder(prefix)).iterdir() if not path.is_symlink())

    monkeypatch.setattr(installation_collect, "is_shared", lambda path: True)
    installation_collect.collect(prefix, 1, "fake-3-1")
    assert left() == ["fake-1-1", "fake-2-1", "fake-3-1"]
    monkeypatch.setattr(installation_collect, "is_shared", lambda path: False)
    installation_collect.collect(prefix, 1, "fake-3-1")
    assert left() == ["fake-3-1"]
