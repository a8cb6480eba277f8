"""Other choices, one after the other, on the same nodes; at the end all is as it was before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from shell_nodes import HOMES, LOGINS, SYSTEM

Many = Callable[..., list[Any]]
ALL = (*SYSTEM, *HOMES)
BARE = 'env -i HOME="$HOME" USER="$USER" PATH=/usr/bin:/bin TERM=dumb'
# How each shell is started, whether that is a login, whether it is interactive, and the words by which it tells what
# conda is to it. Told is `conda` (bash, zsh, dash: a function), `function` (fish) or an alias (tcsh).
CALLS = [
    ("bash -lc", True, False, "command -v conda"),
    ("bash -ic", False, True, "command -v conda"),
    ("bash -lic", True, True, "command -v conda"),
    ("SSH_CLIENT=1 SHLVL=0 bash -c", False, False, "command -v conda"),
    ("zsh -lc", True, False, "command -v conda"),
    ("zsh -ic", False, True, "command -v conda"),
    ("zsh -c", False, False, "command -v conda"),
    ("fish -lc", True, False, "type -t conda"),
    ("fish -ic", False, True, "type -t conda"),
    ("fish -c", False, False, "type -t conda"),
    ("tcsh -c", False, False, "alias conda"),
    ("dash -lc", True, False, "command -v conda"),
]
# Each by itself; all pairs are tried in tests/unit/shells/test_real_shells.py.
ALONE = [["login"], ["interactive"], ["noninteractive"]]


@pytest.mark.parametrize("starts", ALONE, ids="+".join)
def test_a_shell_knows_conda_when_one_of_the_starts_fits_it(nodes: Any, at_once: Many, starts: list[str]) -> None:
    assert all(nodes.changed(shell_init_starts=starts).values())
    script = "".join(f"echo '{start}:' $({BARE} {start} '{ask}' 2>/dev/null | tail -1)\n" for start, _, _, ask in CALLS)
    runs = at_once(lambda node: nodes.ssh(node, "alice", "sh -s", typed=script), [(node,) for node in ALL])
    for node, done in zip(ALL, runs, strict=True):
        told = dict(line.replace(": ", ":").partition(":")[::2] for line in done.stdout.splitlines())
        knows = {start: said in ("conda", "function") or "conda.csh" in said for start, said in told.items()}
        meant = {}
        for start, login, interactive, _ in CALLS:
            fits = {"login": login, "interactive": interactive, "noninteractive": not interactive}
            meant[start] = any(fits[kind] for kind in starts)
        assert {start for start in knows if knows[start] != meant[start]} == set(), (node, told)


@pytest.mark.parametrize(("mode", "folder"), [("condabin", "condabin"), ("path", "bin")])
def test_modes(nodes: Any, at_once: Many, mode: str, folder: str) -> None:
    nodes.changed(shell_init_mode=mode)
    # Also as a command over ssh, in the shell that each user has.
    runs = at_once(
        lambda node, user: nodes.ssh(node, user, "which conda; conda --version"),
        [(node, user) for node in ALL for user in LOGINS if user != "dora"],
    )
    assert {(done.stdout, done.stderr) for done in runs} == {(f"/opt/miniconda3/{folder}/conda\nconda 24.7.1\n", "")}
    script = "".join(f"echo '{call[0]}:' $({BARE} {call[0]} 'conda --version' 2>&1 | tail -1)\n" for call in CALLS)
    for done in at_once(lambda node: nodes.ssh(node, "alice", "sh -s", typed=script), [(node,) for node in ALL]):
        assert {line.partition(": ")[2] for line in done.stdout.splitlines()} == {"conda 24.7.1"}, done


def test_check_mode_shows_the_block_and_changes_nothing(nodes: Any) -> None:
    before = nodes.snapshot("users12")
    done = nodes.play("--check", "--diff", "--limit", "users12", shell_init_mode="full", shell_init_shells=["bash"])
    assert "changed=1" in done.stdout, done.stdout
    assert '+    . "/opt/miniconda3/etc/profile.d/conda.sh"' in done.stdout.replace("+        .", "+    .")
    assert "-if test -d" in done.stdout  # fish's block goes
    assert nodes.snapshot("users12") == before


def test_conda_itself_takes_its_block_out(nodes: Any) -> None:
    nodes.changed()
    before, with_block = nodes.before("users12"), nodes.snapshot("users12")
    files = ["dotfiles/bashrc", ".zshrc", ".config/fish/config.fish", ".tcshrc"]
    paths = [f"/home/alice/{name}" for name in files]
    assert all(with_block[path] != before[path] for path in paths)
    done = nodes.ssh("users12", "alice", "conda init --reverse bash zsh fish tcsh")
    assert done.returncode == 0, done
    after = nodes.snapshot("users12")
    assert {path: after[path] for path in paths} == {path: before[path] for path in paths}
    assert nodes.changed()["users12"] is True


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"shell_init_mode": "half"}, "shell_init_mode: half is not accepted. Accepted: full, condabin, path, off"),
        ({"shell_init_starts": ["ssh"]}, "shell_init_starts: ssh is not accepted. Accepted: login, interactive"),
        ({"shell_init_shells": ["ksh"]}, "shell_init_shells: ksh is not accepted. Accepted: bash, zsh, fish"),
        (
            {"shell_init_scope": "group", "shell_init_users": [], "shell_init_group": "mx"},
            "shell_init_group: mx is not accepted. This node has no such group.",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_error(nodes: Any, variables: dict[str, Any], told: str) -> None:
    before = nodes.snapshot("system12")
    done = nodes.play("--limit", "system12", **variables)
    assert done.returncode == 2
    assert told in " ".join(done.stdout.split())
    assert nodes.snapshot("system12") == before


def test_who_leaves_the_group_loses_the_block(nodes: Any) -> None:
    nodes.ssh("group13", "root", "gpasswd --delete bob ml")
    assert nodes.changed() == {**dict.fromkeys(ALL, False), "group13": True}
    before, after = nodes.before("group13"), nodes.snapshot("group13")
    assert {path for path in after if path.startswith("/home/bob/") and before.get(path) != after[path]} == set()


def test_off_restores_every_file_to_the_byte(nodes: Any) -> None:
    nodes.changed(shell_init_mode="off")
    assert not any(nodes.changed(shell_init_state="absent").values())
    for node in ALL:
        before, after = nodes.before(node), nodes.snapshot(node)
        # bob has left his group since.
        for path in ("/etc/group", "/etc/gshadow", "/etc/group-", "/etc/gshadow-"):
            before.pop(path, None), after.pop(path, None)
        assert after == before, node
