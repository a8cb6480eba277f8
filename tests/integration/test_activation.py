"""Sourcing a generation's own scripts leaves what the genuine `conda activate` leaves, compared variable by variable.

Needs a built embedded depot. CONDAFLEET_TEST_CONDA names another installation to compare with (another version).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from installs import depot_path, packages_of

from ansible_collections.condafleet.core.plugins.module_utils import environment_states as states
from ansible_collections.condafleet.core.plugins.module_utils.activate_scripts import write_activation
from ansible_collections.condafleet.core.plugins.module_utils.environment_request import Request

pytestmark = pytest.mark.integration
DEPOT = depot_path()
# What the shells themselves count or remember.
OWN = {"_", "SHLVL", "PWD", "OLDPWD"}
HOOKS = {
    "bash": ". {conda}/etc/profile.d/conda.sh",
    "zsh": ". {conda}/etc/profile.d/conda.sh",
    "dash": ". {conda}/etc/profile.d/conda.sh",
    "fish": "source {conda}/etc/fish/conf.d/conda.fish",
    "tcsh": "source {conda}/etc/profile.d/conda.csh",
}
SOURCE = {
    "bash": ". {envs}/{name}/bin/activate",
    "zsh": ". {envs}/{name}/bin/activate",
    "dash": ". {envs}/{name}/bin/activate",
    "fish": "source {envs}/{name}/bin/activate.fish",
    "tcsh": "source {envs}/{name}/bin/activate.csh",
}
COMMANDS = {
    "bash": ["bash", "-eu"],
    "zsh": ["zsh", "-feu"],
    "dash": ["dash", "-eu"],
    "fish": ["fish", "-N"],
    "tcsh": ["tcsh", "-f"],
}
PROMPTS = {"bash": "$PS1", "zsh": "$PS1", "dash": "$PS1", "tcsh": "$prompt:q"}
SHELLS = [pytest.param(shell, id=shell) for shell in HOOKS if shutil.which(shell)]
# Steps: a name activates, `-` deactivates, `base` is conda's own in both ways.
STORIES = {
    "plain": ["x", "-"],
    "nested": ["x", "y", "-", "-"],
    "again": ["x", "x", "-"],
    "on base": ["base", "x", "y", "x", "-", "-"],
    "nothing left": ["x", "-", "-"],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An installation, and two environments with variables and scripts; {conda, envs, x, y}."""
    if DEPOT is None:
        pytest.skip("no embedded depot: build one and name it in CONDAFLEET_TEST_DEPOT or build/DEPOT_PATH")
    base = tmp_path_factory.mktemp("a")
    home = {**os.environ, "HOME": str(base)}
    installer = next((DEPOT / "installers").glob("*.sh"))
    subprocess.run(["bash", installer, "-b", "-p", base / "mc"], check=True, capture_output=True, env=home)
    manifest = json.loads((DEPOT / "manifest.json").read_text())
    first = Request(
        name="x", prefix=str(base / "mc"), root=str(base / "root"), target="linux-64-cpu", digest="a" * 64,
        packages=packages_of(DEPOT, ["python"]), variables={"WHICH": "x", "MORE": "a b"}, depot_url=DEPOT.as_uri(),
        depot_origins=manifest["origins"], tools=manifest["tools"],
    )  # fmt: skip
    found = {"conda": os.environ.get("CONDAFLEET_TEST_CONDA") or str(base / "mc"), "envs": str(base / "mc" / "envs")}
    for request in (first, replace(first, name="y", variables={"WHICH": "y"})):
        states.fetched(request)
        built = states.built(request).generation
        states.tested(request)
        states.current(request)
        generation = base / "root" / "generations" / str(built)
        add_scripts(generation, request.name)
        write_activation(str(generation), request.name, found["conda"])
        found[request.name] = str(generation)
    return found


def add_scripts(generation: Path, name: str) -> None:
    """What packages bring: scripts whose order counts, in C order whatever the locale."""
    for what, word in (("activate", "on"), ("deactivate", "off")):
        folder = generation / "etc" / "conda" / f"{what}.d"
        folder.mkdir(parents=True, exist_ok=True)
        for script in ("b", "~z", "A c"):
            said = f"{word}-{name}-{script[0]}"
            (folder / f"{script}.sh").write_text(f'export SAID="${{SAID:-}} {said}"\n')
            (folder / f"{script}.fish").write_text(f'set -gx SAID "$SAID {said}"\n')
            (folder / f"{script}.csh").write_text(f'if ( ! $?SAID ) setenv SAID ""\nsetenv SAID "$SAID {said}"\n')


def told(
    place: dict[str, str], shell: str, story: list[str], way: str, base: Path, **more: str
) -> list[dict[str, str]]:
    """The environment after each step. `way` is conda, ours, or mixed (ours, and conda's deactivate)."""
    lines = [HOOKS[shell].format(**place)] if way != "ours" or "base" in story else []
    after = "condafleet_deactivate" if way == "ours" else "conda deactivate"
    for number, step in enumerate(story):
        if step == "-":
            # Where nothing is active any more, ours is an error.
            spare = story[:number].count("-") * 2 >= number
            lines.append(":" if spare and way == "ours" else after)
        elif step == "base" or way == "conda":
            lines.append("conda activate " + ("base" if step == "base" else f"{place['envs']}/{step}"))
        else:
            lines.append(SOURCE[shell].format(envs=place["envs"], name=step))
        prompt = f'PROMPT_IS="{PROMPTS[shell]}"' if shell in PROMPTS else ""
        lines.append(f"/usr/bin/env -0 {prompt} > {base}/said-{number}")
    script = base / f"{way}.{shell}"
    script.write_text("\n".join(lines) + "\n")
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(base), "LANG": "C.UTF-8", **more}
    # A job's own arguments are none of ours.
    arguments = ["argument"] if lines[0].endswith("activate.csh") else []
    done = subprocess.run(
        [*COMMANDS[shell], script, *arguments], cwd=base, env=environment,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    quiet = way != "conda" and not more.get("WHICH")
    assert (done.returncode, done.stdout, done.stderr if quiet else "") == (0, "", ""), (lines, done.stderr)
    found = []
    for number in range(len(story)):
        said = (base / f"said-{number}").read_text().split("\0")
        values = dict(line.split("=", 1) for line in said if line)
        # What is taken away is unset by conda 24.7, and emptied by 26.7 in POSIX shells; ours unsets it.
        found.append({key: value for key, value in values.items() if key not in OWN and value})
    return found


@pytest.mark.parametrize("way", ["ours", "mixed"])
@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("shell", SHELLS)
def test_it_leaves_what_conda_leaves(place: dict[str, str], tmp_path: Path, shell: str, story: str, way: str) -> None:
    steps = STORIES[story]
    wanted = told(place, shell, steps, "conda", tmp_path)
    got = told(place, shell, steps, way, tmp_path)
    for step, before, after in zip(steps, wanted, got, strict=True):
        assert after == before, step
    assert got[0].get("CONDA_PREFIX") in (place["x"], place["conda"])


@pytest.mark.parametrize("shell", SHELLS)
def test_a_variable_of_the_user_comes_back(place: dict[str, str], tmp_path: Path, shell: str) -> None:
    more = {"WHICH": "mine, too", "LC_ALL": "C.UTF-8"}
    wanted = told(place, shell, STORIES["nested"], "conda", tmp_path, **more)
    got = told(place, shell, STORIES["nested"], "ours", tmp_path, **more)
    assert got == wanted
    assert got[-1]["WHICH"] == "mine, too"


@pytest.mark.parametrize("shell", SHELLS)
def test_no_prompt_is_changed_where_the_user_says_so(place: dict[str, str], tmp_path: Path, shell: str) -> None:
    wanted = told(place, shell, ["x", "-"], "conda", tmp_path, CONDA_CHANGEPS1="false")
    assert told(place, shell, ["x", "-"], "ours", tmp_path, CONDA_CHANGEPS1="false") == wanted


@pytest.mark.parametrize("shell", [shell for shell in ("bash", "zsh") if shutil.which(shell)])
@pytest.mark.parametrize(("name", "active"), [("y", "y"), ("base", "base"), ("nothing", "x"), ("x", "x")])
def test_source_activate_by_name_means_that_environment(
    place: dict[str, str], shell: str, name: str, active: str
) -> None:
    """Found by PATH in an active environment, our script must not take another name for itself."""
    lines = f". {place['envs']}/x/bin/activate; source activate {name}; echo $CONDA_DEFAULT_ENV; echo $CONDA_PREFIX"
    done = subprocess.run(
        [shell, "-euc", lines], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [active, place.get(active) or place["conda"]], done.stderr


def test_what_we_did_not_build_is_left_to_conda(place: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-c", f". {place['x']}/bin/activate; condafleet_deactivate; condafleet_deactivate"],
        env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        1, "condafleet_deactivate: nothing is active, which condafleet did not build.\n"
    )  # fmt: skip


@pytest.mark.parametrize("shell", [shell for shell in ("bash", "zsh", "fish") if shutil.which(shell)])
def test_a_clone_is_not_taken_for_the_original(place: dict[str, str], tmp_path: Path, shell: str) -> None:
    suffix = ".fish" if shell == "fish" else ""
    copy = tmp_path / "clone/bin" / f"activate{suffix}"
    copy.parent.mkdir(parents=True)
    shutil.copy(Path(place["x"], "etc/condafleet", copy.name), copy)
    done = subprocess.run(
        [shell, "-c", f"source {copy}; /usr/bin/env"],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert f"{copy} is a copy, made for {place['x']}. Next: conda activate" in done.stderr
    assert "CONDA_PREFIX" not in done.stdout


def test_it_works_where_the_installation_is_gone(place: dict[str, str], tmp_path: Path) -> None:
    """ROOT stands beside the installation, and a job may start while that is being replaced."""
    moved = tmp_path / "activate"
    moved.write_text(Path(place["x"], "etc/condafleet/activate").read_text().replace(place["conda"], "/nowhere"))
    done = subprocess.run(
        ["sh", "-euc", f". {moved}; command -v python; echo $PATH"],
        env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout.splitlines(), done.stderr) == (
        [f"{place['x']}/bin/python", f"{place['x']}/bin:/usr/bin:/bin"],
        "",
    )
