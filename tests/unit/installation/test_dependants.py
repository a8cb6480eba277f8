"""Virtual environments and Jupyter kernels that users built on an installation or a generation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import dependants
from ansible_collections.condafleet.core.plugins.module_utils.dependants import dependants_of, describe, find_dependants
from ansible_collections.condafleet.core.plugins.module_utils.shell_users import User
from condafleet.cli.output import Output


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prefix that leads to its installation, an environment that leads to its generation, and one user's home."""
    for path in ("root/generations/torch-0123456789ab-1/bin", "opt/conda.d/embedded-1/bin", "opt/conda.d/envs", "home"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "root/generations/torch-0123456789ab-1/bin/python").symlink_to(sys.executable)
    (tmp_path / "opt/conda.d/embedded-1/bin/python3").write_text("")
    (tmp_path / "opt/conda.d/embedded-1/envs").symlink_to("../envs")
    (tmp_path / "opt/conda").symlink_to("conda.d/embedded-1")
    (tmp_path / "opt/conda.d/envs/torch").symlink_to(tmp_path / "root/generations/torch-0123456789ab-1")
    user = User("alice", os.geteuid(), os.getegid(), str(tmp_path / "home"))
    monkeypatch.setattr(dependants, "everybody", lambda system_root: [user])
    monkeypatch.setattr(dependants, "KERNELS_OF_SYSTEM", (str(tmp_path / "usr/kernels"),))
    return tmp_path


def venv(folder: Path, home: Path | str) -> Path:
    folder.mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n")
    return folder


def kernel(folder: Path, *argv: Path | str, **env: str) -> Path:
    folder.mkdir(parents=True)
    spec = {"argv": [*map(str, argv), "-m", "ipykernel_launcher"], "display_name": "x", "env": env}
    (folder / "kernel.json").write_text(json.dumps(spec))
    return folder


def find(node: Path, **more: Any) -> dict[str, Any]:
    return find_dependants(str(node / "opt/conda"), str(node / "root"), **more)


def test_a_real_venv_is_found_through_the_environment_s_link(node: Path) -> None:
    through = node / "opt/conda/envs/torch/bin"
    subprocess.run([through / "python", "-m", "venv", "--without-pip", node / "home/venvs/v"], timeout=120, check=True)
    # What the interpreter noted is its own home; a venv made by a Python of ours says ours.
    (node / "home/venvs/v/pyvenv.cfg").write_text(f"home = {through}\n")
    found = find(node)
    assert found["complete"]
    assert found["found"] == [
        {
            "kind": "venv",
            "path": f"{node}/home/venvs/v",
            "user": "alice",
            "stands_on": f"{node}/root/generations/torch-0123456789ab-1",
            "through": str(through),
            "there": True,
        }
    ]
    assert describe(found["found"]) == f"venv {node}/home/venvs/v (alice)"


def test_kernels_of_users_and_of_the_system(node: Path) -> None:
    mine = kernel(node / "home/.local/share/jupyter/kernels/a", node / "opt/conda/bin/python3")
    paths = kernel(
        node / "usr/kernels/b", "/usr/bin/python3", PATH=f"{node}/root/generations/torch-0123456789ab-1/bin:/bin"
    )
    kernel(node / "usr/kernels/c", "/usr/bin/python3", PATH="/usr/bin")
    (node / "usr/kernels/d").mkdir()
    (node / "usr/kernels/d/kernel.json").write_text("not json")
    found = find(node)["found"]
    assert [(one["path"], one["user"], one["stands_on"]) for one in found] == [
        (str(mine), "alice", f"{node}/opt/conda.d/embedded-1"),
        (str(paths), "system", f"{node}/root/generations/torch-0123456789ab-1"),
    ]


def test_only_what_stands_on_one_folder(node: Path) -> None:
    generation = node / "root/generations/torch-0123456789ab-1"
    on_it = venv(node / "home/a", generation / "bin")
    venv(node / "home/b", node / "opt/conda/bin")
    (node / "home/.virtualenvs").mkdir()
    in_use = venv(node / "home/.virtualenvs/c", node / "opt/conda/envs/torch/bin")
    assert [one["path"] for one in dependants_of(str(generation))] == [str(in_use), str(on_it)]
    assert dependants_of(str(generation) + "0") == []


def test_a_venv_whose_python_is_gone_is_told_as_such(node: Path) -> None:
    venv(node / "home/old", node / "root/generations/torch-000000000000-1/bin")
    (one,) = find(node)["found"]
    assert (one["there"], one["stands_on"]) == (False, f"{node}/root/generations/torch-000000000000-1")


def test_an_adopted_installation_counts_and_so_do_users_environments_in_it(node: Path) -> None:
    (node / "opt/hand/envs/own/bin").mkdir(parents=True)
    venv(node / "home/a", node / "opt/hand/envs/own/bin")
    (one,) = find_dependants(str(node / "opt/hand"), str(node / "root"))["found"]
    assert one["stands_on"] == f"{node}/opt/hand/envs/own"


def test_what_is_deep_linked_or_no_regular_file_is_passed_by(node: Path) -> None:
    on = node / "root/generations/torch-0123456789ab-1/bin"
    venv(node / "home/1/2/3/4/found", on).rename(node / "home/1/2/3/4/5")
    venv(node / "home/.cache/x", on)
    (node / "home/fifo").mkdir()
    os.mkfifo(node / "home/fifo/pyvenv.cfg")
    (node / "home/loop").symlink_to(node / "home")
    (node / "home/env/conda-meta").mkdir(parents=True)
    venv(node / "home/env/inside", on)
    assert find(node)["found"] == []
    venv(node / "home/.local/share/virtualenvs/tool", on)
    assert len(find(node)["found"]) == 1


@pytest.mark.parametrize("text", ['{"argv": ["/x\\u0000y"]}', "[" * 60000, '{"argv": 5}'])
def test_nobody_stops_the_search_by_a_kernel_that_is_none(node: Path, text: str) -> None:
    broken = kernel(node / "usr/kernels/a", node / "opt/conda/bin/python3")
    (broken / "kernel.json").write_text(text)
    (node / "home/bad").mkdir(parents=True)
    (node / "home/bad/pyvenv.cfg").write_bytes(b"home = /x\0y\n")
    venv(node / "home/v", node / "root/generations/torch-0123456789ab-1/bin")
    looked = find(node)
    assert looked["complete"]
    assert str(node / "home/v") in [one["path"] for one in looked["found"]]


def test_a_search_that_fails_says_so(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependants, "_of_user", lambda user, places: 1 / 0)
    looked = find(node, seconds=30)
    assert (looked["complete"], looked["why"]) == (False, "the search in users' homes failed")


def test_many_folders_beside_it_hide_nothing(node: Path) -> None:
    for number in range(5200):
        (node / f"home/data/{number}").mkdir(parents=True)
    venv(node / "home/z/y/v", node / "root/generations/torch-0123456789ab-1/bin")
    looked = find(node, seconds=60)
    assert [one["path"] for one in looked["found"]] == [str(node / "home/z/y/v")]


def test_a_home_that_does_not_answer_ends_the_search_in_time(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(node / "usr/kernels/b", node / "opt/conda/bin/python3")

    def never(user: User, places: Any) -> Iterator[dict[str, Any]]:
        time.sleep(60)
        yield {}

    monkeypatch.setattr(dependants, "_of_user", never)
    began = time.monotonic()
    found = find(node, seconds=0.5)
    assert time.monotonic() - began < 5
    assert len(found["found"]) == 1
    assert not found["complete"]
    assert "stopped after 0.5 s" in found["why"]
    # Whoever asks whether a folder may go is told that it is not known.
    (unknown,) = dependants_of(str(node / "root/generations/torch-0123456789ab-1"), seconds=0.5)
    assert unknown["kind"] == "unknown"
    assert "stopped after 0.5 s" in describe([unknown])


def test_homes_come_from_the_password_file_of_the_system_in_question(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(
        "root:x:0:0::/root:/bin/sh\ndaemon:x:1:1::/usr/sbin:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n"
        "bob:x:1001:1001::/home/alice:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/sh\n"
    )
    if os.geteuid() == 0:
        users = dependants.everybody(str(tmp_path))
        assert [(user.name, user.home) for user in users] == [
            ("root", f"{tmp_path}/root"),
            ("alice", f"{tmp_path}/home/alice"),
        ]


def test_homes_of_a_directory_service_that_lists_nobody(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give a folder away")
    (tmp_path / "home/carol").mkdir(parents=True)
    (tmp_path / "home/lost+found").mkdir()
    os.chown(tmp_path / "home/carol", 4711, 4711)
    assert [(user.name, user.uid) for user in dependants.everybody(str(tmp_path))] == [("carol", 4711)]


def test_a_status_shows_them_and_that_it_did_not_see_all(capsys: pytest.CaptureFixture[str]) -> None:
    one = {"kind": "venv", "path": "/home/alice/v", "user": "alice", "stands_on": "/r/generations/t-1", "there": True}
    host = {
        "status": "ok",
        "message": None,
        "environments": {},
        "validation": {},
        "dependants": {"found": [one, {**one, "there": False}], "complete": False, "why": "the search was stopped"},
    }
    report = {"hosts": {"n1": host}, "fleet": {"hosts": 1, "ok": 1, "changed": 0, "failed": 0, "unreachable": 0}}
    Output().report(report)
    shown = capsys.readouterr().out
    assert "venv /home/alice/v" in shown
    assert "/r/generations/t-1 (gone)" in shown
    assert "the search was stopped" in shown
    host["dependants"] = None
    Output().report(report)
    assert "stands on" not in capsys.readouterr().out
