"""Modulefiles: what a generation's says, and the folder that leads to them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import modulefile as m
from ansible_collections.condafleet.core.plugins.module_utils import modulefile_tree as tree
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.generations import RECEIPT
from ansible_collections.condafleet.core.plugins.module_utils.plan import lines, plan

NAMES = ("x-aaaaaaaaaaaa-1", "x-bbbbbbbbbbbb-1")


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A node with two finished generations, one without modulefile, one unfinished; x leads to the first."""
    for name in (*NAMES, "x-cccccccccccc-1", "x-dddddddddddd-1"):
        generation = tmp_path / "root/generations" / name
        (generation / "conda-meta").mkdir(parents=True)
        if name != "x-cccccccccccc-1":
            m.write_modulefile(str(generation), "x", str(tmp_path / "mc3"))
        if name != "x-dddddddddddd-1":
            (generation / RECEIPT).write_text("{}")
    (tmp_path / "mc3/envs").mkdir(parents=True)
    (tmp_path / "mc3/conda-meta").mkdir()
    (tmp_path / "mc3/conda-meta/conda-26.7.1-py311_0.json").write_text("{}")
    (tmp_path / "mc3/envs/x").symlink_to(tmp_path / "root/generations" / NAMES[0])
    return tmp_path


def observed(node: Path) -> dict:
    return tree.observe_modulefiles(
        str(node / "mods"), str(node / "mc3"), str(node / "root"), system_root=str(node / "system")
    )


def keep(node: Path, declared: bool) -> list[str]:
    """Do what is planned; the plan."""
    found = observed(node)
    changes = tree.plan_modulefiles(found, declared, {})
    tree.apply_modulefiles(found, declared, str(node / "system"))
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
    path = node / "system/etc/lmod/modulespath"
    path.parent.mkdir(parents=True)
    path.write_text("# comment\n/etc/lmod/modules")
    path.chmod(0o640)
    keep(node, True)
    assert path.read_text() == f"# comment\n/etc/lmod/modules\n{node}/mods # condafleet\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert keep(node, True) == []
    assert "/etc/lmod/modulespath" in keep(node, False)
    assert path.read_text() == "# comment\n/etc/lmod/modules\n"
    assert [str(found.relative_to(node / "mods")) for found in (node / "mods").rglob("*")] == ["x", "x/own"]
    assert keep(node, False) == []


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


def test_a_node_whose_modulefiles_differ_is_pending_and_says_which(node: Path) -> None:
    seen = {
        "node": {}, "installation": {}, "environments": {}, "generations": [], "validations": {},
        "modulefiles": observed(node),
    }  # fmt: skip
    desired = {"environments": {"declared": [], "targets": {}, "locks": {}, "modulefiles": True}}
    outcome = plan(seen, desired)
    assert outcome["state"] == "pending"
    assert "modulefile mc/26.7.1: text of" in lines(outcome)[1][0]
    keep(node, True)
    assert plan({**seen, "modulefiles": observed(node)}, desired)["state"] == "converged"
    desired["environments"]["modulefiles"] = False
    assert plan({**seen, "modulefiles": observed(node)}, desired)["state"] == "pending"
