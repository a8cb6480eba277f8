"""Which Pythons are repacked, and what is said of those that are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from condafleet.depot import cpython, interpreter
from condafleet.depot.condapkg import PLACEHOLDER
from condafleet.depot.interpreter import Interpreter
from condafleet.errors import DepotError

ACCEPTED = ("3.11", "3.12")


@pytest.fixture
def good(tmp_path: Path) -> Interpreter:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3.11").write_bytes(b"\x7fELF")
    return Interpreter(
        implementation="CPython",
        version="3.11.7",
        build="3.11.7 (main)",
        base_prefix=tmp_path,
        stdlib=tmp_path / "lib/python3.11",
        schemes=("posix_prefix", "venv"),
        system="Linux",
        machine="x86_64",
        libc="glibc",
        libc_version="2.36",
    )


def test_a_python_of_its_own_is_accepted(good: Interpreter) -> None:
    interpreter.check(good, accepted=ACCEPTED)
    assert (good.short, good.tag, good.subdir, good.next_minor) == ("3.11", "py311", "linux-64", "3.12.0a0")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"system": "Darwin"}, "it runs on Darwin"),
        ({"machine": "ppc64le"}, "the machine is ppc64le"),
        ({"implementation": "PyPy"}, "it is PyPy, not CPython"),
        ({"version": "3.9.2"}, "it is version 3.9.2"),
        ({"libc": ""}, "its C library is unknown"),
        ({"schemes": ("posix_local", "deb_system")}, "is a Debian system Python"),
        ({"base_prefix": Path("/usr")}, "/usr is the operating system's Python"),
        ({"stdlib": Path("/usr/lib64/python3.11")}, "its standard library is /usr/lib64/python3.11"),
    ],
)
def test_others_are_refused_with_a_next_step(good: Interpreter, change: dict[str, object], said: str) -> None:
    with pytest.raises(DepotError) as caught:
        interpreter.check(replace(good, **change), accepted=ACCEPTED)  # type: ignore[arg-type]
    message = caught.value.message
    assert said in message
    assert "Accepted: CPython 3.11 or 3.12 on Linux with glibc, x86_64 or aarch64" in message
    assert "Next step: " in message


def test_a_missing_program_is_named(good: Interpreter) -> None:
    good.executable.unlink()
    with pytest.raises(DepotError, match=r"bin/python3\.11 is missing"):
        interpreter.check(good, accepted=ACCEPTED)


def test_digest_changes_with_the_program(good: Interpreter) -> None:
    before = interpreter.digest(good)
    good.executable.write_bytes(b"\x7fELF another build")
    assert interpreter.digest(good) != before


def test_ldd_output_is_read(tmp_path: Path) -> None:
    text = """\tlinux-vdso.so.1 (0x00007ffc)
\tlibssl.so.3 => /lib/x86_64-linux-gnu/libssl.so.3 (0x00007f)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f)
"""
    needed = cpython.parse_ldd(text, tmp_path)
    assert needed == {
        "libssl.so.3": Path("/lib/x86_64-linux-gnu/libssl.so.3"),
        "libc.so.6": Path("/lib/x86_64-linux-gnu/libc.so.6"),
    }
    assert [name for name in needed if not cpython.OF_GLIBC.match(name)] == ["libssl.so.3"]


def test_a_library_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DepotError, match=r"needs libffi\.so\.8, which is not installed here"):
        cpython.parse_ldd("\tlibffi.so.8 => not found\n", tmp_path / "_ctypes.so")


def test_prefix_in_text_files_is_replaced(good: Interpreter, tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    library = stage / "lib/python3.11"
    library.mkdir(parents=True)
    data = library / "_sysconfigdata__linux_x86_64-linux-gnu.py"
    data.write_text(f"build_time_vars = {{'prefix': '{good.base_prefix}'}}\n")
    (library / "unrelated.py").write_text(f"# {good.base_prefix}\n")
    assert cpython.replace_prefix(good, stage) == {f"lib/python3.11/{data.name}"}
    assert data.read_text() == f"build_time_vars = {{'prefix': '{PLACEHOLDER}'}}\n"
