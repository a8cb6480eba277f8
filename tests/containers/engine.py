"""podman, as this host can run it.

Some hosts refuse crun (hybrid cgroups) or raised limits (no CAP_SYS_RESOURCE). There a containers.conf of ours helps;
it lies in the user's cache folder, and every call made here uses it where it exists.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "condafleet" / "containers"
CONFIG = CACHE / "containers.conf"
CAREFUL = """\
# Written because plain podman could not start a container on this host.
[engine]
runtime = "runc"

[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
"""


class EngineError(RuntimeError):
    """podman said no; the text holds its words and the command."""


def environment() -> dict[str, str]:
    """The environment that podman is to run in: the caller's own choice first, then ours."""
    env = dict(os.environ)
    if "CONTAINERS_CONF" not in env and CONFIG.is_file():
        env["CONTAINERS_CONF"] = str(CONFIG)
    return env


def podman(*args: str, timeout: float = 60, check: bool = True, stdin: str | None = None) -> str:
    """Run podman and return its standard output; `timeout` is in seconds."""
    command = ["podman", *args]
    try:
        done = subprocess.run(
            command, env=environment(), input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
    except FileNotFoundError:
        raise EngineError("podman was not found. Next: run tests/containers/setup.sh as root.") from None
    except subprocess.TimeoutExpired:
        raise EngineError(f"{' '.join(command)}: no answer within {timeout:g} s") from None
    if check and done.returncode != 0:
        raise EngineError(f"{' '.join(command)}: rc {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def probe(image: str) -> str:
    """Find settings with which `image` runs, and keep them. Returns one line that says what was found."""
    trial = ("run", "--rm", "--network=none", image, "true")
    try:
        podman(*trial)
    except EngineError as plain:
        if "CONTAINERS_CONF" in environment():
            raise
        CONFIG.parent.mkdir(parents=True, exist_ok=True)
        CONFIG.write_text(CAREFUL, encoding="utf-8")
        try:
            podman(*trial)
        except EngineError:
            CONFIG.unlink()
            raise
        return f"podman runs with {CONFIG} (plain: {str(plain).splitlines()[-1]})"
    named = environment().get("CONTAINERS_CONF")
    return f"podman runs with {named}" if named else "podman runs as it is"
