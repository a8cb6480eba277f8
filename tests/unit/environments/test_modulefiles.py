"""Modulefiles: what a generation's says, and the folder that leads to them."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import modulefile as m
from ansible_collections.condafleet.core.plugins.module_utils import modulefile_tree as tree
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.generations import RECEIPT
from ansible_collections.condafleet.core.plugins.module_utils.plan import conda_to_come, lines, plan
from ansible_collections.condafleet.core.plugins.modules import modulefiles

NAMES = ("x-aaaaaaaaaaaa-1", "x-bbbbbbbbbbbb-1")


@pytest.fixture
def node(tmp_path: Path) -> Path:
    return make(tmp_path)


def make(home: Path, environment: str = "x", prefix: str = "mc3") -> Path:
    """A node with two finished generations, one without modulefile, one unfinished; x leads to the first."""
    names = [environment + name[1:] for name in (*NAMES, "x-cccccccccccc-1", "x-dddddddddddd-1")]
    for name in names:
        generation = home / "root/generations" / name
        (generation / "conda-meta").mkdir(parents=True)
        if name != names[2]:
            m.write_modulefile(str(generation), environment, str(home / prefix))
        if name != names[3]:
            (generation / RECEIPT).write_text("{}")
    (home / prefix / "envs").mkdir(parents=True)
    (home / prefix / "conda-meta").mkdir()
    (home / prefix / "conda-meta/conda-26.7.1-py311_0.json").write_text("{}")
    (home / prefix / "envs" / environment).symlink_to(home / "root/generations" / names[0])
    return home


def observed(node: Path) -> dict:
    return tree.observe_modulefiles(
        str(node / "mods"), str(node / "mc3"), str(node / "root"), system_root=str(node / "system")
    )


def keep(node: Path, declared: bool) -> list[str]:
    """Do what is planned; the plan."""
    found = observed(node)
    changes = tree.plan_modulefiles(found, declared, {})
    tree.apply_modulefiles(found, declared)
    return [change["what"] for change in changes]


def test_only_what_is_finished_is_offered_and_a_second_run_changes_nothing(node: Path) -> None:
    listed = ["mc/26.7.1", "x/.version", *(f"x/{name}" for name in NAMES)]
    assert keep(node, True) == [f"modulefile {path}" for path in listed]
    assert sorted(str(path.relative_to(node / "mods")) for path in (node / "mods").glob("*/*")) == listed
    assert (node / "mods/x" / NAMES[1]).readlink() == node / "root/generations" / NAMES[1] / m.PLACE
    assert keep(node, True) == []


def test_a_generation_that_is_gone_takes_its_modulefile_along(node: Path) -> None:
    keep(node, True)
    shutil.rmtree(node / "root/generations" / NAMES[1])
    assert keep(node, True) == [f"modulefile x/{NAMES[1]}"]


def test_a_plan_names_what_will_be_built(node: Path) -> None:
    keep(node, True)
    changes = tree.plan_modulefiles(observed(node), True, {"x": {"action": "build", "generation": "x-eeeeeeeeeeee-1"}})
    assert [(one["what"], one["before"]) for one in changes] == [("modulefile x/x-eeeeeeeeeeee-1", None)]


def test_what_the_site_wrote_stays_and_everything_of_ours_goes(node: Path) -> None:
    (node / "mods/x").mkdir(parents=True)
    (node / "mods/x/own").write_text("#%Module1.0\n")
    keep(node, True)
    assert keep(node, True) == []
    keep(node, False)
    assert [str(found.relative_to(node / "mods")) for found in (node / "mods").rglob("*")] == ["x", "x/own"]
    assert keep(node, False) == []


def search_path(node: Path, content: bytes, place: str = "etc/lmod/modulespath") -> Path:
    path = node / "system" / place
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("content", [b"", b"# caf\xe9\n/etc/lmod/modules", b"/etc/lmod/modules\r\n", b"a\n\n"])
@pytest.mark.parametrize("place", ["etc/lmod/modulespath", "etc/environment-modules/initrc"])
def test_the_search_path_is_given_back_to_the_byte(node: Path, place: str, content: bytes) -> None:
    path = search_path(node, content, place)
    path.chmod(0o640)
    keep(node, True)
    line = b"%s/mods # condafleet" if "lmod" in place else b"module use --append {%s/mods} ;# condafleet"
    said = path.read_bytes()
    assert said.startswith(content)
    assert said[len(content) :].strip().startswith(line % str(node).encode())
    assert path.stat().st_mode & 0o777 == 0o640
    assert keep(node, True) == []
    assert f"/{place}" in keep(node, False)
    assert path.read_bytes() == content


def test_a_line_that_came_after_ours_stays_a_line(node: Path) -> None:
    path = search_path(node, b"/first")
    keep(node, True)
    path.write_bytes(path.read_bytes() + b"/last\n")
    keep(node, False)
    assert path.read_bytes() == b"/first\n/last\n"


@pytest.mark.parametrize("line", ["module use --append {@}", "module use @/"])
def test_a_folder_that_the_site_has_named_itself_is_not_named_again(node: Path, line: str) -> None:
    path = node / "system/etc/environment-modules/initrc"
    path.parent.mkdir(parents=True)
    said = line.replace("@", str(node / "mods")) + "\n"
    path.write_text(said)
    (path.parent / "modulespath").write_text("# read only where there is no initrc\n")
    assert not [what for what in keep(node, True) if what.startswith("/etc")]
    assert not [what for what in keep(node, False) if what.startswith("/etc")]
    assert path.read_text() == said


def test_effects_of_activation_scripts_are_told_apart(tmp_path: Path) -> None:
    folder = tmp_path / "etc/conda/activate.d"
    folder.mkdir(parents=True)
    (folder / "a.sh").write_text(
        'export LIBS="$CONDA_PREFIX/lib${LIBS:+:$LIBS}" AFTER="${AFTER:+$AFTER:}/end" SET="it is $MINE"\n'
        'export PATH="$CONDA_PREFIX/sbin:$PATH" BACKUP="${LIBS_OF_USER:-}"; echo said\n'
    )
    (folder / "00-condafleet-pin.sh").write_text("export PINNED=1\n")
    (folder / "b.fish").write_text("set -gx FISH 1\n")
    assert m.activation_effects(str(tmp_path), {"MINE": "me"}) == [
        ("append", "AFTER", "/end"),
        ("prepend", "LIBS", f"{tmp_path}/lib"),
        ("set", "SET", "it is me"),
        ("prepend", "PATH", f"{tmp_path}/sbin"),
    ]


@pytest.mark.parametrize(
    ("script", "code"), [("command -v no-such-program >/dev/null || exit 7", 7), ("unset PATH", 0)]
)
def test_a_script_that_ends_the_shell_is_named(tmp_path: Path, script: str, code: int) -> None:
    folder = tmp_path / "etc/conda/activate.d"
    folder.mkdir(parents=True)
    (folder / "a.sh").write_text("echo no device found >&2\n" + script + "\n")
    with pytest.raises(FleetError) as caught:
        m.activation_effects(str(tmp_path), {})
    assert str(folder) in caught.value.message
    assert f"ended with code {code}, and said: no device found" in caught.value.message
    assert ("a.sh ended the shell" in caught.value.message) == bool(code)


def test_what_is_made_of_the_home_where_scripts_are_tried_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "etc/conda/activate.d"
    folder.mkdir(parents=True)
    (folder / "a.sh").write_text(
        'export CACHE="$HOME/.cache/x" KEPT=/srv LIBS="$HOME/lib:/srv/lib${LIBS:+:$LIBS}" PATH="$HOME/bin:$PATH"\n'
    )
    assert m.activation_effects(str(tmp_path), {}) == [("set", "KEPT", "/srv"), ("prepend", "LIBS", "/srv/lib")]


@pytest.mark.skipif(not shutil.which("tclsh"), reason="no tclsh")
@pytest.mark.parametrize("value", ['a "b" $c [d] {e', "back\\slash;#", "two\nlines", "-flag ~x %y"])
def test_any_value_is_one_word_of_tcl(value: str) -> None:
    done = subprocess.run(
        ["tclsh"], input=f"puts -nonewline {m.quote(value)}", capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == (value, "")


@pytest.mark.parametrize(
    ("prefix", "name"), [("/opt/miniconda3", "miniconda"), ("/opt/conda/", "conda"), ("/opt/3", "3")]
)
def test_the_installation_is_called_as_its_prefix_is(prefix: str, name: str) -> None:
    assert tree.module_name(prefix) == name


def test_variables_of_the_environment_are_set(node: Path) -> None:
    generation = node / "root/generations" / NAMES[0]
    (generation / "conda-meta/state").write_text(json.dumps({"version": 1, "env_vars": {"OMP": "1"}}))
    text = Path(m.write_modulefile(str(generation), "x", "/opt/mc")).read_text()
    assert 'put OMP "1"\n' in text
    assert f'put CONDA_PREFIX "{generation}"\n' in text


def seen(node: Path, **more: Any) -> dict[str, Any]:
    return {
        "node": {"architecture": "x86_64"}, "installation": {}, "environments": {}, "generations": [],
        "validations": {}, "modulefiles": observed(node), **more,
    }  # fmt: skip


def test_a_node_whose_modulefiles_differ_is_pending_and_says_which(node: Path) -> None:
    desired = {"environments": {"declared": [], "targets": {}, "locks": {}, "modulefiles": True}}
    outcome = plan(seen(node), desired)
    assert outcome["state"] == "pending"
    assert "modulefile mc/26.7.1: text of" in lines(outcome)[1][0]
    keep(node, True)
    assert plan(seen(node), desired)["state"] == "converged"
    desired["environments"]["modulefiles"] = False
    assert plan(seen(node), desired)["state"] == "pending"


def run(node: Path, **options: Any) -> list[dict[str, Any]]:
    """What the module does, without Ansible around it."""
    given = {
        "path": str(node / "mods"), "prefix": str(node / "mc3"), "root": str(node / "root"), "state": "present",
        "system_root": str(node / "system"), **options,
    }  # fmt: skip
    return modulefiles.run(given, False)


@pytest.mark.parametrize("place", ["mc/26.7.1", "x/.version", "x"])
def test_what_stands_in_the_way_is_refused_before_anything_changes(node: Path, place: str) -> None:
    path = node / "mods" / place
    path.parent.mkdir(parents=True)
    path.write_text("#%Module1.0\nsetenv SITE 1\n")
    with pytest.raises(FleetError) as caught:
        run(node)
    text = caught.value.message
    assert text.startswith(f"environments_modulepath: {node}/mods can't be used")
    assert f"{path} (the site's own)" in text
    assert "Next: let environments_modulepath be a folder of its own" in text
    assert [found for found in (node / "mods").rglob("*") if found.is_file()] == [path]
    assert path.read_text() == "#%Module1.0\nsetenv SITE 1\n"
    assert not list((node / "mods").rglob("x-*"))
    desired = {"environments": {"declared": [], "targets": {}, "locks": {}, "modulefiles": True}}
    assert plan(seen(node), desired)["blocked"] == [text]
    desired["environments"]["modulefiles"] = False
    assert plan(seen(node), desired)["blocked"] == []
    assert run(node, state="absent") == []


def test_a_plan_refuses_what_will_stand_in_the_way(node: Path) -> None:
    for place in ("new/.version", "mc/27.1.0"):
        (node / "mods" / place).parent.mkdir(parents=True)
        (node / "mods" / place).write_text("#%Module1.0\n")
    assert tree.refuse_modulefiles(observed(node), True, {}) is None
    to_build = {"new": {"action": "build", "generation": "new-eeeeeeeeeeee-1"}}
    assert f"{node}/mods/new/.version (" in (tree.refuse_modulefiles(observed(node), True, to_build) or "")
    assert f"{node}/mods/mc/27.1.0 (" in (tree.refuse_modulefiles(observed(node), True, {}, "27.1.0") or "")
    # An upgrade replaces the installation's module.
    changes = tree.plan_modulefiles({**observed(node), "found": observed(node)["wanted"]}, True, {}, "28.1.0")
    assert [(one["what"], one["after"] is None) for one in changes] == [
        ("modulefile mc/26.7.1", True),
        ("modulefile mc/28.1.0", False),
    ]


def test_the_conda_of_an_installation_to_come_is_known_by_its_installer() -> None:
    declared = {"installers": {"x86_64": {"version": "py311_24.7.1-0"}}}
    observed_node = {"node": {"architecture": "x86_64"}}
    coming = [{"what": "installation", "action": "install", "before": "nothing", "after": "miniconda"}]
    assert conda_to_come(observed_node, declared, coming) == "24.7.1"
    assert conda_to_come(observed_node, declared, [{"what": "condarc", "before": "", "after": ""}]) is None
    assert conda_to_come(observed_node, None, []) is None


def test_two_fleets_share_a_folder_and_leave_each_others_files(tmp_path: Path) -> None:
    one, two = make(tmp_path / "one"), make(tmp_path / "two", "y", "mini")
    system, shared = search_path(tmp_path, b"/site\n"), str(tmp_path / "shared")
    options = {"path": shared, "system_root": str(tmp_path / "system")}
    other = {**options, "prefix": str(two / "mini")}
    assert run(one, **options)
    assert run(two, **other)
    assert (run(one, **options), run(two, **other)) == ([], [])
    with_both = system.read_bytes()
    assert run(one, state="absent", **options)
    assert sorted(path.name for path in Path(shared).iterdir()) == ["mini", "y"]
    # The line is still needed.
    assert system.read_bytes() == with_both
    assert (run(one, state="absent", **options), run(two, **other)) == ([], [])
    run(two, state="absent", **other)
    assert system.read_bytes() == b"/site\n"
    assert not list(tmp_path.glob("shared/*"))


def test_two_fleets_that_want_one_name_are_told(tmp_path: Path) -> None:
    one, two = make(tmp_path / "one"), make(tmp_path / "two")
    options = {"path": str(tmp_path / "shared"), "system_root": str(tmp_path / "system")}
    run(one, **options)
    before = sorted(tmp_path.glob("shared/*/*"))
    with pytest.raises(FleetError, match=r"x/\.version \(condafleet's for another installation or root\)"):
        run(two, **options)
    assert sorted(tmp_path.glob("shared/*/*")) == before


def test_a_prefix_that_ends_like_ours_is_another_one(node: Path) -> None:
    (node / "mods/mc").mkdir(parents=True)
    (node / "mods/mc/1.0").write_text(m.installation_text(f"/export{node}/mc3"))
    (node / "mods/mc/2.0").write_text(m.installation_text(f"{node}/mc3-old"))
    keep(node, True)
    assert {"1.0", "2.0", "26.7.1"} == {path.name for path in (node / "mods/mc").iterdir()}


def at_once(node: Path, state: str) -> list[int]:
    """Let four processes do it at the same time; how many changes each made."""
    context = multiprocessing.get_context("fork")
    start, done = context.Barrier(4), context.Queue()

    def work() -> None:
        start.wait()
        try:
            done.put(len(run(node, state=state)))
        except (OSError, FleetError) as error:
            done.put(repr(error))

    workers = [context.Process(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    counts = [done.get(timeout=30) for _ in workers]
    for worker in workers:
        worker.join(30)
    return sorted(counts, key=str)


def test_nodes_that_share_a_root_take_turns(node: Path) -> None:
    search_path(node, b"/site\n")
    assert at_once(node, "present") == [0, 0, 0, 5]
    assert (node / "root/lock").exists()
    assert at_once(node, "absent") == [0, 0, 0, 5]
    assert not list((node / "mods").glob("*"))


def test_what_another_node_has_removed_meanwhile_is_no_error(node: Path) -> None:
    keep(node, True)
    before = observed(node)
    for _ in range(2):
        tree.apply_modulefiles(before, False)
    assert observed(node)["found"] == {}


def test_no_lock_is_left_where_the_root_is_gone(node: Path) -> None:
    run(node)
    shutil.rmtree(node / "root")
    (node / "root").mkdir()
    assert run(node, state="absent")
    assert list((node / "root").iterdir()) == []


def test_a_search_path_that_leads_out_of_the_image_is_refused(node: Path) -> None:
    outside = node / "hosts-own"
    outside.write_text("/host\n")
    link = node / "system/etc/lmod/modulespath"
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(FleetError) as caught:
        run(node)
    text = f"shell_init_system_root: {link} leads to {outside}, which is outside {node}/system. Accepted:"
    assert caught.value.message.startswith(text)
    desired = {"environments": {"declared": [], "targets": {}, "locks": {}, "modulefiles": True}}
    assert plan(seen(node), desired)["blocked"] == [caught.value.message]
    assert not (node / "mods").exists()
    assert outside.read_text() == "/host\n"
    # What leads to a file that only the image has is no less outside, seen from here.
    outside.unlink()
    with pytest.raises(FleetError, match="leads to"):
        run(node)
    assert run(node, state="absent") == []


def test_a_folder_that_is_declared_no_more_is_emptied_and_forgotten(node: Path) -> None:
    path = search_path(node, b"/site\n")
    (node / "theirs").mkdir()
    for name in ("root/modulefiles", "mods", "theirs"):
        run(node, path=str(node / name))
        assert path.read_text() == f"/site\n{node}/{name} # condafleet\n"
        assert sorted(found.name for found in (node / name).iterdir()) == ["mc", "x"]
        assert run(node, path=str(node / name)) == []
    assert not (node / "root/modulefiles").exists()
    assert not (node / "mods").exists()
    # Changed and taken away in one run.
    assert run(node, path=str(node / "mods"), state="absent")
    assert path.read_text() == "/site\n"
    # It was there before.
    assert list((node / "theirs").iterdir()) == []
    assert not (node / "system/var/lib/condafleet").exists()


def test_a_plan_says_what_goes_from_a_former_folder(node: Path) -> None:
    run(node)
    moved = tree.observe_modulefiles(str(node / "new"), str(node / "mc3"), str(node / "root"), str(node / "system"))
    gone = [one["what"] for one in tree.plan_modulefiles(moved, True, {}) if one["after"] is None]
    assert gone == [f"{node}/mods/{name}" for name in ("mc/26.7.1", "x/.version", *(f"x/{one}" for one in NAMES))]
