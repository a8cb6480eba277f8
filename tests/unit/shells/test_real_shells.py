"""The blocks in a user's files, read by the shells themselves; the installation is a stand-in that says who called."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.observe_shells import observe_shells
from ansible_collections.condafleet.core.plugins.module_utils.shell_block import plan_shells
from ansible_collections.condafleet.core.plugins.module_utils.shell_edit import carry_out
from ansible_collections.condafleet.core.plugins.module_utils.shell_text import SYSTEM_ENV_FILE, wanted

PATH = "/usr/local/bin:/usr/bin:/bin"
STARTS = ("login", "interactive", "noninteractive")
# (program, arguments before the command, is a login shell, is interactive); conda is told by a file of the user's.
CALLS = [
    ("bash", ["-lc"], True, False),
    ("bash", ["-ic"], False, True),
    ("bash", ["-lic"], True, True),
    ("bash", ["-c"], False, False),
    ("zsh", ["-lc"], True, False),
    ("zsh", ["-ic"], False, True),
    ("zsh", ["-lic"], True, True),
    ("zsh", ["-c"], False, False),
    ("fish", ["-lc"], True, False),
    ("fish", ["-ic"], False, True),
    ("fish", ["-c"], False, False),
    ("tcsh", ["-c"], False, False),
    ("tcsh", ["-i"], False, True),
    ("tcsh", ["-l"], True, True),
    ("dash", ["-lc"], True, False),
    ("dash", ["-lic"], True, True),
]
CASES = [
    (call, starts) for call in CALLS for size in (1, 2, 3) for starts in itertools.combinations(STARTS, size)
]  # fmt: skip


class Account:
    """A home of the user that runs, and an installation whose hooks say `function`, whose programs say their path."""

    def __init__(self, top: Path) -> None:
        self.home, self.prefix = top / "home", top / "base"
        for folder in ("etc/profile.d", "etc/fish/conf.d", "bin", "condabin"):
            (self.prefix / folder).mkdir(parents=True)
        self.home.mkdir()
        exe = f"{self.prefix}/bin/conda"
        hook = self.prefix / "etc/profile.d/conda.sh"
        hook.write_text(f"export CONDA_EXE='{exe}'\nconda() {{ echo function; }}\n__conda_activate() {{ :; }}\n")
        (self.prefix / "etc/fish/conf.d/conda.fish").write_text(
            f'set -gx CONDA_EXE "{exe}"\nfunction conda\n echo function\nend\n'
        )
        # As conda's: without arguments it is sourced to set up, else to work; it wants a prompt.
        (self.prefix / "etc/profile.d/conda.csh").write_text("echo function $1$prompt\n")
        for name in ("bin", "condabin"):
            program = self.prefix / name / "conda"
            program.write_text('#!/bin/sh\necho "${0%/*}" | sed "s:.*/::"\n')
            program.chmod(0o755)
        self.before = self.files()

    def init(self, **choices: Any) -> bool:
        declared = {
            "prefix": str(self.prefix),
            "shells": ["bash", "zsh", "fish", "tcsh", "posix"],
            "scope": "users",
            "users": [],
            "starts": list(STARTS),
            "mode": "full",
            "state": "present",
            **choices,
        }
        observed = {**observe_shells(str(self.prefix), [])}
        # The system's own files are no business of this test.
        observed["files"] = [entry for entry in observed["files"] if entry["scope"] == "users"]
        changes = plan_shells(observed, declared)
        carry_out(observed, declared)
        return bool(changes)

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.home)): path.read_bytes() if path.is_file() else b""
            for path in self.home.rglob("*")
        }

    def run(
        self, program: str, *arguments: str, typed: str = "", user: int | None = None, **more: str
    ) -> subprocess.CompletedProcess[str]:
        rights = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        return subprocess.run(
            [program, *arguments],
            cwd="/",
            **rights,
            input=typed,
            env={"HOME": str(self.home), "PATH": PATH, "TERM": "dumb", "USER": "alice", **more},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    made = Account(tmp_path)
    monkeypatch.setenv("HOME", str(made.home))
    assert pwd.getpwuid(os.geteuid())
    return made


@pytest.fixture
def others(tmp_path: Path) -> None:
    """Other users can pass down to the home: pytest's own folders are private."""
    if os.geteuid() != 0:
        pytest.skip("only root starts shells as other users")
    for folder in (tmp_path, *tmp_path.parents):
        mode = stat.S_IMODE(folder.stat().st_mode)
        if mode & 0o001 == 0:
            folder.chmod(mode | 0o011)


def needs(program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")


@pytest.mark.parametrize(("call", "starts"), CASES, ids=lambda value: "-".join(map(str, value)))
def test_a_shell_knows_conda_when_one_of_the_starts_fits_it(account: Account, call: Any, starts: Any) -> None:
    program, arguments, login, interactive = call
    needs(program)
    account.init(starts=list(starts))
    # bash reads ~/.bashrc for a command when it takes itself to be run by sshd.
    ssh = {"SSH_CLIENT": "192.0.2.1 1 22", "SHLVL": "0"}
    if program == "tcsh" and arguments != ["-c"]:  # with -c, it is neither
        done = account.run(program, *arguments, typed="conda x || true\nexit\n", **ssh)
    else:
        done = account.run(program, *arguments, "conda x || true", **ssh)
    meant = {"login": login, "interactive": interactive, "noninteractive": not interactive}
    assert ("function" in done.stdout) == any(meant[start] for start in starts), done


@pytest.mark.parametrize(("mode", "says"), [("condabin", "condabin"), ("path", "bin"), ("off", "")])
@pytest.mark.parametrize(
    "call", [call for call in CALLS if call[1][0].endswith("c")], ids=lambda call: "-".join(map(str, call[:2]))
)
def test_modes(account: Account, call: Any, mode: str, says: str) -> None:
    program, arguments, *_ = call
    needs(program)
    account.init(mode=mode)
    command = "conda || true; echo $PATH"
    done = account.run(program, *arguments, command, SSH_CLIENT="192.0.2.1 1 22", SHLVL="0")
    assert done.stdout.split("\n")[0] == (says or done.stdout.split("\n")[0])
    assert (f"{account.prefix}" in done.stdout) == (mode != "off")
    assert done.stdout.count(f"{account.prefix}/{says}") == (mode != "off")


def test_a_script_of_bash_is_reached_through_its_parent(account: Account) -> None:
    account.init()
    script = account.home / "job.sh"
    script.write_text("#!/bin/bash\nset -eu\nconda x\n")
    script.chmod(0o755)
    for program in ("bash", "dash"):
        assert account.run(program, "-lc", f"{script}").stdout == "function\n"
    # What another put there, such as a module system, is read too, also by the scripts of scripts.
    other = account.home / "modules"
    other.write_text("module() { echo modules $1; }\n")
    script.write_text("#!/bin/bash\nset -eu\nconda x\nmodule y\n")
    for command in (f"{script}", f"dash -c {script}", f"bash -lc {script}", f"bash -c 'bash -lic {script}'"):
        done = account.run("bash", "-lc", command, BASH_ENV=str(other))
        assert done.stdout == "function\nmodules y\n", (command, done)
    # A file that names itself, or is gone, is no harm.
    for value in (str(account.home / ".condafleet.sh"), "/nonexistent"):
        done = account.run("bash", "-lc", f"{script} || true", BASH_ENV=value, CONDAFLEET_BASH_ENV=value)
        assert done.stdout == "function\n"


def test_an_interactive_sh_is_reached_through_its_login(account: Account) -> None:
    account.init(shells=["posix"])
    assert account.run("dash", "-lc", "dash -ic conda").stdout == "function\n"
    assert account.run("bash", "-lc", "conda || true").stdout == ""


def test_tcsh_scripts_get_no_prompt_before_conda_is_called(account: Account) -> None:
    needs("tcsh")
    account.init()
    (account.home / ".tcshrc").write_text((account.home / ".tcshrc").read_text() + "if ( $?prompt ) echo interactive\n")
    done = account.run("tcsh", "-c", "conda activate; echo $CONDA_SHLVL")
    assert (done.stdout, done.stderr) == ("function activate\n0\n", "")


@pytest.mark.parametrize("program", ["bash", "zsh", "fish", "tcsh", "dash"])
@pytest.mark.parametrize("mode", ["full", "condabin", "path"])
def test_nothing_is_printed_with_and_without_the_installation(account: Account, program: str, mode: str) -> None:
    needs(program)
    account.init(mode=mode)
    for _ in range(2):
        for arguments in (["-c"], ["-lc"] if program != "tcsh" else ["-ic"]):
            done = account.run(program, *arguments, "true", SSH_CLIENT="192.0.2.1 1 22", SHLVL="0")
            assert (done.returncode, done.stdout) == (0, "")
            assert "no job control" in done.stderr or done.stderr == ""
        shutil.rmtree(account.prefix, ignore_errors=True)


@pytest.mark.parametrize("program", ["bash", "dash", "zsh"])
@pytest.mark.parametrize("mode", ["full", "condabin"])
def test_the_blocks_bear_strict_shells(account: Account, program: str, mode: str) -> None:
    needs(program)
    account.init(mode=mode)
    names = (".bashrc", ".profile", ".condafleet.sh", ".zshenv", ".zprofile", ".zshrc")
    sources = [f". {account.home}/{name}" for name in names]
    for _ in range(2):
        done = account.run(program, "-euc", f"unset PATH; {'; '.join(sources * 2)}; echo end")
        assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
        shutil.rmtree(account.prefix, ignore_errors=True)


def test_a_child_gets_its_own_function_and_path_grows_once(account: Account) -> None:
    account.init()
    inner = "conda; echo $PATH"
    done = account.run("bash", "-lc", f"set -a; . ~/.bashrc; bash -lic '{inner}'")
    assert done.stdout.startswith("function\n")
    assert done.stdout.count("condabin") == 1
    # A login shell within, that sets PATH anew, gets it back.
    done = account.run("bash", "-lc", f"PATH={PATH} bash -lc 'echo $PATH'")
    assert done.stdout.startswith(f"{account.prefix}/condabin:")


def test_all_is_undone(account: Account) -> None:
    (account.home / ".bashrc").write_bytes(b"a=1\r\nb=2")
    (account.home / ".config").mkdir()
    before = account.files()
    assert account.init() is True
    assert account.init() is False
    assert account.init(state="absent") is True
    assert account.files() == before


@pytest.mark.parametrize("program", ["bash", "zsh", "fish", "tcsh", "dash"])
def test_base_s_programs_come_after_an_active_environment_s(account: Account, program: str) -> None:
    needs(program)
    account.init(mode="path")
    path, folder = f"/envs/x/bin:{PATH}", f"{account.prefix}/bin"
    # A login would set PATH anew.
    source = {"bash": ". ~/.bashrc; ", "dash": ". ~/.profile; "}.get(program, "")
    arguments = ["-c", f"{source}/usr/bin/printenv PATH"]
    assert account.run(program, *arguments, PATH=path).stdout == f"{folder}:{path}\n"
    below = account.run(program, *arguments, PATH=path, CONDA_PREFIX="/envs/x")
    assert (below.stdout, below.stderr) == (f"{path}:{folder}\n", "")
    again = account.run(program, *arguments, PATH=below.stdout.strip(), CONDA_PREFIX="/envs/x")
    assert again.stdout == below.stdout


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("program", ["bash", "zsh", "fish", "tcsh", "dash"])
def test_an_installation_that_may_not_be_read_is_none(account: Account, program: str) -> None:
    needs(program)
    account.init()
    for hook in (account.prefix / "etc").rglob("conda.*"):
        hook.chmod(0o600)
    for place in (account.home, *account.home.rglob("*")):
        os.chown(place, 23456, 23456)  # fish writes into it
    done = account.run(program, "-c" if program == "tcsh" else "-lc", "echo end", user=23456)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("shells", [["bash", "posix"], ["bash"]])
def test_after_su_no_other_user_s_file_is_read(account: Account, shells: list[str], tmp_path: Path) -> None:
    bob = tmp_path / "bob"
    shutil.copytree(account.home, bob)
    account.init(shells=shells)
    exported = account.run("bash", "-lc", "env").stdout.splitlines()
    carried = dict(line.split("=", 1) for line in exported if line.startswith(("BASH_ENV=", "ENV=", "CONDAFLEET")))
    assert "BASH_ENV" in carried
    account.home.chmod(0o700)
    # bob without a block: nothing is said, nothing of alice's is read.
    for command in (["bash", "-c"], ["dash", "-ic"]):
        done = account.run(*command, "echo end", user=23457, HOME=str(bob), **carried)
        assert (done.stdout, "Permission" in done.stderr) == ("end\n", False), done
    # bob with one, who came with what a former block exported.
    shutil.copytree(account.home, bob, dirs_exist_ok=True)
    bob.chmod(0o755)
    former = {"BASH_ENV": f"{account.home}/.condafleet.sh", "ENV": f"{account.home}/.condafleet.sh"}
    ask = "bash -c 'conda; echo ${CONDAFLEET_BASH_ENV-none} $BASH_ENV'"
    done = account.run("bash", "-ic", ask, user=23457, HOME=str(bob), **former)
    assert done.stdout == "function\nnone $HOME/.condafleet.sh\n", done


def test_what_a_module_system_set_is_kept_beside_two_installations(account: Account) -> None:
    account.init()
    modules = account.home / "modules"
    modules.write_text("module() { echo modules; }\n")
    # After the system's block: it has kept what was there. Ours comes next, in any order and number.
    system = {"kind": "bash_rc", "shells": ["bash"], "env": SYSTEM_ENV_FILE}
    lines = wanted(system, {"prefix": "/nowhere", "shells": ["bash"], "starts": list(STARTS)})
    (account.home / "system").write_text("\n".join(lines or []) + "\n")
    for reads in ("system .bashrc", ".bashrc system .bashrc", "system .bashrc system .profile"):
        command = "".join(f". ~/{name}; " for name in reads.split()) + "bash -c 'conda; module'"
        done = account.run("bash", "-c", command, BASH_ENV=str(modules))
        assert (done.stdout, done.stderr) == ("function\nmodules\n", ""), (reads, done)


def test_a_tcsh_without_a_path_gets_one(account: Account) -> None:
    needs("tcsh")
    for mode in ("full", "condabin", "path"):
        account.init(mode=mode)
        words = ["-i", f"HOME={account.home}", "tcsh", "-c", "printenv PATH"]
        done = account.run("env", *words)
        folder = account.prefix / ("bin" if mode == "path" else "condabin")
        assert done.stderr == ""
        assert done.stdout.startswith(f"{folder}:")
        assert "/usr/bin" in done.stdout


def test_a_tcsh_below_an_active_environment_is_left_as_it_is(account: Account) -> None:
    needs("tcsh")
    account.init()
    told = {
        "PATH": f"/envs/x/bin:/opt/miniconda3.d/1/condabin:{PATH}",
        "CONDA_EXE": "/opt/miniconda3.d/1/bin/conda",
        "CONDA_SHLVL": "1",
        "CONDA_PREFIX": "/envs/x",
    }
    done = account.run("tcsh", "-c", "printenv PATH; printenv CONDA_EXE; conda activate", **told)
    assert done.stdout == f"{told['PATH']}\n{told['CONDA_EXE']}\nfunction activate\n"
