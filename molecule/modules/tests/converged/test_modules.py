"""`module load` in real shells, with the module systems of Debian 12 and 13."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host

ROOT = "/opt/condafleet"
LINK = "/opt/miniconda3/envs/plain"
SHELLS = ("bash", "zsh", "tcsh")
PREFIX_IS = "python -c 'import sys; print(sys.prefix)'"


@pytest.fixture
def generations(host: Host) -> tuple[str, str]:
    """The current generation of `plain`, and the former one."""
    now = host.check_output(f"readlink -f {LINK}")
    names = host.check_output(f"ls -d {ROOT}/generations/plain-*").split()
    (before,) = [name for name in names if name != now]
    return now, before


def values(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.split("\0") if "=" in line)


def same(host: Host, settings: dict[str, str]) -> dict[str, str]:
    """Only what activation is about, but for the prompt, with the installation's link resolved."""
    real = host.check_output("readlink -f /opt/miniconda3")
    return {
        key: value.replace("/opt/miniconda3/", real + "/") for key, value in settings.items()
        if key in ("PATH", "WHICH", "TEXT") or (key.startswith("CONDA_") and key != "CONDA_PROMPT_MODIFIER")
    }  # fmt: skip


@pytest.mark.parametrize("shell", SHELLS)
def test_load_gives_the_current_generation(alice: Callable[..., Any], generations: tuple[str, str], shell: str) -> None:
    done = alice(shell, "module load plain", PREFIX_IS, "echo $WHICH")
    assert done.stdout.splitlines() == [generations[0], "second"], done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_a_job_may_choose_its_generation(alice: Callable[..., Any], generations: tuple[str, str], shell: str) -> None:
    version = generations[1].rsplit("/", 1)[1]
    done = alice(shell, f"module load plain/{version}", PREFIX_IS, "echo $WHICH")
    assert done.stdout.splitlines() == [generations[1], "first"], done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_it_sets_what_activation_sets(host: Host, alice: Callable[..., Any], shell: str) -> None:
    script = f"{LINK}/bin/activate" + (".csh" if shell == "tcsh" else "")
    source = "source" if shell == "tcsh" else "."
    activated = values(alice(shell, f"{source} {script}", "env -0").stdout)
    loaded = values(alice(shell, "module load plain", "env -0").stdout)
    assert same(host, loaded) == same(host, activated)
    assert loaded["TEXT"] == "a b's $HOME, 50%"


@pytest.mark.parametrize("shell", SHELLS)
def test_unload_takes_it_all_back(host: Host, alice: Callable[..., Any], shell: str) -> None:
    before = values(alice(shell, "env -0").stdout)
    after = values(alice(shell, "module load plain", "module unload plain", "env -0").stdout)
    assert same(host, after) == same(host, before)
    assert "CONDA_PREFIX" not in after


@pytest.mark.parametrize("shell", SHELLS)
def test_one_environment_at_a_time(host: Host, node: str, alice: Callable[..., Any], shell: str) -> None:
    done = alice(shell, "module load plain", "module swap plain other", "echo $WHICH")
    assert done.stdout.splitlines() == ["other"], done.stderr
    done = alice(shell, "module load plain", "module load other", "echo $WHICH")
    if node == "lmod":  # replaces it, and says so
        assert done.stdout.splitlines() == ["other"]
        assert "replacing" in done.stderr
    else:  # refuses it, and says what to do
        assert done.stdout.splitlines() == ["second"]
        assert "conflict" in done.stderr
        assert "module unload" in done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_the_installation_has_a_module(alice: Callable[..., Any], shell: str) -> None:
    done = alice(shell, "module load miniconda", "conda --version")
    assert done.stdout.startswith("conda "), done.stderr
    assert alice(shell, "conda --version", plain=True).returncode != 0


def test_a_loaded_job_stays_while_the_default_moves(
    host: Host, alice: Callable[..., Any], generations: tuple[str, str]
) -> None:
    now, before = generations
    said: list[str] = []
    lines = (
        "module load plain", "touch started", "while [ ! -e go ]; do sleep 0.1; done", "echo $CONDA_PREFIX",
        "python -c 'import sys, sqlite3; print(sys.prefix, sqlite3.__file__)'",
    )  # fmt: skip
    job = threading.Thread(target=lambda: said.extend(alice("bash", *lines).stdout.split()))
    host.check_output("rm -f /home/alice/started /home/alice/go")
    job.start()
    try:
        for _ in range(100):
            if host.file("/home/alice/started").exists:
                break
            time.sleep(0.1)
        host.check_output(f"ln -sfn {before} {LINK}")
        host.check_output("touch /home/alice/go")
        job.join(60)
        fresh = alice("bash", "module load plain", "echo $CONDA_PREFIX").stdout.split()
    finally:
        host.check_output(f"ln -sfn {now} {LINK}; rm -f /home/alice/started /home/alice/go")
    assert said[:2] == [now, now]
    assert said[2].startswith(now)
    assert fresh == [before]


def test_the_search_path_has_one_line_of_ours(host: Host, node: str, alice: Callable[..., Any]) -> None:
    path = "/etc/lmod/modulespath" if node == "lmod" else "/etc/environment-modules/initrc"
    *site, last = host.file(path).content_string.splitlines()
    named = f"{ROOT}/modulefiles # condafleet" if node == "lmod" else ""
    # prepare.yml left the file without a last line end.
    assert last == (named or f"module use --append {{{ROOT}/modulefiles}} ;# condafleet") + " and the line end before"
    assert not [line for line in site if "condafleet" in line]
    folders = alice("bash", "echo $MODULEPATH").stdout.strip().split(":")
    assert folders[-1] == f"{ROOT}/modulefiles"
    assert len(folders) > 1
