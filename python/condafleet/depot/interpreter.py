"""Which CPython is running, and can it be repacked as a conda package?"""

from __future__ import annotations

import hashlib
import platform
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from condafleet.errors import DepotError

SUBDIRS = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}
NEXT_STEP = (
    "Next step: run condafleet with a CPython that stands in a folder of its own (pyenv, `uv python install`, a build "
    "from source, a conda environment), or use an upstream installer such as Miniconda instead of the embedded depot."
)


@dataclass(frozen=True)
class Interpreter:
    """The facts about an interpreter that decide whether and how it is repacked."""

    implementation: str
    version: str
    build: str
    base_prefix: Path
    stdlib: Path
    schemes: tuple[str, ...]
    system: str
    machine: str
    libc: str
    libc_version: str

    @property
    def short(self) -> str:
        """Major and minor version, `3.11`."""
        return ".".join(self.version.split(".")[:2])

    @property
    def tag(self) -> str:
        """As conda build strings spell it, `py311`."""
        return "py" + self.short.replace(".", "")

    @property
    def subdir(self) -> str:
        """The conda platform, `linux-64`."""
        return SUBDIRS[self.machine]

    @property
    def executable(self) -> Path:
        """The interpreter itself, outside any virtual environment."""
        return self.base_prefix / "bin" / f"python{self.short}"

    @property
    def site_packages(self) -> str:
        """Relative to a prefix."""
        return f"lib/python{self.short}/site-packages"

    @property
    def next_minor(self) -> str:
        """The first version that is too new for what was byte-compiled here, `3.12.0a0`."""
        major, minor = self.short.split(".")
        return f"{major}.{int(minor) + 1}.0a0"


def current() -> Interpreter:
    """Describe the interpreter that runs this code."""
    libc, libc_version = platform.libc_ver()
    return Interpreter(
        implementation=platform.python_implementation(),
        version=platform.python_version(),
        build=sys.version,
        base_prefix=Path(sys.base_prefix).resolve(),
        stdlib=Path(sysconfig.get_path("stdlib")).resolve(),
        schemes=tuple(sysconfig.get_scheme_names()),
        system=platform.system(),
        machine=platform.machine(),
        libc=libc,
        libc_version=libc_version,
    )


def check(found: Interpreter, *, accepted: Sequence[str]) -> None:
    """Raise DepotError unless FOUND can be repacked; ACCEPTED are minor versions such as `3.11`."""
    problem = _problem(found, accepted)
    if problem:
        wanted = (
            f"Accepted: CPython {' or '.join(accepted)} on Linux with glibc, {' or '.join(SUBDIRS)}, "
            "whose standard library stands under a prefix of its own"
        )
        raise DepotError(f"This Python cannot be repacked for the embedded depot: {problem}. {wanted}. {NEXT_STEP}")


def _problem(found: Interpreter, accepted: Sequence[str]) -> str:
    if found.system != "Linux":
        return f"it runs on {found.system}"
    if found.machine not in SUBDIRS:
        return f"the machine is {found.machine}"
    if found.implementation != "CPython":
        return f"it is {found.implementation}, not CPython"
    if found.short not in accepted:
        return f"it is version {found.version}"
    if found.libc != "glibc":
        return f"its C library is {found.libc or 'unknown (musl?)'}, not glibc"
    if "deb_system" in found.schemes:
        return f"{found.base_prefix} is a Debian system Python (dist-packages scheme)"
    if found.base_prefix == Path("/usr"):
        return f"{found.base_prefix} is the operating system's Python"
    expected = found.base_prefix / "lib" / f"python{found.short}"
    if found.stdlib != expected:
        return f"its standard library is {found.stdlib}, not {expected}"
    if not found.executable.is_file():
        return f"{found.executable} is missing"
    return ""


def digest(found: Interpreter) -> str:
    """SHA-256 (hex) over what makes this interpreter different from another."""
    mark = hashlib.sha256()
    for text in (found.version, found.build, str(found.base_prefix), found.machine, found.libc_version):
        mark.update(text.encode() + b"\0")
    for path in (found.executable, *sorted(found.base_prefix.glob("lib/libpython*.so*"))):
        mark.update(path.read_bytes())
    return mark.hexdigest()
