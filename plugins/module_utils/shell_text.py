# SPDX-License-Identifier: Apache-2.0
"""What the block in a start-up file says, for each kind of file, each mode and each way to start a shell. Pure.

It starts no Python and prints nothing, since scp and rsync speak through a shell. POSIX blocks are sound under
`set -eu`. The kinds of files are those of shell_files.py.
"""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence

SHELLS = ("bash", "zsh", "fish", "tcsh", "posix")
STARTS = ("login", "interactive", "noninteractive")
MODES = ("full", "condabin", "path", "off")

# What BASH_ENV and ENV name: for everybody, and in a user's home.
SYSTEM_ENV_FILE = "/etc/condafleet/env.sh"
ENV_FILE = ".condafleet.sh"

# `$-` holds an i in an interactive shell; a pattern, since `case` would not fit into a condition.
INTERACTIVE = '[ "${-#*i}" != "$-" ]'
NOT_INTERACTIVE = '[ "${-#*i}" = "$-" ]'
BASH_LOGIN = "shopt -q login_shell"


def wanted(entry: Mapping[str, Any], declared: Mapping[str, Any]) -> Optional[List[str]]:
    """The lines that a declaration wants in a file (of the program: where the link leads); None where it wants none."""
    shells = [shell for shell in entry["shells"] if shell in declared["shells"]]
    mode = declared.get("mode") or "full"
    if declared.get("state", "present") != "present" or mode == "off" or not shells:
        return None
    starts = declared.get("starts") or ["login", "interactive"]
    return KINDS[entry["kind"]](Wish(entry, declared["prefix"], shells, list(declared["shells"]), starts, mode))


class Wish:
    """What is declared, as far as one file goes."""

    def __init__(
        self,
        entry: Mapping[str, Any],
        prefix: str,
        shells: List[str],
        declared: List[str],
        starts: List[str],
        mode: str,
    ) -> None:
        self.prefix, self.shells, self.starts, self.mode = prefix, shells, starts, mode
        self.readers: List[str] = entry["shells"]
        self.env: str = entry["env"] or ""
        self.login = "login" in starts
        self.interactive = "interactive" in starts
        self.noninteractive = "noninteractive" in starts
        # Scripts and shells that read no file of their own read the one that these variables name.
        self.bash_env = "bash" in declared and self.noninteractive
        self.sh_env = "posix" in declared and self.interactive

    @property
    def folder(self) -> str:
        return self.prefix + ("/bin" if self.mode == "path" else "/condabin")

    @property
    def any_start(self) -> bool:
        """Whether a shell of any kind is meant: it is interactive, or it is not."""
        return self.interactive and self.noninteractive


def posix_lines(wish: Wish, condition: Sequence[str], exports: Sequence[str] = ()) -> List[str]:
    """The block for bash, zsh and sh: `condition` are tests that all have to hold."""
    if wish.mode == "full":
        script = wish.prefix + "/etc/profile.d/conda.sh"
        tests, folder = [*condition, f'[ -r "{script}" ]'], "${CONDA_EXE%/*/*}/condabin"
        work = [
            # A login shell may read several of our files: once is enough. The function is asked for too, since the
            # variable may have been exported by chance (`set -a`), and a child shell would take it for its own.
            f'[ "${{__condafleet-}}" = "{wish.prefix}" ] && command -v __conda_activate >/dev/null ||',
            f'    . "{script}"',
            f'__condafleet="{wish.prefix}"',
        ]
    else:
        tests, folder, work = [*condition, f'[ -d "{wish.folder}" ]'], wish.folder, []
    work += [
        # A login may have set PATH anew since a parent shell was told of conda.
        'case ":${PATH-}:" in',
        f'    *":{folder}:"*) ;;',
        *(f"    {line}" for line in posix_path(wish, folder)),
        "esac",
    ]
    return [*exports, f"if {' && '.join(tests)}; then", *("    " + line for line in work), "fi"]


def posix_path(wish: Wish, folder: str) -> List[str]:
    """The arms of a `case` over PATH: it grows once."""
    arms = [f'*":{folder}:"*) ;;', f'*) PATH="{folder}${{PATH:+:$PATH}}"; export PATH ;;']
    if wish.mode == "path":
        # In a shell below an activated environment, base's own programs come after the environment's.
        ahead = '[ -z "${CONDA_PREFIX-}" ] || [ -z "${PATH-}" ]'
        arms[1:] = [
            f'*) if {ahead}; then PATH="{folder}${{PATH:+:$PATH}}"; else PATH="$PATH:{folder}"; fi',
            "   export PATH ;;",
        ]
    return arms


def exported(wish: Wish, sh: bool = True) -> List[str]:
    """BASH_ENV and ENV. In a home, `$HOME` stays as it is written: those who read it after `su` have another one."""
    lines = []
    if wish.bash_env:
        # A user's block may be told of the system's, but not in the place of what that one kept.
        keep = (
            ""
            if wish.env == SYSTEM_ENV_FILE
            else '[ -n "${CONDAFLEET_BASH_ENV-}" ] || export CONDAFLEET_BASH_ENV="$BASH_ENV" '
        )
        lines += [
            'case "${BASH_ENV-}" in',
            # A user's is set by that user's own block: what came by `su` is another's.
            f'    ""|*/{ENV_FILE}) ;;',
            f"    {SYSTEM_ENV_FILE}) {keep};;",
            # Somebody else's, such as a module system's, is read by ours.
            '    *) export CONDAFLEET_BASH_ENV="$BASH_ENV" ;;',
            "esac",
            f"export BASH_ENV='{wish.env}'",
        ]
    if wish.sh_env and sh:
        lines.append(f'case "${{ENV-}}" in ""|*/{ENV_FILE}) export ENV=\'{wish.env}\' ;; esac')
    return lines


def by_flags(wish: Wish) -> List[str]:
    """The tests for what is left where a login is told by the file itself."""
    if wish.any_start:
        return []
    return [INTERACTIVE] if wish.interactive else [NOT_INTERACTIVE] if wish.noninteractive else []


def profile(wish: Wish) -> List[str]:
    """/etc/profile.d: login shells; on EL every bash."""
    both = set(wish.shells) == {"bash", "posix"}
    if wish.login and not wish.any_start:
        bash = " || ".join([BASH_LOGIN, *by_flags(wish)])
        grouped = "{ " + bash + "; }" if by_flags(wish) else bash
        if both:
            tests = ['[ -z "${ZSH_VERSION-}" ]', '{ [ -z "${BASH_VERSION-}" ] || ' + bash + "; }"]
        elif "bash" in wish.shells:
            tests = ['[ -n "${BASH_VERSION-}" ]', grouped]
        else:
            tests = ['[ -z "${BASH_VERSION-}${ZSH_VERSION-}" ]']
        return posix_lines(wish, tests, exported(wish))
    shell = {"bash": '[ -n "${BASH_VERSION-}" ]', "posix": '[ -z "${BASH_VERSION-}${ZSH_VERSION-}" ]'}
    only = '[ -z "${ZSH_VERSION-}" ]' if both else shell[wish.shells[0]]
    return posix_lines(wish, [only, *by_flags(wish)], exported(wish))


def login_file(wish: Wish) -> List[str]:
    """A user's file for login shells; ~/.profile is sh's, and may be bash's too."""
    tests = [] if wish.login else by_flags(wish)
    if "posix" in wish.readers and wish.shells == ["bash"]:
        tests = ['[ -n "${BASH_VERSION-}" ]', *tests]
    elif wish.shells == ["posix"]:
        tests = ['[ -z "${BASH_VERSION-}${ZSH_VERSION-}" ]', *tests]
    return posix_lines(wish, tests, exported(wish))


def bash_rc(wish: Wish) -> Optional[List[str]]:
    """bash: interactive shells that are no login shells, and commands over ssh."""
    if not (wish.interactive or wish.noninteractive):
        return None
    return posix_lines(wish, by_flags(wish), exported(wish, sh=False))


def zsh_login(wish: Wish) -> Optional[List[str]]:
    return posix_lines(wish, []) if wish.login else None


def zsh_rc(wish: Wish) -> Optional[List[str]]:
    return posix_lines(wish, []) if wish.interactive else None


def zsh_env(wish: Wish) -> Optional[List[str]]:
    """Every zsh reads this one; what is interactive reads zshrc later."""
    return posix_lines(wish, [NOT_INTERACTIVE]) if wish.noninteractive else None


def env_file(wish: Wish) -> Optional[List[str]]:
    """What BASH_ENV and ENV lead to: scripts of bash, and an interactive sh."""
    if not (wish.bash_env or wish.sh_env):
        return None
    other = "${CONDAFLEET_BASH_ENV-}"
    # Not itself: a user's file may be told of the system's, and that one reads the same variable.
    first = f'{NOT_INTERACTIVE} && [ -n "${{BASH_VERSION-}}" ] && [ "{other}" != "{wish.env}" ] && [ -r "{other}" ]'
    return posix_lines(wish, [], [f'if {first}; then . "{other}"; fi'] if wish.bash_env else [])


def environment(wish: Wish) -> Optional[List[str]]:
    """/etc/environment, read by PAM for whoever logs in, by ssh or cron too: names and values, no shell."""
    return [f"BASH_ENV={wish.env}"] if wish.bash_env else None


def fish_path(wish: Wish) -> List[str]:
    ahead = f'set -gx PATH "{wish.folder}" $PATH'
    if wish.mode != "path":
        return [ahead]
    return [f'if test -n "$CONDA_PREFIX"; set -gx PATH $PATH "{wish.folder}"; else; {ahead}; end']


def fish(wish: Wish) -> List[str]:
    """Every fish reads this file."""
    tests = {"login": "status is-login", "interactive": "status is-interactive"}
    tests["noninteractive"] = "not " + tests["interactive"]
    if wish.mode == "full":
        script = wish.prefix + "/etc/fish/conf.d/conda.fish"
        work = [
            f'if test -r "{script}"',
            f'    source "{script}"',
            "    set -l __condafleet (string replace -r '/bin/conda$' /condabin -- $CONDA_EXE)",
            "    contains -- $__condafleet $PATH; or set -gx PATH $__condafleet $PATH",
            "end",
        ]
    else:
        work = [
            f'if test -d "{wish.folder}"; and not contains -- "{wish.folder}" $PATH',
            *(f"    {line}" for line in fish_path(wish)),
            "end",
        ]
    if wish.any_start:
        return work
    condition = "; or ".join(tests[start] for start in STARTS if start in wish.starts)
    return [f"if {condition}", *("    " + line for line in work), "end"]


def csh(wish: Wish) -> List[str]:
    """Every tcsh reads this file.

    conda's own csh file sets an empty prompt where there is none, by which later files take a script, or scp, for
    an interactive shell. So it is sourced by the first `conda`, and not before.
    """
    path = [
        # tcsh has a path of its own where its parent gave it none; setting it makes PATH.
        "if ( ! $?PATH ) set path = ( $path )",
        f'if ( ":${{PATH}}:" !~ *:{wish.folder}:* ) setenv PATH "{wish.folder}:${{PATH}}"',
    ]
    if wish.mode == "full":
        script = wish.prefix + "/etc/profile.d/conda.csh"
        test = f'-r "{script}"'
        work = [
            f'alias conda \'if ( ! $?prompt ) set prompt=""; source "{script}" \\!*\'',
            # Below an activated environment all of this stands, and the environment comes first.
            "if ( ! $?CONDA_PREFIX ) then",
            f'    setenv CONDA_EXE "{wish.prefix}/bin/conda"',
            f'    setenv CONDA_PYTHON_EXE "{wish.prefix}/bin/python"',
            "    if ( ! $?CONDA_SHLVL ) setenv CONDA_SHLVL 0",
            *("    " + line for line in path),
            "endif",
        ]
    else:
        test, work = f'-d "{wish.folder}"', path
        if wish.mode == "path":
            behind = (
                f'if ( $?CONDA_PREFIX && ":${{PATH}}:" !~ *:{wish.folder}:* ) setenv PATH "${{PATH}}:{wish.folder}"'
            )
            work = [path[0], behind, path[1]]
    if not wish.any_start:
        tests = {"login": "$?loginsh", "interactive": "$?prompt", "noninteractive": "! $?prompt"}
        test = f"( {' || '.join(tests[start] for start in STARTS if start in wish.starts)} ) && {test}"
    return [f"if ( {test} ) then", *("    " + line for line in work), "endif"]


def program(wish: Wish) -> Optional[List[str]]:
    """A link where everybody's PATH leads: the way to conda for whatever reads no file."""
    return [wish.prefix + "/condabin/conda"] if wish.noninteractive else None


KINDS = {
    "profile": profile,
    "login": login_file,
    "bash_rc": bash_rc,
    "zsh_login": zsh_login,
    "zsh_rc": zsh_rc,
    "zsh_env": zsh_env,
    "env": env_file,
    "environment": environment,
    "fish": fish,
    "csh": csh,
    "program": program,
}


def leads(entry: Mapping[str, Any], declared: Mapping[str, Any]) -> bool:
    """Whether the block has to be the first thing in its file.

    bash's rc files return early where the shell is not interactive; in /etc/environment the last line wins, which is
    to be the administrator's.
    """
    kind = entry["kind"]
    return bool(kind == "environment" or (kind == "bash_rc" and "noninteractive" in (declared.get("starts") or [])))
