"""The ready activation scripts without a conda: names, quoting, what is left out. The rest is in integration."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.activate_scripts import (
    environment_variables,
    write_activation,
)

NASTY = 'it\'s "a" $b `c` \\d !e [f] {g} ~h; #i * ?'
SHELLS = {
    "bash": (["bash", "-euc"], "", ". {}"),
    "zsh": (["zsh", "-feuc"], "", ". {}"),
    "dash": (["dash", "-euc"], "", ". {}"),
    "fish": (["fish", "-Nc"], ".fish", "source {}"),
    "tcsh": (["tcsh", "-fc"], ".csh", "source {}"),
}


def generation(folder: Path, variables: dict[str, str]) -> Path:
    prefix = folder / "generations/x y-0123456789ab-1"
    for name in ("bin", "conda-meta", "etc/conda/env_vars.d"):
        (prefix / name).mkdir(parents=True)
    (prefix / "conda-meta/state").write_text(json.dumps({"version": 1, "env_vars": variables}))
    return prefix


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shutil.which(shell)])
def test_any_value_and_any_path_survive_every_shell(tmp_path: Path, shell: str) -> None:
    prefix = generation(tmp_path, {"NASTY": NASTY, "EMPTY": ""})
    write_activation(str(prefix), "x", str(tmp_path / "no conda"))
    command, suffix, source = SHELLS[shell]
    script = source.format(f"'{prefix}/bin/activate{suffix}'")
    done = subprocess.run(
        [*command, f"{script}; /usr/bin/env -0"],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    assert (found["NASTY"], found["EMPTY"]) == (NASTY, "")
    assert (found["PATH"], found["CONDA_PREFIX"]) == (f"{prefix}/bin:/usr/bin:/bin", str(prefix))


def test_a_file_of_a_package_is_left_alone(tmp_path: Path) -> None:
    prefix = generation(tmp_path, {})
    (prefix / "bin/activate").write_text("a package's\n")
    write_activation(str(prefix), "x", "/opt/mc")
    assert (prefix / "bin/activate").read_text() == "a package's\n"
    assert (prefix / "bin/activate.fish").resolve() == prefix / "etc/condafleet/activate.fish"
    assert sorted(path.name for path in (prefix / "etc/condafleet").iterdir()) == sorted(
        what + suffix for what in ("activate", "deactivate") for suffix in ("", ".fish", ".csh")
    )


def test_variables_of_packages_come_first_and_some_not_at_all(tmp_path: Path) -> None:
    prefix = generation(tmp_path, {"BOTH": "environment", "GONE": "***unset***", "PATH": "/evil", "1X": "no name"})
    (prefix / "etc/conda/env_vars.d/b.json").write_text('{"BOTH": "package", "OF_PACKAGE": "b"}')
    (prefix / "etc/conda/env_vars.d/a.json").write_text('{"OF_PACKAGE": "a"}')
    assert environment_variables(str(prefix)) == {"BOTH": "environment", "OF_PACKAGE": "b"}
