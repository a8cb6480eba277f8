"""Environments that condafleet did not make: all of them found, each once, and none of ours among them."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from rich.console import Console

from ansible_collections.condafleet.core.plugins.module_utils import files, users_environments
from ansible_collections.condafleet.core.plugins.module_utils.environment_adopt import adopt
from ansible_collections.condafleet.core.plugins.module_utils.installed_packages import (
    described_packages,
    installed_packages,
)
from ansible_collections.condafleet.core.plugins.module_utils.results import host_report
from ansible_collections.condafleet.core.plugins.module_utils.users_environments import find_environments
from condafleet.cli import users_tables

NAME = "x-0123456789ab-1"
ROOT = os.geteuid() == 0


def environment(path: Path, python: str | None = "3.10.4", owner: int = -1) -> Path:
    (path / "conda-meta").mkdir(parents=True)
    (path / "conda-meta/history").write_text("")
    os.utime(path / "conda-meta/history", (0, 1_700_000_000))
    if python:
        (path / f"conda-meta/python-{python}-h0_0.json").write_text("{}")
    os.chown(path, owner, -1)
    return path


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """An installation as condafleet makes it, with an environment of ours, and a user with two of her own."""
    (tmp_path / "mini.d/envs").mkdir(parents=True)
    environment(tmp_path / "mini.d/embedded-1")
    (tmp_path / "mini.d/embedded-1/envs").symlink_to("../envs")
    (tmp_path / "mini").symlink_to("mini.d/embedded-1")
    environment(tmp_path / "root/generations" / NAME)
    (tmp_path / "mini/envs/ours").symlink_to(tmp_path / "root/generations" / NAME)
    (tmp_path / "mini/envs/.conda_envs_dir_test").write_text("")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("")
    return tmp_path


def user(node: Path, name: str, uid: int, *noted: Path) -> Path:
    home = node / "home" / name
    (home / ".conda").mkdir(parents=True)
    (home / ".conda/environments.txt").write_text("".join(f"{path}\n" for path in noted))
    for path in (home, home / ".conda"):
        os.chown(path, uid, -1)
    with (node / "etc/passwd").open("a") as stream:
        stream.write(f"{name}:x:{uid}:{uid}::/home/{name}:/bin/sh\n")
    return home


def find(node: Path, seconds: float = 10) -> dict[str, Any]:
    return find_environments(str(node / "mini"), str(node / "root"), seconds, str(node))


def test_what_lies_beside_ours(node: Path) -> None:
    environment(node / "mini/envs/hers")
    (node / "mini/envs/elsewhere").symlink_to(environment(node / "data", None))
    (node / "mini/envs/lost").symlink_to("/nowhere")
    found = find(node)
    assert [(Path(one["path"]).name, one["kind"], one["python"]) for one in found["found"]] == [
        ("elsewhere", "link", None),
        ("hers", "directory", "3.10.4"),
        ("lost", "broken", None),
    ]
    hers = found["found"][1]
    assert (hers["packages"], hers["changed"], hers["noted_by"]) == (1, "2023-11-14T22:13:20Z", [])
    assert (found["complete"], found["why"]) == (True, None)


def test_what_was_adopted_is_told_as_that(node: Path) -> None:
    environment(node / "mini/envs/x")
    adopt(str(node / "mini"), str(node / "root"), "x", str(node / "root/generations" / NAME))
    assert [(one["path"], one["kind"]) for one in find(node)["found"]] == [
        (str(node / "mini.d/adopted-envs/x-1"), "adopted")
    ]


@pytest.mark.skipif(not ROOT, reason="acts as other users")
def test_what_users_noted_with_their_own_rights(node: Path) -> None:
    for folder in (node, *node.parents):
        # pytest's folders are root's alone.
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o055)
    hers = environment(node / "mini/envs/hers", owner=4711)
    own = environment(node / "work/own", "3.12.1", owner=4711)
    hidden = environment(node / "secret/env")
    (node / "secret").chmod(0o700)
    real = node / "mini.d/envs/hers"
    user(node, "carol", 4711, own, real, node / "gone", hidden, node / "mini", node / "mini.d/embedded-1",
         node / "mini/envs/ours", node / "root/generations" / NAME)  # fmt: skip
    user(node, "dave", 4712, own, hers)
    found = {one["path"]: one for one in find(node)["found"]}
    assert sorted(found) == sorted([str(hers), str(own)])
    assert found[str(own)]["noted_by"] == ["carol", "dave"]
    assert (found[str(own)]["owner"], found[str(own)]["python"]) == ("4711", "3.12.1")
    assert found[str(hers)]["noted_by"] == ["carol", "dave"], "the path through PREFIX.d is the same environment"


def test_a_home_that_does_not_answer_is_not_waited_for(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(node / "mini/envs/hers")
    monkeypatch.setattr(users_environments, "everybody", lambda _root: time.sleep(60))
    began = time.monotonic()
    found = find(node, 0.5)
    assert time.monotonic() - began < 10
    assert (len(found["found"]), found["complete"]) == (1, False)
    assert "stopped after 0.5 s" in found["why"]


@pytest.fixture
def in_time() -> Iterator[None]:
    """A test that would wait for ever, as root does at a pipe, fails."""

    def fail(*_: object) -> NoReturn:
        raise TimeoutError("it waits at what is no file")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("trap", ["pipe", "endless", "folder"])
def test_what_is_no_file_holds_nobody(node: Path, trap: str) -> None:
    def lay(path: Path) -> None:
        path.unlink(missing_ok=True)
        if trap == "pipe":
            os.mkfifo(path)
        elif trap == "endless":
            path.symlink_to("/dev/zero")
        else:
            path.mkdir()

    hers = environment(node / "mini/envs/hers")
    venv = environment(node / "mini/envs/venv", None)
    info = hers / "lib/python3.10/site-packages/tool-1.dist-info"
    info.mkdir(parents=True)
    for path in (venv / "pyvenv.cfg", hers / "conda-meta/zlib-1.3-h0_0.json", info / "METADATA"):
        lay(path)
    home = user(node, "root", 0)
    lay(home / ".conda/environments.txt")
    found = find(node, 15)
    assert [(Path(one["path"]).name, one["python"]) for one in found["found"]] == [("hers", "3.10.4"), ("venv", None)]
    assert found["complete"], "nobody waited until the end of the search"
    names = [("conda", "python"), ("conda", "zlib"), ("pip", "tool")]
    assert [(one["manager"], one["name"]) for one in installed_packages(str(hers))] == names
    # a record that can't be read says nothing
    assert [one["name"] for one in described_packages(str(hers))] == ["python", "tool"]


def test_a_file_is_read_to_its_limit(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * 100)
    assert files.read_regular(str(tmp_path / "long"), 7) == b"x" * 7
    assert files.read_regular(str(tmp_path / "none"), 7) is None
    assert files.read_regular(str(tmp_path / "a\0b"), 7) is None


def test_a_table_tells_each_once(node: Path) -> None:
    one = {"kind": "directory", "owner": "carol", "python": "3.10.4", "packages": 3, "changed": None, "noted_by": []}
    several = [{**one, "path": f"/opt/mini/envs/e{number}"} for number in range(8)]
    lists = {f"n{number:02}": several for number in range(6)}
    lists["odd"] = [{**one, "path": "/opt/mini.d/adopted-envs/x-1", "kind": "adopted", "python": None, "owner": None}]
    report = {
        "hosts": {
            name: host_report(
                "ok", None, {"observed": {"users_environments": {"found": found, "complete": True, "why": None}}}
            )
            for name, found in lists.items()
        }
    }
    report["hosts"]["slow"] = host_report(
        "ok", None, {"observed": {"users_environments": {"found": [], "complete": False, "why": "it was stopped"}}}
    )
    report["hosts"]["old"] = host_report("ok", None, {})
    table = users_tables.environments(report)
    assert table.row_count == 3
    shown = io.StringIO()
    Console(file=shown, width=200).print(table)
    said = " ".join(shown.getvalue().split())
    assert "n00, n01, n02, n03 and 2 more carol e0 (3.10.4), e1 (3.10.4)" in said
    assert "e5 (3.10.4), and 2 more" in said
    assert "odd ? /opt/mini.d/adopted-envs/x-1 (adopted)" in said
    assert "slow it was stopped" in said
