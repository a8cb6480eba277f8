"""A collection on a disk that is made up, with real processes, links and files of a user: what goes, and what stays."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import (
    archive_collection,
    dependants,
    generation_history,
    module_pins,
)
from ansible_collections.condafleet.core.plugins.module_utils import generation_collection as collection
from ansible_collections.condafleet.core.plugins.module_utils import generations as gen
from ansible_collections.condafleet.core.plugins.module_utils.environment_current import put_in_place, put_link
from ansible_collections.condafleet.core.plugins.module_utils.environment_request import Request as EnvironmentRequest
from ansible_collections.condafleet.core.plugins.module_utils.generation_drift import note_damage
from ansible_collections.condafleet.core.plugins.module_utils.generation_spared import read_spared
from ansible_collections.condafleet.core.plugins.module_utils.generation_surplus import plan_collection
from ansible_collections.condafleet.core.plugins.module_utils.observation import observe
from ansible_collections.condafleet.core.plugins.module_utils.progress import LockHeldError, Progress, node_lock
from ansible_collections.condafleet.core.plugins.module_utils.root_folder import mark_root
from ansible_collections.condafleet.core.plugins.module_utils.shell_users import User

# Names of this process alone: a module that is loaded is known by its name, and such tests run side by side.
FIRST, SECOND, THIRD = (f"x-{os.getpid() * 4 + number:012x}-1" for number in range(3))
DAYS = 86400
NOTHING: dict[str, list[str]] = {"purge": [], "collect": []}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Node:
    """An installation's `envs`, a ROOT and a system below a folder, with generations that were current in turn."""

    def __init__(self, top: Path) -> None:
        self.prefix, self.root, self.system = top / "mini", top / "root", top / "system"
        (self.prefix / "envs").mkdir(parents=True)
        (self.system / "home" / "alice").mkdir(parents=True)
        mark_root(str(self.root))
        self.day = 0
        self.request = collection.Request(
            str(self.prefix), str(self.root), ["x"], keep=0, modulepath=str(self.root / "modulefiles"),
            modulefiles=True, system_root=str(self.system),
        )  # fmt: skip

    def path(self, name: str) -> Path:
        return self.root / "generations" / name

    def build(self, name: str, finished: bool = True, packages: tuple[str, ...] = ("one",)) -> Path:
        path = self.path(name)
        (path / "bin").mkdir(parents=True)
        (path / "etc" / "condafleet").mkdir(parents=True)
        (path / "etc" / "condafleet" / "modulefile").write_text("#%Module1.0\n")
        (path / "bin" / "sleep").write_bytes(Path("/bin/sleep").read_bytes())
        (path / "bin" / "sleep").chmod(0o755)
        if finished:
            listed = [{"manager": "conda", "name": one, "version": "1", "build": "0"} for one in packages]
            (path / gen.RECEIPT).write_text(json.dumps({"digest": name, "packages": listed}))
        self.age(path)
        return path

    def switch(self, name: str) -> None:
        link = str(self.prefix / "envs" / name.split("-")[0])
        generation_history.announce(
            str(self.root), name.split("-")[0], gen.link_state(str(self.prefix), str(self.root), name.split("-")[0]),
            name, generation_history.SWITCH,
        )  # fmt: skip
        put_link(link, str(self.path(name)))
        # In the past, since all that is told apart is told apart by seconds.
        history = json.loads((self.root / generation_history.FILE).read_text())
        moment = self.moment()
        history["environments"][name.split("-")[0]][-1]["since"] = generation_history_time(moment)
        (self.root / generation_history.FILE).write_text(json.dumps(history))
        os.utime(link, (moment, moment), follow_symlinks=False)

    def moment(self) -> float:
        self.day += 1
        return time.time() - 100 * DAYS + self.day * DAYS

    def age(self, path: Path) -> None:
        moment = self.moment()
        for place in (path, *path.iterdir()):
            os.utime(place, (moment, moment))

    def collect(self, **options: Any) -> collection.Outcome:
        return collection.collect(replace(self.request, **options), Progress(None))

    def there(self) -> list[str]:
        return names(self.root / "generations")

    def planned(self, keep: int = 0, purge: bool = False, collect_shared: bool = False) -> dict[str, list[str]]:
        """What a plan says of an environment whose link is where it belongs."""
        observed = observe(str(self.prefix), str(self.root))
        part = {"declared": [{"name": "x"}], "keep": keep, "purge": purge, "collect_shared": collect_shared}
        return plan_collection(observed, part, {})


def generation_history_time(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    """Three generations, each of which was current; the third is. One user."""
    user = User("alice", os.geteuid(), os.getegid(), str(tmp_path / "system" / "home" / "alice"))
    monkeypatch.setattr(dependants, "everybody", lambda _system_root: [user])
    node = Node(tmp_path)
    for name in (FIRST, SECOND, THIRD):
        node.build(name)
        node.switch(name)
    return node


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    running: list[subprocess.Popen[bytes]] = []

    def start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, **options)
        running.append(process)
        time.sleep(0.2)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("keep", "left"), [(0, [THIRD]), (1, [SECOND, THIRD]), (2, [FIRST, SECOND, THIRD])])
def test_as_many_former_ones_are_kept_as_declared(node: Node, keep: int, left: list[str]) -> None:
    promised = node.planned(keep)
    rehearsed = node.collect(keep=keep, check=True)
    assert node.there() == [FIRST, SECOND, THIRD]
    done = node.collect(keep=keep)
    assert node.there() == left
    assert promised["collect"] == rehearsed.removed == done.removed == [n for n in (FIRST, SECOND) if n not in left]
    assert done.changed is bool(done.removed)
    assert node.planned(keep) == NOTHING
    assert node.collect(keep=keep).changed is False


def test_pinned_ones_stay_and_take_no_place(node: Node) -> None:
    assert node.collect(keep=1, pinned=[FIRST]).removed == []
    assert node.collect(keep=0, pinned=[FIRST]).removed == [SECOND]


def test_what_was_rolled_back_to_is_not_the_oldest(node: Node) -> None:
    node.switch(FIRST)
    assert node.collect(keep=1).removed == [SECOND]
    assert node.there() == [FIRST, THIRD]


def test_who_was_current_last_is_kept_not_who_was_made_last(node: Node) -> None:
    node.switch(FIRST)
    node.build("x-dddddddddddd-1")
    node.switch("x-dddddddddddd-1")
    assert node.collect(keep=1).removed == [SECOND, THIRD]
    assert node.there() == [FIRST, "x-dddddddddddd-1"]


def test_repairs_do_not_push_the_way_back_out(node: Node) -> None:
    lock = THIRD.rpartition("-")[0]
    for serial in (2, 3):
        note_damage(str(node.path(f"{lock}-{serial - 1}")))
        node.build(f"{lock}-{serial}")
        node.switch(f"{lock}-{serial}")
    promised = node.planned(keep=1)
    assert node.collect(keep=1).removed == promised["collect"] == [FIRST, f"{lock}-1", f"{lock}-2"]
    assert node.there() == [SECOND, f"{lock}-3"]


def test_of_a_former_lock_a_whole_generation_is_kept(node: Node) -> None:
    lock = THIRD.rpartition("-")[0]
    for name in (f"{lock}-2", "x-dddddddddddd-1"):
        node.build(name)
        node.switch(name)
    note_damage(str(node.path(f"{lock}-2")))
    assert node.collect(keep=1).removed == [FIRST, SECOND, f"{lock}-2"]
    assert node.there() == sorted([THIRD, "x-dddddddddddd-1"])


def uses(how: str, node: Node) -> dict[str, Any]:
    path = node.path(FIRST)
    return {
        "program": {"command": [str(path / "bin" / "sleep"), "60"]},
        "folder": {"command": ["sleep", "60"], "cwd": path / "bin"},
        "open file": {"command": ["sleep", "60"], "stdin": (path / gen.RECEIPT).open()},
        "variable": {"command": ["sleep", "60"], "env": {"PATH": f"{path}/bin:/usr/bin:/bin"}},
        "module": {"command": ["sleep", "60"], "env": {"PATH": "/usr/bin:/bin", "LOADEDMODULES": f"gcc/12:x/{FIRST}"}},
        "memory": {
            "command": [
                sys.executable, "-c",
                "import mmap, sys, time; f = open(sys.argv[1]); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); "
                "f.close(); time.sleep(60)",
                str(path / "bin" / "sleep"),
            ]
        },
    }[how]  # fmt: skip


@pytest.mark.parametrize("how", ["program", "folder", "open file", "variable", "module", "memory"])
def test_what_a_process_uses_is_spared_and_goes_later(
    node: Node, started: Callable[..., subprocess.Popen[bytes]], how: str
) -> None:
    options = uses(how, node)
    process = started(options.pop("command"), **options)
    if how == "memory":
        time.sleep(0.3)
    done = node.collect()
    assert node.there() == [FIRST, THIRD]
    assert f"process {process.pid} " in done.spared[FIRST]
    assert read_spared(str(node.root))[FIRST]["why"] == done.spared[FIRST]
    # Spared ones alone are no work to be done.
    assert node.planned() == NOTHING
    process.kill()
    process.wait()
    assert node.collect().removed == [FIRST]
    assert read_spared(str(node.root)) == {}


def test_the_link_s_path_accuses_nobody(node: Node, started: Callable[..., subprocess.Popen[bytes]]) -> None:
    link = node.prefix / "envs" / "x"
    started(
        ["sleep", "60"],
        env={"PATH": f"{link}/bin:/usr/bin:/bin", "CONDA_PREFIX": str(link), "LONGER": f"{node.path(FIRST)}0/x"},
    )
    assert node.collect().removed == [FIRST, SECOND]


def home(node: Node, path: str, text: str) -> Path:
    place = node.system / "home" / "alice" / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        ("work/.venv/pyvenv.cfg", "home = {path}/bin\n", "venv"),
        (
            ".local/share/jupyter/kernels/mine/kernel.json",
            '{{"argv": ["{path}/bin/python", "-m", "ipykernel"]}}',
            "kernel",
        ),
        (".lmod.d/default", '_ModuleTable_ = {{ fullName = "x/{name}", }}', "module"),
        (".config/lmod/mine", 'fn = "/opt/modules/x/{name}",', "module"),
        (".module/default", "module load x/{name}\n", "module"),
        (".modulerc", "module-version x/{name} mine\n", "module"),
    ],
)
def test_what_users_built_or_saved_spares(node: Node, path: str, text: str, kind: str) -> None:
    place = home(node, path, text.format(path=node.path(FIRST), name=FIRST))
    done = node.collect()
    assert node.there() == [FIRST, THIRD]
    assert done.spared[FIRST].startswith(f"{kind} ")
    place.unlink()
    assert node.collect().removed == [FIRST]


def test_a_site_s_default_spares(node: Node) -> None:
    place = node.root / "modulefiles" / "x"
    place.mkdir(parents=True)
    (place / ".modulerc").write_text(f"#%Module\nmodule-version x/{FIRST} stable\n")
    assert node.collect().removed == [SECOND]


def test_a_search_that_was_stopped_spares_all(node: Node) -> None:
    done = node.collect(seconds=0.0)
    assert done.removed == []
    assert "the search was stopped after 0 s" in done.spared[FIRST]


def test_nothing_is_collected_on_a_shared_file_system(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "is_shared", lambda _path: True)
    assert node.collect().removed == []
    assert "who uses it on other nodes can't be seen" in read_spared(str(node.root))[FIRST]["why"]
    assert node.planned() == NOTHING


def test_on_a_shared_file_system_what_nobody_here_uses_goes_when_asked(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "is_shared", lambda _path: True)
    node.collect()
    # What was spared for that reason alone is work again, as soon as somebody asks for it.
    assert node.planned(collect_shared=True)["collect"] == [FIRST, SECOND]
    with subprocess.Popen(["sleep", "60"], cwd=node.path(FIRST)) as job:
        assert node.collect(collect_shared=True).removed == [SECOND]
        job.kill()
    assert node.there() == [FIRST, THIRD]
    assert node.planned(collect_shared=True) == NOTHING


def test_what_another_run_has_staged_since_stays(node: Node) -> None:
    node.build("x-dddddddddddd-1")
    node.build("x-eeeeeeeeeeee-1", finished=False)
    assert node.collect().removed == [FIRST, SECOND]
    assert node.there() == [THIRD, "x-dddddddddddd-1", "x-eeeeeeeeeeee-1"]
    # Two runs with two locks: who switches first leaves what the other one has staged. Nobody builds for days.
    node.build("x-ffffffffffff-1")
    node.switch("x-ffffffffffff-1")
    assert node.collect().removed == [THIRD, "x-eeeeeeeeeeee-1"]
    node.switch("x-dddddddddddd-1")
    assert node.collect().removed == ["x-ffffffffffff-1"]
    assert node.there() == ["x-dddddddddddd-1"]


def test_what_was_staged_two_weeks_before_the_switch_goes(node: Node) -> None:
    node.build("x-dddddddddddd-1")
    node.build("x-ffffffffffff-1")
    node.day += 12
    node.switch("x-ffffffffffff-1")
    assert node.collect(keep=3).removed == []
    # Time alone is no reason: nothing is to be done before the link moves again.
    node.day += 60
    assert node.planned(keep=3) == NOTHING
    node.switch(THIRD)
    assert node.planned(keep=3)["collect"] == node.collect(keep=3).removed == ["x-dddddddddddd-1"]


def test_of_what_was_staged_the_newest_of_two_locks_stay(node: Node) -> None:
    staged = [f"x-{letter * 12}-1" for letter in "def"]
    for name in (*staged, "x-ffffffffffff-2"):
        node.build(name)
    assert node.planned(keep=3)["collect"] == node.collect(keep=3).removed == ["x-dddddddddddd-1", "x-ffffffffffff-1"]
    # One that is damaged is no use to anybody.
    note_damage(str(node.path("x-ffffffffffff-2")))
    assert node.collect(keep=3).removed == ["x-ffffffffffff-2"]
    assert node.there() == [FIRST, SECOND, THIRD, "x-eeeeeeeeeeee-1"]


def test_what_is_staged_for_the_first_switch_is_no_former_one(node: Node) -> None:
    (node.prefix / "envs" / "x").unlink()
    (node.root / generation_history.FILE).unlink()
    shutil.rmtree(node.path(FIRST))
    node.switch(THIRD)
    assert node.collect(keep=0).removed == []
    assert node.there() == [SECOND, THIRD]


def test_a_name_that_was_current_is_given_to_nothing_new(node: Node) -> None:
    """What is unfinished would be taken for what was current, and removed from under another run that builds it."""
    node.collect()
    assert node.there() == [THIRD]
    planned = EnvironmentRequest("x", str(node.prefix), str(node.root), digest=FIRST.split("-")[1]).next_name()
    assert planned == FIRST[:-1] + "2"
    node.build(planned, finished=False)
    assert node.collect().removed == []
    assert node.there() == sorted([planned, THIRD])


def test_without_a_history_the_links_tell(node: Node) -> None:
    (node.root / generation_history.FILE).unlink()
    assert node.collect(keep=1).removed == [FIRST]
    assert node.there() == [SECOND, THIRD]


def test_where_no_link_is_nothing_is_surplus(node: Node) -> None:
    (node.prefix / "envs" / "x").unlink()
    assert node.collect(purge=True).removed == []


def test_environments_that_are_declared_no_more_go_only_when_asked(node: Node) -> None:
    for name in ("y-aaaaaaaaaaaa-1", "z-aaaaaaaaaaaa-1"):
        node.build(name)
        node.switch(name)
    (node.prefix / "envs" / "hers" / "data").mkdir(parents=True)
    (node.prefix / "envs" / "elsewhere").symlink_to(node.prefix)
    # What begins with a dot is of no environment, but the node's own; `history` may be one's name.
    for name in ("y", "hers", "history", ".history", ".speed"):
        (node.root / "validation" / name).mkdir(parents=True)
    assert node.collect(keep=2).changed is False
    promised = {"purge": ["y", "z"], "collect": ["y-aaaaaaaaaaaa-1", "z-aaaaaaaaaaaa-1"]}
    assert node.planned(keep=2, purge=True) == promised
    with subprocess.Popen(["sleep", "60"], cwd=node.path("y-aaaaaaaaaaaa-1")) as job:
        done = node.collect(keep=2, purge=True)
        job.kill()
    assert (done.purged, done.removed) == (["y", "z"], ["z-aaaaaaaaaaaa-1"])
    assert names(node.prefix / "envs") == ["elsewhere", "hers", "x"]
    assert names(node.root / "validation") == [".history", ".speed", "y"]
    assert node.planned(keep=2, purge=True) == NOTHING
    assert node.collect(keep=2, purge=True).removed == ["y-aaaaaaaaaaaa-1"]
    assert names(node.root / "validation") == [".history", ".speed"]


def test_results_go_with_the_generation_that_they_are_of(node: Node) -> None:
    folder = node.root / "validation" / "x" / "torch"
    folder.mkdir(parents=True)
    for generation in (FIRST, "x-0123456789ab-77"):
        for end in ("train.json", "train.txt"):
            (folder / f"{generation}.{end}").touch()
    (folder / "result.json").touch()
    node.collect(keep=2)
    assert names(folder) == ["result.json", f"{FIRST}.train.json", f"{FIRST}.train.txt"]


def test_links_that_users_made_stay_and_spare_what_they_lead_to(node: Node) -> None:
    envs = node.prefix / "envs"
    (envs / "paper").symlink_to(node.path(FIRST))
    (envs / "tool").symlink_to(node.path(SECOND) / "bin")
    (envs / "alias").symlink_to("x")
    node.build("y-aaaaaaaaaaaa-1")
    node.switch("y-aaaaaaaaaaaa-1")
    (envs / "alias-of-y").symlink_to("y")
    done = node.collect(purge=True)
    assert (done.purged, done.removed) == (["y"], ["y-aaaaaaaaaaaa-1"])
    assert names(envs) == ["alias", "alias-of-y", "paper", "tool", "x"]
    assert done.spared == {FIRST: f"{envs}/paper leads to it", SECOND: f"{envs}/tool leads to it"}
    assert node.planned(purge=True) == NOTHING
    assert set(observe(str(node.prefix), str(node.root))["history"]) >= {"x", "y"}
    (envs / "paper").unlink()
    assert node.collect(purge=True).removed == [FIRST]


def test_a_rehearsal_says_the_same_though_the_link_has_not_moved_yet(node: Node) -> None:
    node.build("x-dddddddddddd-1")
    rehearsed = node.collect(check=True, moves={"x": "x-dddddddddddd-1"})
    assert rehearsed.removed == [FIRST, SECOND, THIRD]
    node.switch("x-dddddddddddd-1")
    assert node.collect().removed == rehearsed.removed


def test_what_another_installation_with_the_same_root_uses_stays(node: Node, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "envs").mkdir(parents=True)
    request = EnvironmentRequest("x", str(other), str(node.root))
    put_in_place(request, str(node.path(SECOND)))
    done = node.collect()
    assert done.removed == [FIRST]
    assert done.spared == {SECOND: f"{other}/envs/x leads to it"}
    shutil.rmtree(other)
    assert node.collect().removed == [SECOND]


def test_modulefiles_follow(node: Node) -> None:
    folder = node.root / "modulefiles" / "x"
    folder.mkdir(parents=True)
    for name in (FIRST, THIRD):
        (folder / name).symlink_to(node.path(name) / "etc" / "condafleet" / "modulefile")
    node.collect()
    assert names(folder) == [".version", THIRD]


def test_a_removal_that_was_cut_short_is_finished(node: Node) -> None:
    node.path(FIRST).rename(f"{node.path(FIRST)}.removing")
    assert node.planned(keep=2)["collect"] == [f"{FIRST}.removing"]
    assert node.collect(keep=2).removed == [f"{FIRST}.removing"]
    assert node.there() == [SECOND, THIRD]


def test_who_uses_what_a_removal_has_renamed_keeps_it(node: Node) -> None:
    aside = Path(f"{node.path(FIRST)}.removing")
    node.path(FIRST).rename(aside)
    with subprocess.Popen([str(aside / "bin" / "sleep"), "60"]) as job:
        time.sleep(0.2)
        done = node.collect(keep=2)
        job.kill()
    assert f"process {job.pid} " in done.spared[aside.name]
    assert node.there() == [FIRST, SECOND, THIRD], "nothing of it was gone, so it has its name back"


def test_half_of_a_generation_never_gets_its_name_back(node: Node) -> None:
    aside = Path(f"{node.path(FIRST)}.removing")
    node.path(FIRST).rename(aside)
    (aside / gen.RECEIPT).unlink()
    with subprocess.Popen([str(aside / "bin" / "sleep"), "60"]) as job:
        time.sleep(0.2)
        done = node.collect(keep=2)
        job.kill()
    assert f"process {job.pid} " in done.spared[aside.name]
    assert node.there() == [aside.name, SECOND, THIRD]
    assert node.planned(keep=2) == NOTHING
    assert node.collect(keep=2).removed == [aside.name]


def test_what_can_t_be_removed_is_told_and_stops_nothing(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    aside = Path(f"{node.path(FIRST)}.removing")
    node.path(FIRST).rename(aside)
    remove = shutil.rmtree

    def refused(path: str, *arguments: Any, **options: Any) -> None:
        if str(path) == str(aside):
            raise PermissionError(1, "Operation not permitted", f"{path}/bin/sleep")
        remove(path, *arguments, **options)

    monkeypatch.setattr(collection.shutil, "rmtree", refused)
    done = node.collect()
    assert done.removed == [SECOND]
    assert done.spared[aside.name].startswith(f"{aside}/bin/sleep can't be removed: Operation not permitted. Next: ")
    assert node.planned() == NOTHING


def test_somebody_who_came_meanwhile_is_seen(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    # A job that starts after the first look, and before the rename.
    monkeypatch.setattr(collection, "in_use", lambda _request, _names, apart=(): {})
    with subprocess.Popen(["sleep", "60"], cwd=node.path(FIRST)) as job:
        done = node.collect()
        job.kill()
    assert f"process {job.pid} " in done.spared[FIRST]
    assert node.there() == [FIRST, THIRD]


def test_other_work_is_waited_for_no_longer_than_said(node: Node) -> None:
    with node_lock(str(node.root), "a build"), pytest.raises(LockHeldError, match=r"a build"):
        node.collect(lock_timeout=0.1)
    assert node.there() == [FIRST, SECOND, THIRD]


def archives(node: Node, *names: str) -> None:
    for name in names:
        (node.root / "pkgs" / name / "info").mkdir(parents=True)
        (node.root / "pkgs" / f"{name}.conda").write_text("")
        folder = node.root / "wheels" / f"sha-{name}"
        folder.mkdir(parents=True)
        (folder / f"{name.split('-')[0]}-1-py3-none-any.whl").write_text("")


def test_archives_that_nothing_left_was_made_of_go(node: Node) -> None:
    archives(node, "one-1-0", "two-1-0")
    root = str(node.root)
    assert archive_collection.collect_archives(root) == []  # of today
    gone = archive_collection.collect_archives(root, seconds=-10)
    assert gone == ["pkgs/two-1-0", "pkgs/two-1-0.conda", "wheels/sha-one-1-0", "wheels/sha-two-1-0"]
    node.build("x-dddddddddddd-1", finished=False)
    archives(node, "two-1-0")
    assert archive_collection.collect_archives(root, seconds=-10) == [], "nobody knows what that one is made of"


def test_names_that_only_begin_alike_are_others(tmp_path: Path) -> None:
    (tmp_path / ".modulerc").write_text(f"a/{FIRST}0 b/{SECOND}.old /c/{THIRD}\n")
    found = list(module_pins.of_home(str(tmp_path), lambda path: Path(path).read_text() if Path(path).exists() else ""))
    assert [name for _path, name in found] == [f"{FIRST}0", THIRD]
