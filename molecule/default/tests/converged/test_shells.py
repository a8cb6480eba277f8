"""As an unprivileged user, in new shells over SSH."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GENERATIONS = "/opt/condafleet/generations"
SHELLS = ("bash -lc", "bash -ic", "zsh -lc", "zsh -ic")
Shell = Callable[..., Any]


@pytest.mark.parametrize("shell", SHELLS)
def test_activate_puts_the_generation_first(alice: Shell, shell: str) -> None:
    done = alice(
        f"{shell} 'conda activate pytorch && echo $CONDA_PREFIX && command -v python && echo $CONDA_DEFAULT_ENV'"
    )
    assert done.returncode == 0, done.stderr
    prefix, python, name = done.stdout.splitlines()
    assert re.fullmatch(rf"{GENERATIONS}/pytorch-[0-9a-f]{{12}}-1", prefix)
    assert python == f"{prefix}/bin/python"
    assert name == "pytorch"


@pytest.mark.parametrize("shell", ["bash -lc", "zsh -lc"])
def test_an_unknown_environment_is_refused(alice: Shell, shell: str) -> None:
    done = alice(f"{shell} 'conda activate nosuch'")
    assert done.returncode != 0
    assert "nosuch" in done.stderr


@pytest.mark.parametrize(
    ("name", "module"), [("pytorch", "torch"), ("tensorflow", "tensorflow"), ("keras", "keras"), ("jax", "jax")]
)
def test_the_framework_imports_in_a_login_shell(
    declared: tuple[str, ...], node: str, fleet: Any, alice: Shell, name: str, module: str
) -> None:
    """A terminal session as sshd starts it for a person: nothing is passed but what is typed."""
    if name not in declared:
        pytest.skip("declared for the other node alone")
    typed = f"conda activate {name}\npython -c 'import {module}; print(\"imported\", {module}.__version__)'\nexit\n"
    done = subprocess.run(
        ["ssh", "-tt", *fleet.ssh_options(), f"alice@{fleet.address(node)}"],
        input=typed, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert re.search(r"^imported \d+\.\d+", done.stdout, re.MULTILINE), done.stdout


def test_a_user_can_make_an_environment_of_her_own(alice: Shell) -> None:
    done = alice(
        "bash -lc 'conda create --yes --quiet --offline --prefix ~/mine && conda activate ~/mine && echo $CONDA_PREFIX'"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "/home/alice/mine"


def test_a_user_cannot_change_a_shared_environment(alice: Shell) -> None:
    done = alice("bash -lc 'conda activate pytorch && pip uninstall --yes torch'")
    assert done.returncode != 0
    assert "ermission" in done.stdout + done.stderr


def test_a_command_over_ssh_prints_nothing_more(alice: Shell) -> None:
    done = alice("true")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_scp_works(node: str, fleet: Any, alice: Shell, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_text("sent and fetched\n", encoding="utf-8")
    remote = f"alice@{fleet.address(node)}:sent"
    for words in ([str(source), remote], [remote, str(back)]):
        done = subprocess.run(
            ["scp", "-O", *fleet.ssh_options(), *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert back.read_text(encoding="utf-8") == "sent and fetched\n"
