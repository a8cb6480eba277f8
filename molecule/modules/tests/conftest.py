"""What the tests of this scenario share: users' shells, each with the module system of its node."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from testinfra.host import Host

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "containers"))

import scenario

MODULES = "/opt/condafleet/modulefiles"
# How a user who has nothing set up gets `module`: bash by logging in, the others as the package's own pages say.
# Lmod's file for csh takes the search path from the environment; the one of Environment Modules reads it itself.
START = {
    ("lmod", "bash"): ("bash -l", ""),
    ("lmod", "zsh"): ("zsh", ". /etc/profile.d/lmod.sh"),
    ("lmod", "tcsh"): ("tcsh -f", f"setenv MODULEPATH {MODULES}\nsource /usr/share/lmod/lmod/init/tcsh"),
    ("modules", "bash"): ("bash -l", ""),
    ("modules", "zsh"): ("zsh", ". /usr/share/modules/init/zsh"),
    ("modules", "tcsh"): ("tcsh -f", "source /usr/share/modules/init/tcsh"),
}
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def node(host: Host) -> str:
    return host.check_output("hostname")


@pytest.fixture
def alice(node: str) -> Run:
    """Run lines in a shell of an unprivileged user's, with `module` at hand."""

    def run(shell: str, *lines: str, plain: bool = False) -> subprocess.CompletedProcess[str]:
        command, first = START[node, shell]
        script = "\n".join([*([] if plain or not first else [first]), *lines])
        quoted = "'" + script.replace("'", "'\\''") + "'"
        return scenario.fleet().ssh(node, f"printf %s {quoted} > ~/lines; {command} ~/lines", user="alice", timeout=60)

    return run
