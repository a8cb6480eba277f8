"""As declared: every shell, every start, for everybody and for users in their homes. Over ssh, in the real shells."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shell_nodes import HOMES, LOGINS, SYSTEM

Many = Callable[..., list[Any]]
ALL = (*SYSTEM, *HOMES)
EVERY = list(itertools.product(ALL, LOGINS))
ACTIVATE = 'conda activate base; echo "<$CONDA_DEFAULT_ENV>"'
# What a program says that cannot change the shell that called it.
PROGRAM = "conda --version"

# Starts without any help of the environment: PATH as the system's shells have it, HOME, and nothing else.
BARE = 'env -i HOME="$HOME" USER="$USER" PATH=/usr/local/bin:/usr/bin:/bin TERM=dumb'
STARTS = [
    "bash -lc",
    "bash -ic",
    "bash -lic",
    "zsh -lc",
    "zsh -ic",
    "zsh -c",
    "fish -lc",
    "fish -ic",
    "fish -c",
    "tcsh -c",
    "dash -lc",
]


def test_a_command_over_ssh(nodes: Any, at_once: Many) -> None:
    def run(node: str, user: str) -> subprocess.CompletedProcess[str]:
        return nodes.ssh(node, user, PROGRAM if LOGINS[user] == "dash" else ACTIVATE)

    for (node, user), done in zip(EVERY, at_once(run, EVERY), strict=True):
        if LOGINS[user] != "dash":
            assert (done.stdout, done.stderr) == ("<base>\n", ""), (node, user)
        elif node in SYSTEM:
            assert (done.stdout, done.stderr) == ("conda 24.7.1\n", ""), node
        else:
            # No file of hers is read, and nobody sets her PATH: docs/shells.md says so.
            assert done.returncode == 127, node


def test_a_terminal(nodes: Any, at_once: Many) -> None:
    def run(node: str, user: str) -> subprocess.CompletedProcess[str]:
        return nodes.ssh(node, user, "", "-tt", typed=f"{ACTIVATE}\nexit\n")

    for (node, user), done in zip(EVERY, at_once(run, EVERY), strict=True):
        assert "<base>" in done.stdout, (node, user, done)


def test_every_start_of_every_shell(nodes: Any, at_once: Many) -> None:
    script = f"ask='{ACTIVATE}'\n"
    script += "".join(f"echo '{start}:' $({BARE} {start} \"$ask\" 2>&1 | tail -1)\n" for start in STARTS)
    # An interactive sh within a login of the same, and tcsh with its commands typed.
    script += f"echo 'dash -ic:' $({BARE} dash -lc 'dash -ic \"$0\"' \"$ask\" 2>&1 | tail -1)\n"
    script += f"echo 'tcsh -i:' $(echo \"$ask\" | {BARE} tcsh -i 2>&1 | grep -o '<base>')\n"
    script += f"echo 'tcsh -l:' $(echo \"$ask\" | {BARE} tcsh -l 2>&1 | grep -o '<base>')\n"
    runs = at_once(lambda node: nodes.ssh(node, "alice", "sh -s", typed=script), [(node,) for node in ALL])
    for node, done in zip(ALL, runs, strict=True):
        told = dict(line.partition(":")[::2] for line in done.stdout.splitlines())
        assert len(told) == len(STARTS) + 3
        assert {start: said for start, said in told.items() if said.strip() != "<base>"} == {}, node


def test_nothing_is_activated_unasked(nodes: Any, at_once: Many) -> None:
    say = 'echo "<${CONDA_PREFIX-}${CONDA_DEFAULT_ENV-}>"'
    for start in ("bash -lc", "bash -ic", "zsh -ic"):
        runs = at_once(lambda node, how=start: nodes.ssh(node, "alice", f"{how} '{say}'"), [(node,) for node in ALL])
        assert {done.stdout for done in runs} == {"<>\n"}


def test_scripts(nodes: Any, at_once: Many) -> None:
    """A batch job's script is a program that some shell starts: here one of bash, strict, and one of sh."""
    script = (
        "printf '#!/bin/bash\\nset -eu\\nconda activate base\\necho \"<$CONDA_DEFAULT_ENV>\"\\n' > job.bash\n"
        f"printf '#!/bin/sh\\n{PROGRAM}\\n' > job.sh\nchmod +x job.bash job.sh\n"
    )
    at_once(lambda node: nodes.ssh(node, "alice", "bash -s", typed=script), [(node,) for node in ALL])
    for node, done in zip(
        ALL, at_once(lambda node: nodes.ssh(node, "alice", "./job.bash; ./job.sh"), [(n,) for n in ALL]), strict=True
    ):
        assert (done.stdout, done.stderr) == ("<base>\nconda 24.7.1\n", ""), node
    # Lmod, on one of them, has a BASH_ENV of its own: logins of a cluster start jobs with both.
    for node in ALL:
        nodes.ssh(node, "alice", "bash -s", typed="echo 'type -t module' >> job.bash\n")
        assert nodes.ssh(node, "alice", "bash -lc ./job.bash").stdout.startswith("<base>\n"), node
    assert nodes.ssh("system12", "alice", "bash -lc ./job.bash").stdout == "<base>\nfunction\n"
    # PAM gives everybody BASH_ENV: a script needs no shell of ours above it.
    for node in SYSTEM:
        done = nodes.ssh(node, "root", "cd / && su alice -s /bin/dash -c /home/alice/job.bash")
        assert done.stdout.startswith("<base>\n"), (node, done)
    for node in ALL:
        nodes.ssh(node, "alice", "rm job.bash job.sh")


def test_files_can_be_sent(nodes: Any, at_once: Many, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("sent and fetched\n", encoding="utf-8")
    options = nodes.fleet.ssh_options()
    ways = {
        "scp": ["scp", "-O", *options],
        "sftp": ["scp", *options],
        "rsync": ["rsync", "-e", " ".join(["ssh", *options])],
    }

    def send(node: str, user: str, way: str) -> tuple[str, str, str]:
        back = tmp_path / f"{node}-{user}-{way}"
        remote = f"{user}@{nodes.fleet.address(node)}:sent"
        for words in ([str(source), remote], [remote, str(back)]):
            done = subprocess.run(
                [*ways[way], *words],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            if (done.returncode, done.stdout, done.stderr) != (0, "", ""):
                return node, user, done.stdout + done.stderr
        return node, user, back.read_text(encoding="utf-8")

    sent = at_once(send, [(node, user, way) for node, user in EVERY for way in ways])
    assert {one[2] for one in sent} == {source.read_text(encoding="utf-8")}, sent
    at_once(lambda node, user: nodes.ssh(node, user, "rm sent"), EVERY)


@pytest.mark.parametrize("user", LOGINS)
def test_a_command_prints_nothing_more(nodes: Any, at_once: Many, user: str) -> None:
    for done in at_once(lambda node: nodes.ssh(node, user, "true"), [(node,) for node in ALL]):
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_files_keep_what_they_are(nodes: Any) -> None:
    for node in HOMES:
        before, after = nodes.before(node), nodes.snapshot(node)
        for path, (mode, owner, group, content) in before.items():
            assert after[path][:3] == [mode, owner, group], (node, path)
            if mode.startswith("l"):
                assert after[path][3] == content, (node, path)
        # A user who was not named is left alone.
        bob = {path for path in after if path.startswith("/home/bob/") and before.get(path) != after[path]}
        assert bool(bob) == (node == "group13")
        assert {tuple(after[path][1:3]) for path in bob} <= {tuple(before["/home/bob"][1:3])}
        assert not [path for path in after if path.startswith("/etc/") and before.get(path) != after[path]]
