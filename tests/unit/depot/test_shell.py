"""The shell hooks in real shells, with a stand-in for conda that prints what conda would."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HOOKS = Path(__file__).parents[3] / "python/condafleet/depot/shell"
CONDA = """#!/bin/sh
case "$1 $2" in
    "shell.posix activate")
        [ "$3" != missing ] || { echo "EnvironmentNameNotFound: $3" >&2; exit 1; }
        echo "PS1='($3) ${PS1-unset}'"
        echo "export CONDA_PREFIX='/envs/$3'"
        echo "export CONDA_SHLVL='1'"
        ;;
    "shell.posix deactivate") echo "unset CONDA_PREFIX"; echo "export CONDA_SHLVL='0'" ;;
    "shell.posix reactivate") echo "export REACTIVATED='yes'" ;;
    *) echo "conda got: $*"; [ "$1" != fail ] ;;
esac
"""


@pytest.fixture
def hook(tmp_path: Path) -> Path:
    """A prefix with the hook as conda writes it: its own variables first, then our text."""
    program = tmp_path / "prefix/bin/conda"
    program.parent.mkdir(parents=True)
    program.write_text(CONDA)
    program.chmod(0o755)
    path = tmp_path / "prefix/etc/profile.d/conda.sh"
    path.parent.mkdir(parents=True)
    preamble = f"export CONDA_EXE='{program}'\nexport _CE_M=''\nexport _CE_CONDA=''\n"
    path.write_text(preamble + (HOOKS / "conda.sh").read_text())
    return path


def run(shell: str, code: str, *, options: str = "-eu") -> subprocess.CompletedProcess[str]:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    return subprocess.run(
        [shell, *([options] if options else []), "-c", code],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


SHELLS = pytest.mark.parametrize("shell", ["bash", "dash", "zsh"])


@SHELLS
@pytest.mark.parametrize("options", ["", "-eu"])
def test_activate_and_deactivate(hook: Path, shell: str, options: str) -> None:
    done = run(
        shell,
        f'. {hook}; echo "$CONDA_SHLVL"; conda activate x; echo "$CONDA_PREFIX $PS1"; '
        'conda deactivate; echo "${CONDA_PREFIX:-none} $CONDA_SHLVL ${__conda_code:-clean}"',
        options=options,
    )
    level, activated, after = done.stdout.splitlines()
    assert (level, after) == ("0", "none 0 clean"), done.stderr
    assert activated.startswith("/envs/x (x) ")  # dash brings a prompt of its own


@SHELLS
def test_a_failed_activation_ends_a_strict_script(hook: Path, shell: str) -> None:
    done = run(shell, f". {hook}; conda activate missing; echo not reached")
    assert (done.returncode, done.stdout) == (1, "")
    assert "EnvironmentNameNotFound: missing" in done.stderr
    done = run(shell, f". {hook}; conda activate missing || echo caught; echo ${{CONDA_PREFIX:-none}}")
    assert done.stdout == "caught\nnone\n"


@SHELLS
def test_other_commands_go_to_conda_as_they_are(hook: Path, shell: str) -> None:
    done = run(shell, f". {hook}; conda list 'a b' --json; conda; conda fail || echo \"code $?\"")
    assert done.stdout == "conda got: list a b --json\nconda got: \nconda got: fail\ncode 1\n"


@SHELLS
def test_changes_of_the_environment_are_taken_up(hook: Path, shell: str) -> None:
    done = run(shell, f'. {hook}; conda install x; echo "$REACTIVATED"')
    assert done.stdout == "conda got: install x\nyes\n"


@SHELLS
def test_names_that_scripts_rely_on(hook: Path, shell: str) -> None:
    done = run(
        shell,
        f". {hook}; for name in conda __conda_exe __conda_hashr __conda_activate __conda_reactivate; "
        "do type $name; done",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("function") == 5


@SHELLS
def test_sourcing_twice_changes_nothing(hook: Path, shell: str) -> None:
    done = run(shell, f'. {hook}; first="$PATH"; CONDA_SHLVL=; . {hook}; [ "$first" = "$PATH" ] && echo "$PATH"')
    assert done.stdout.startswith(f"{hook.parents[2]}/condabin:")


def test_activate_script_is_sourced(hook: Path, tmp_path: Path) -> None:
    script = tmp_path / "prefix/bin/activate"
    script.write_text(f'#!/bin/sh\n_CONDA_ROOT="{tmp_path}/prefix"\n' + (HOOKS / "activate").read_text())
    assert run("bash", f'. {script} x; echo "$CONDA_PREFIX"').stdout == "/envs/x\n"


CSH_CONDA = """#!/bin/sh
case "$1 $2" in
    "shell.csh activate")
        [ "$3" != missing ] || { echo "EnvironmentNameNotFound: $3" >&2; exit 1; }
        echo "setenv CONDA_PREFIX '/envs/$3';" ;;
    "shell.csh deactivate") echo "unsetenv CONDA_PREFIX;" ;;
    "shell.csh reactivate") echo "setenv REACTIVATED 'yes';" ;;
    *) echo "conda got: $*"; [ "$1" != fail ] ;;
esac
"""


@pytest.fixture
def csh_hook(tmp_path: Path) -> Path:
    program = tmp_path / "prefix/bin/conda"
    program.parent.mkdir(parents=True)
    program.write_text(CSH_CONDA)
    program.chmod(0o755)
    path = tmp_path / "prefix/etc/profile.d/conda.csh"
    path.parent.mkdir(parents=True)
    preamble = f'setenv _CONDA_ROOT "{tmp_path}/prefix"\nsetenv _CONDA_EXE "{program}"\n'
    path.write_text(preamble + (HOOKS / "conda.csh").read_text())
    return path


def tcsh(hook: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    if not shutil.which("tcsh"):
        pytest.skip("tcsh is not installed")
    script = hook.parent / "job.csh"
    script.write_text(f"source {hook}\n{code}\n")
    return subprocess.run(
        ["tcsh", "-f", str(script), *arguments],
        env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_tcsh_activates_and_deactivates(csh_hook: Path) -> None:
    done = tcsh(
        csh_hook,
        'conda activate x\necho "$CONDA_PREFIX"\nconda deactivate\necho "$?CONDA_PREFIX"',
    )
    assert done.stdout == "/envs/x\n0\n", done.stderr


def test_tcsh_tells_a_failure_and_goes_on(csh_hook: Path) -> None:
    done = tcsh(csh_hook, 'conda activate missing\necho "status $status"\nconda fail\necho "status $status"')
    assert done.stdout.splitlines() == ["status 1", "conda got: fail", "status 1"]
    assert "EnvironmentNameNotFound: missing" in done.stderr


def test_tcsh_takes_no_argument_of_a_script_for_its_own(csh_hook: Path) -> None:
    """A start-up file sees the arguments of the script that is to run."""
    assert tcsh(csh_hook, "echo only this", "list").stdout == "only this\n"


def test_tcsh_takes_up_changes_of_the_environment(csh_hook: Path) -> None:
    done = tcsh(csh_hook, 'conda install x\necho "$REACTIVATED"\nconda list "a b"')
    assert done.stdout == "conda got: install x\nyes\nconda got: list a b\n"
