"""The lock on ROOT, progress, users of a folder and the switch of a link."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import environment_built, generation_history
from ansible_collections.condafleet.core.plugins.module_utils import environment_states as states
from ansible_collections.condafleet.core.plugins.module_utils.environment_built import remove_unfinished
from ansible_collections.condafleet.core.plugins.module_utils.environment_request import Request
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.fingerprint import fingerprint
from ansible_collections.condafleet.core.plugins.module_utils.processes import users_of
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress, node_lock


def test_a_held_root_names_its_holder(tmp_path: Path) -> None:
    with (
        node_lock(str(tmp_path), "build x"),
        pytest.raises(FleetError, match=r"held by process \d+ on .* since .* \(build x\), and was not given back"),
        node_lock(str(tmp_path), "build y", timeout=0),
    ):
        pass
    with node_lock(str(tmp_path), "build y", timeout=0):
        pass


def test_progress_is_readable_at_any_time(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    progress = Progress(str(path))
    progress("link", 0, 3, "packages")
    progress("link", 1, 3, "packages")
    assert json.loads(path.read_text())["done"] == 0, "written again within the interval"
    progress("link", 3, 3, "packages", "last")
    record = json.loads(path.read_text())
    assert (record["step"], record["done"], record["total"], record["message"]) == ("link", 3, 3, "last")
    Progress(None)("link")


def test_who_works_in_a_folder_uses_it(tmp_path: Path) -> None:
    folder = tmp_path / "generation"
    (folder / "deep").mkdir(parents=True)
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], cwd=folder / "deep", stdin=subprocess.PIPE)
    try:
        assert users_of(str(folder)) == [sleeper.pid]
        assert users_of(str(tmp_path / "gen")) == []
    finally:
        sleeper.communicate(b"\n")
    assert users_of(str(folder)) == []


def test_a_process_that_cannot_be_looked_into_is_told_by_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = tmp_path / "generations" / "plain-0123456789ab-1"
    (generation / "bin").mkdir(parents=True)
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "plain").symlink_to(generation)
    (tmp_path / "proc" / "7").mkdir(parents=True)
    (tmp_path / "proc" / "7" / "cmdline").write_bytes(f"{tmp_path}/envs/plain/bin/python\0job.py\0".encode())

    def refuse(path: str) -> str:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.readlink", refuse, raising=True)
    monkeypatch.setattr("os.path.realpath", lambda path: path.replace(f"{tmp_path}/envs/plain", str(generation)))
    assert users_of(str(generation), proc=str(tmp_path / "proc")) == [7]
    assert users_of(str(tmp_path / "other"), proc=str(tmp_path / "proc")) == []


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    for serial in (1, 2):
        path = tmp_path / "root" / "generations" / f"x-{'a' * 12}-{serial}"
        path.mkdir(parents=True)
        if serial == 1:
            found = fingerprint(str(path))
            (path / ".condafleet.json").write_text(json.dumps({"digest": "a" * 64, "fingerprint": found}))
    return Request(name="x", prefix=str(tmp_path / "conda"), root=str(tmp_path / "root"), digest="a" * 64)


def test_the_link_is_made_moved_and_then_left_alone(request_: Request, tmp_path: Path) -> None:
    assert states.current(request_).changed
    link = tmp_path / "conda" / "envs" / "x"
    assert link.resolve().name == "x-aaaaaaaaaaaa-1"
    assert not states.current(request_).changed
    assert sorted(path.name for path in link.parent.iterdir()) == ["x"]


def test_check_mode_moves_nothing(request_: Request, tmp_path: Path) -> None:
    request_.check = True
    outcome = states.current(request_)
    assert outcome.changed
    assert outcome.diff.endswith("envs/x: nothing → x-aaaaaaaaaaaa-1\n")
    assert not (tmp_path / "conda").exists()


@pytest.mark.parametrize("name", ["x-aaaaaaaaaaaa-2", "x-aaaaaaaaaaaa-9", "../../etc"])
def test_only_a_finished_generation_is_switched_to(request_: Request, name: str) -> None:
    request_.generation = name
    with pytest.raises(FleetError, match="a finished generation of x: x-aaaaaaaaaaaa-1"):
        states.current(request_)


def test_a_directory_of_that_name_is_never_replaced(request_: Request, tmp_path: Path) -> None:
    (tmp_path / "conda" / "envs" / "x").mkdir(parents=True)
    with pytest.raises(FleetError, match="is a directory that was not made by condafleet"):
        states.current(request_)
    assert (tmp_path / "conda" / "envs" / "x").is_dir()


def test_a_link_of_somebody_else_is_never_replaced(request_: Request, tmp_path: Path) -> None:
    (tmp_path / "conda" / "envs").mkdir(parents=True)
    (tmp_path / "conda" / "envs" / "x").symlink_to(tmp_path)
    with pytest.raises(FleetError, match="which is no generation of condafleet"):
        states.current(request_)


def test_what_an_attempt_left_is_removed_and_what_is_finished_or_used_is_not(request_: Request, tmp_path: Path) -> None:
    home = tmp_path / "root" / "generations"
    (home / "x-bbbbbbbbbbbb-1.removing").mkdir()
    (home / "y-bbbbbbbbbbbb-1").mkdir()
    used = home / "x-bbbbbbbbbbbb-2"
    used.mkdir()
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], cwd=used, stdin=subprocess.PIPE)
    try:
        removed = remove_unfinished(request_)
    finally:
        sleeper.communicate(b"\n")
    assert removed == ["x-aaaaaaaaaaaa-2"]
    # A removal that was cut short is finished by the collection, which looks who came to use it.
    left = ["x-aaaaaaaaaaaa-1", "x-bbbbbbbbbbbb-1.removing", "x-bbbbbbbbbbbb-2", "y-bbbbbbbbbbbb-1"]
    assert sorted(path.name for path in home.iterdir()) == left


@pytest.mark.parametrize("how", ["was current", "has its list", "is linked to", "is shared"])
def test_what_was_finished_once_is_left_to_the_collection(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    path = tmp_path / "root" / "generations" / "x-aaaaaaaaaaaa-2"
    if how == "was current":
        generation_history.announce(request_.root, "x", None, path.name, generation_history.SWITCH)
        generation_history.confirm(request_.root, "x")
    elif how == "has its list":
        (path / ".condafleet-files.json").write_text("{}")
    elif how == "is linked to":
        (tmp_path / "conda" / "envs").mkdir(parents=True)
        (tmp_path / "conda" / "envs" / "paper").symlink_to(path)
    else:
        monkeypatch.setattr(environment_built, "is_shared", lambda _path: True)
    assert remove_unfinished(request_) == []
    assert path.is_dir()


def test_building_without_a_conda_says_what_to_install(request_: Request) -> None:
    request_.digest = "b" * 64
    with pytest.raises(FleetError, match=r"there is no conda at .*conda/bin/conda\. Next: install it first"):
        states.built(request_)


def test_what_users_reach_stays_though_its_receipt_was_lost(request_: Request, tmp_path: Path) -> None:
    states.current(request_)
    current = tmp_path / "root" / "generations" / "x-aaaaaaaaaaaa-1"
    (current / ".condafleet.json").unlink()
    assert remove_unfinished(request_) == ["x-aaaaaaaaaaaa-2"]
    assert current.is_dir()


def test_users_pass_to_the_environments_whatever_the_umask(request_: Request, tmp_path: Path) -> None:
    former = os.umask(0o077)
    try:
        (tmp_path / "conda").mkdir(mode=0o755)
        states.current(request_)
    finally:
        os.umask(former)
    assert (tmp_path / "conda" / "envs").stat().st_mode & 0o777 == 0o755


def test_nobody_else_can_hold_the_root(tmp_path: Path) -> None:
    (tmp_path / "lock").touch(mode=0o644)
    with node_lock(str(tmp_path), "build x"):
        assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
