"""An environment made by hand gives its place to a generation and gets it back, whatever comes between."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import (
    environment_adopt,
    environment_restored,
    files,
)
from ansible_collections.condafleet.core.plugins.module_utils import environment_states as states
from ansible_collections.condafleet.core.plugins.module_utils.environment_request import Request
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.fingerprint import fingerprint
from ansible_collections.condafleet.core.plugins.module_utils.generation_history import read
from ansible_collections.condafleet.core.plugins.module_utils.observation import observe
from ansible_collections.condafleet.core.plugins.module_utils.plan_environments import plan_environments

DIGEST = "a" * 64
GENERATION = f"x-{'a' * 12}-1"
SOMEBODY = 12345 if os.geteuid() == 0 else os.geteuid()


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    """A node with a finished generation, and an environment that somebody made by hand in its place."""
    generation = tmp_path / "root" / "generations" / GENERATION
    generation.mkdir(parents=True)
    package = {"manager": "conda", "name": "tool", "version": "2", "build": "0"}
    receipt = {"digest": DIGEST, "fingerprint": fingerprint(str(generation)), "packages": [package]}
    (generation / ".condafleet.json").write_text(json.dumps(receipt))
    plain(tmp_path)
    return Request(
        name="x", prefix=str(tmp_path / "mini"), root=str(tmp_path / "root"), digest=DIGEST, adopt=True, lock_timeout=1
    )


def plain(top: Path) -> Path:
    """A small environment as conda leaves one, of another user, with what must survive: data, mode and owner."""
    folder = top / "mini" / "envs" / "x"
    (folder / "conda-meta").mkdir(parents=True)
    (folder / "conda-meta" / "history").write_text("==> made by hand <==\n")
    (folder / "conda-meta" / "tool-1-0.json").write_text(json.dumps({"name": "tool", "version": "1", "build": "0"}))
    (folder / "conda-meta" / "python-3.10.4-h0_0.json").write_text("{}")
    info = folder / "lib" / "python3.10" / "site-packages" / "six-1.17.0.dist-info"
    info.mkdir(parents=True)
    (folder / "notes").write_text("years of work")
    folder.chmod(0o750)
    os.chown(folder, SOMEBODY, -1)
    return folder


def snapshot(folder: Path) -> dict[str, Any]:
    """Everything that makes up a tree: names, contents, modes and owners."""
    return {
        str(path.relative_to(folder)): (
            path.read_bytes() if path.is_file() else None,
            path.lstat().st_mode,
            path.lstat().st_uid,
            path.lstat().st_ino,
        )
        for path in [folder, *folder.rglob("*")]
    }


def place(request: Request) -> Path:
    return Path(request.link())


def aside(request: Request, serial: int = 1) -> Path:
    return Path(request.prefix + ".d", "adopted-envs", f"x-{serial}")


@pytest.fixture(params=["exchange", "two steps"])
def whole(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the kernel's exchange, and as where a file system has none."""
    if request.param == "two steps":
        monkeypatch.setattr(environment_adopt, "exchange", lambda _one, _other: False)
    return str(request.param)


def test_it_is_moved_aside_as_it_is(request_: Request, whole: str) -> None:
    before = snapshot(place(request_))
    request_.check = True
    promised = states.current(request_)
    assert snapshot(place(request_)) == before
    assert not aside(request_).parent.exists()
    request_.check = False
    done = states.current(request_)
    assert (
        done.details
        == promised.details
        == {
            "before": None,
            "adopted": str(aside(request_)),
            "restored": None,
        }
    )
    assert done.packages == promised.packages
    assert done.diff == promised.diff
    assert [(one["name"], one["before"], one["after"]) for one in done.packages["changed"]] == [("tool", "1 0", "2 0")]
    assert [one["name"] for one in done.packages["removed"]] == ["python", "six"]
    assert place(request_).resolve().name == GENERATION
    assert snapshot(aside(request_)) == before
    assert sorted(path.name for path in place(request_).parent.iterdir()) == ["x"]
    again = states.current(request_)
    assert (again.changed, again.details["adopted"]) == (False, None)


def test_it_is_not_touched_unless_that_was_asked_for(request_: Request) -> None:
    before = snapshot(place(request_))
    request_.adopt = False
    with pytest.raises(FleetError, match=r"Next: name it in environments_adopt"):
        states.current(request_)
    assert snapshot(place(request_)) == before


def test_who_uses_it_is_named_and_nothing_is_changed(request_: Request) -> None:
    before = snapshot(place(request_))
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], cwd=place(request_), stdin=subprocess.PIPE)
    try:
        said = rf"while processes use it: {sleeper.pid} \(\w+: \w+"
        for check in (True, False):
            request_.check = check
            with pytest.raises(FleetError, match=said):
                states.current(request_)
        assert snapshot(place(request_)) == before
        refused = planned(request_)
        assert refused["action"] == "blocked"
        assert str(sleeper.pid) in refused["why"]
    finally:
        sleeper.communicate(b"\n")
    assert planned(request_)["action"] == "switch"


@pytest.mark.parametrize("called", ["mini/envs/x", "mini.d/embedded-24.7.1-0-1/envs/x"])
def test_a_shell_that_was_activated_in_it_uses_it(request_: Request, tmp_path: Path, called: str) -> None:
    (tmp_path / "mini.d/embedded-24.7.1-0-1").mkdir(parents=True)
    sleeper = subprocess.Popen(
        ["/bin/sh", "-c", "read line"], stdin=subprocess.PIPE, env={"PATH": f"{tmp_path}/{called}/bin:/usr/bin:/bin"}
    )
    try:
        with pytest.raises(FleetError, match=rf"process {sleeper.pid} \(\w+: sh\) has it in its environment"):
            states.current(request_)
        assert not place(request_).is_symlink()
    finally:
        sleeper.communicate(b"\n")
    assert states.current(request_).changed


def test_a_process_that_comes_after_the_plan_stops_the_switch(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([[], [4711]])
    monkeypatch.setattr(environment_adopt, "others_in", lambda _folders: next(looks))
    before = snapshot(place(request_))
    with pytest.raises(FleetError, match="4711"):
        states.current(request_)
    assert snapshot(place(request_)) == before
    assert not place(request_).is_symlink()


def planned(request: Request, adopt: bool = True) -> dict[str, Any]:
    observed = observe(request.prefix, request.root, adopt=["x"] if adopt else [])
    locked = [{"manager": "conda", "name": "tool", "version": "2", "build": "0"}]
    targets = {"linux": {"platform": observed["node"]["platform"]}}
    locks = {"x": {"linux": {"digest": request.digest, "packages": locked}}}
    return plan_environments(observed, [{"name": "x", "targets": ["linux"]}], targets, locks)["x"]


def test_the_plan_tells_package_by_package(request_: Request) -> None:
    entry = planned(request_)
    assert (entry["action"], entry["generation"], entry["adopt"]) == ("switch", GENERATION, str(place(request_)))
    assert str(aside(request_)) in entry["why"]
    assert [one["name"] for one in entry["packages"]["changed"]] == ["tool"]
    assert [(one["manager"], one["name"]) for one in entry["packages"]["removed"]] == [
        ("conda", "python"),
        ("pip", "six"),
    ]
    request_.digest = "b" * 64
    assert planned(request_)["action"] == "build"
    refused = planned(request_, adopt=False)
    assert (refused["action"], refused["adopt"]) == ("blocked", None)
    assert "environments_adopt" in refused["why"]


def test_what_stands_on_it_is_named(request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (home / "venv").mkdir(parents=True)
    (home / "venv" / "pyvenv.cfg").write_text(f"home = {request_.link()}/bin\nversion = 3.10.4\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text(f"carol:x:{os.geteuid() or 0}:0::/home:/bin/sh\n")
    found = environment_adopt.observe_plain(request_.prefix, request_.root, "x", 10, str(tmp_path))
    if os.geteuid() == 0:
        assert any(f"venv {home}/venv (carol)" in text for text in found["warnings"])
    assert found["python"] == "3.10.4"
    assert (
        environment_adopt.observe_plain(request_.prefix, request_.root, "x", 10, "/")["packages"] == found["packages"]
    )


@pytest.mark.parametrize("kind", ["empty", "file", "link", "broken"])
def test_whatever_stands_there_can_be_adopted_and_given_back(
    request_: Request, tmp_path: Path, kind: str, whole: str
) -> None:
    there = place(request_)
    there.rename(tmp_path / "elsewhere")
    if kind == "empty":
        there.mkdir()
    elif kind == "file":
        there.write_text("a note")
    else:
        there.symlink_to("../../elsewhere" if kind == "link" else "/nowhere/at/all")
    before = os.lstat(there)
    assert planned(request_)["action"] == "switch"
    assert states.current(request_).changed
    assert there.resolve().name == GENERATION
    assert environment_adopt.give_back(request_.prefix, request_.root, "x") == str(there)
    after = os.lstat(there)
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert not Path(request_.prefix + ".d").exists()


def test_there_is_a_way_back_to_what_was_made_by_hand(request_: Request, whole: str) -> None:
    before = snapshot(place(request_))
    states.current(request_)
    assert observe(request_.prefix, request_.root)["environments"]["x"]["adopted"] == str(aside(request_))
    request_.generation, request_.why, request_.check = "adopted", "rollback", True
    promised = states.current(request_)
    assert place(request_).is_symlink()
    request_.check = False
    done = states.current(request_)
    assert snapshot(place(request_)) == before
    assert (promised.changed, promised.packages, promised.details, promised.diff) == (
        True,
        done.packages,
        done.details,
        done.diff,
    )
    assert [one["name"] for one in done.packages["added"]] == ["python", "six"]
    assert done.details == {"before": GENERATION, "adopted": None, "restored": str(aside(request_))}
    assert [one["generation"] for one in read(request_.root)["x"]] == [GENERATION, None]
    assert states.current(request_).changed is False
    request_.generation = None
    assert states.current(request_).details["adopted"] == str(aside(request_)), "and there again"


def test_a_way_back_that_was_taken_is_noted_as_taken(request_: Request) -> None:
    states.current(request_)
    request_.generation, request_.why = "adopted", "rollback"
    states.current(request_)
    noted = json.loads((Path(request_.root) / "history.json").read_text())["environments"]["x"]
    assert [(one["generation"], one["why"]) for one in noted] == [(GENERATION, "adopt"), (None, "rollback")]
    assert not any("moving" in one for one in noted)


@pytest.mark.parametrize("who", ["another run", "a user"])
def test_who_was_quicker_on_the_way_back_is_not_overlooked(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    states.current(request_)
    locked = environment_restored.node_lock

    @contextlib.contextmanager
    def waited(*arguments: Any) -> Any:
        # Between the look and the lock.
        if who == "another run":
            environment_adopt.give_back(request_.prefix, request_.root, "x")
        else:
            place(request_).unlink()
            plain(tmp_path)
        with locked(*arguments):
            yield

    monkeypatch.setattr(environment_restored, "node_lock", waited)
    request_.generation, request_.why = "adopted", "rollback"
    with pytest.raises(FleetError, match="by somebody else meanwhile"):
        states.current(request_)
    assert (place(request_) / "notes").exists()
    assert [one["generation"] for one in read(request_.root)["x"]] == [GENERATION], "no move of ours is noted"


def test_what_was_never_adopted_cannot_come_back(request_: Request) -> None:
    states.current(request_)
    place(request_).unlink()
    aside(request_).rename(aside(request_).parent / "y-1")
    request_.generation = "adopted"
    with pytest.raises(FleetError, match=f"Accepted: a finished generation of x: {GENERATION}.*nothing was adopted"):
        states.current(request_)


def test_adopted_twice_both_are_kept_and_the_last_comes_back(request_: Request, tmp_path: Path, whole: str) -> None:
    states.current(request_)
    place(request_).unlink()
    second = plain(tmp_path)
    (second / "notes").write_text("the second")
    states.current(request_)
    assert (aside(request_, 2) / "notes").read_text() == "the second"
    assert environment_adopt.give_back(request_.prefix, request_.root, "x")
    assert (place(request_) / "notes").read_text() == "the second"
    assert (aside(request_, 1) / "notes").read_text() == "years of work"


def test_an_environment_made_since_is_not_pushed_away(request_: Request, tmp_path: Path) -> None:
    states.current(request_)
    place(request_).unlink()
    plain(tmp_path)
    assert environment_adopt.give_back(request_.prefix, request_.root, "x") is None
    assert (aside(request_) / "notes").exists()
    assert (place(request_) / "notes").exists()


def test_names_that_look_like_others(request_: Request, tmp_path: Path) -> None:
    states.current(request_)
    other = tmp_path / "mini.d" / "adopted-envs" / "x-1-1"
    other.mkdir()
    assert environment_adopt.newest(request_.prefix, request_.root, "x") == str(aside(request_))
    assert environment_adopt.newest(request_.prefix, request_.root, "x-1") == str(other)


def test_another_file_system_is_told_before_anything_changes(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "ismount", lambda path: path == request_.link())
    entry = planned(request_)
    assert entry["action"] == "blocked"
    assert "lies on another file system than" in entry["why"]


class KilledError(BaseException):
    """What stops a run without a chance to tidy up."""


STEPS = ("symlink", "rename", "unlink", "replace", "mkdir", "rmdir", "chmod")


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, bool], None]:
    """Arm it with a number: the run dies before or after that many changes to the disk."""
    state = {"left": -1, "after": False}

    def count(change: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            state["left"] -= 1
            if state["left"] == 0 and not state["after"]:
                raise KilledError
            outcome = change(*arguments, **options)
            if state["left"] == 0:
                raise KilledError
            return outcome

        return counted

    for name in STEPS:
        monkeypatch.setattr(os, name, count(getattr(os, name)))
    # A killed process runs no such handler.
    monkeypatch.setattr(environment_adopt, "exchange", count(environment_adopt.exchange))

    def arm(number: int, after: bool) -> None:
        state.update(left=number, after=after)

    return arm


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, 25))
def test_killed_at_any_step_nothing_is_lost_and_the_next_run_finishes(
    request_: Request, whole: str, killed: Callable[[int, bool], None], number: int, after: bool
) -> None:
    before = snapshot(place(request_))
    killed(number, after)
    with contextlib.suppress(KilledError):
        states.current(request_)
    killed(-1, False)
    there = [path for path in (place(request_), aside(request_)) if not path.is_symlink() and path.is_dir()]
    assert [snapshot(path) for path in there] == [before], "it is in one of its two places, whole"
    if whole == "exchange":
        assert os.path.lexists(place(request_)), "somebody who looks always finds one"
    # What the plan of the next run says is what the switch then does.
    assert planned(request_)["action"] in ("switch", "none")
    states.current(request_)
    assert place(request_).resolve().name == GENERATION
    assert snapshot(aside(request_)) == before
    assert [path.name for path in aside(request_).parent.iterdir()] == ["x-1"]
    assert [path.name for path in place(request_).parent.iterdir()] == ["x"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, 12))
def test_killed_while_it_is_given_back(
    request_: Request, whole: str, killed: Callable[[int, bool], None], number: int, after: bool
) -> None:
    before = snapshot(place(request_))
    states.current(request_)
    killed(number, after)
    with contextlib.suppress(KilledError):
        environment_adopt.give_back(request_.prefix, request_.root, "x")
    killed(-1, False)
    environment_adopt.give_back(request_.prefix, request_.root, "x")
    assert snapshot(place(request_)) == before
    assert not Path(request_.prefix + ".d").exists()


@pytest.mark.parametrize("failing", ["symlink", "rename"])
def test_a_step_that_fails_leaves_the_old_one_in_place(
    request_: Request, whole: str, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(place(request_))

    def full(_source: str, target: str, **_options: Any) -> None:
        raise OSError(28, "No space left on device", target)

    if failing == "symlink":
        monkeypatch.setattr(os, "symlink", full)
    elif whole == "exchange":
        monkeypatch.setattr(environment_adopt, "exchange", full)
    else:
        # The second step alone: the folder is aside already.
        real, calls = os.symlink, iter([False, True])
        monkeypatch.setattr(os, "symlink", lambda *args: full(*args) if next(calls) else real(*args))
    with pytest.raises(FleetError, match=r"No space left on device.*It stays where it was"):
        states.current(request_)
    assert snapshot(place(request_)) == before
    assert not aside(request_).parent.exists()


def test_on_this_machine_the_exchange_is_one_step(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/somewhere")
    assert environment_adopt.exchange(str(tmp_path / "folder"), str(tmp_path / "link"))
    assert (tmp_path / "folder").is_symlink()
    assert (tmp_path / "link").is_dir()
    with pytest.raises(OSError, match="No such file"):
        environment_adopt.exchange(str(tmp_path / "folder"), str(tmp_path / "missing"))
    assert files.read_text(str(tmp_path / "missing")) is None
