"""Turn a wheel into a conda package: what pip would install, laid out as conda links it."""

from __future__ import annotations

import base64
import configparser
import csv
import hashlib
import io
import re
import subprocess
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from condafleet.depot.condapkg import PLACEHOLDER, Package
from condafleet.depot.files import safe_relative
from condafleet.depot.interpreter import Interpreter
from condafleet.errors import DepotError

LEGACY_MANYLINUX = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
LICENSE_NAMES = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|AUTHORS)", re.IGNORECASE)


@dataclass(frozen=True)
class Metadata:
    """The part of a wheel's METADATA that a conda package keeps."""

    name: str
    version: str
    requires: tuple[str, ...]
    license: str
    summary: str
    home: str


def read_metadata(wheel: Path) -> bytes:
    """The METADATA file of a wheel, as it is."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(_dist_info(archive, wheel) + "/METADATA")


def parse_metadata(raw: bytes) -> Metadata:
    """Read what is needed from METADATA."""
    fields = Parser().parsestr(raw.decode("utf-8", "replace"), headersonly=True)
    classified = [
        line.rsplit("::", 1)[1].strip() for line in fields.get_all("Classifier", ()) if line.startswith("License ::")
    ]
    free = (fields.get("License") or "").strip()
    # Some projects put the whole text into the License field.
    short = free if len(free) < 80 and "\n" not in free else ""
    home = fields.get("Home-page") or next(
        (url.partition(",")[2].strip() for url in fields.get_all("Project-URL", ())), ""
    )
    return Metadata(
        name=str(fields["Name"]),
        version=str(fields["Version"]),
        requires=tuple(fields.get_all("Requires-Dist", ())),
        license=fields.get("License-Expression") or short or " AND ".join(classified) or "unknown",
        summary=(fields.get("Summary") or "").strip(),
        home=home,
    )


def convert(
    wheel: Path,
    stage: Path,
    *,
    interpreter: Interpreter,
    renamed: Mapping[str, str] | None = None,
    extra_depends: Sequence[str] = (),
) -> Package:
    """Lay WHEEL out under the empty folder STAGE and describe it as a conda package.

    RENAMED maps names of the Python index to the conda world's. Raises DepotError when the file is no sound wheel.
    """
    renamed = renamed or {}
    metadata = parse_metadata(read_metadata(wheel))
    version = Version(metadata.version)
    prefix_files = unpack(wheel, stage, interpreter=interpreter)
    byte_compile(stage, interpreter, leave=prefix_files)
    _, _, _, tags = parse_wheel_filename(wheel.name)
    return Package(
        name=conda_name(metadata.name, renamed),
        version=version.public,
        build="_".join(part for part in ((version.local or "").replace(".", "_"), interpreter.tag, "0") if part),
        subdir=interpreter.subdir,
        stage=stage,
        depends=[
            f"python >={interpreter.short},<{interpreter.next_minor}",
            *glibc_depends(tags, interpreter),
            *python_depends(metadata.requires, renamed),
            *extra_depends,
        ],
        license=metadata.license,
        summary=metadata.summary,
        home=metadata.home,
        prefix_files=prefix_files,
        licenses=_licenses(wheel),
    )


def conda_name(name: str, renamed: Mapping[str, str]) -> str:
    """The conda name of a project of the Python index."""
    canonical = canonicalize_name(name)
    return renamed.get(canonical, canonical)


def python_depends(requires: Iterable[str], renamed: Mapping[str, str]) -> list[str]:
    """Requires-Dist as conda match specs, markers decided for this interpreter, extras left out."""
    environment = {**{key: str(value) for key, value in default_environment().items()}, "extra": ""}
    specs = []
    for line in requires:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            specs.append(f"{conda_name(requirement.name, renamed)} {match_version(requirement.specifier)}".strip())
    return sorted(set(specs))


def match_version(specifiers: SpecifierSet) -> str:
    """PEP 440 specifiers in conda's language."""
    parts = []
    for one in specifiers:
        version = one.version.partition("+")[0]
        if one.operator in ("==", "==="):
            parts.append(version if version.endswith(".*") else f"=={version}")
        elif one.operator == "~=":
            parts += [f">={version}", version.rsplit(".", 1)[0] + ".*"]
        else:
            parts.append(one.operator + version)
    return ",".join(sorted(parts))


def glibc_depends(tags: Iterable[Tag], interpreter: Interpreter) -> list[str]:
    """The least glibc that a wheel's platform tags ask for; a wheel that was built here needs this machine's."""
    platforms = {tag.platform for tag in tags}
    if platforms == {"any"}:
        return []
    least = []
    for platform in platforms:
        if match := re.match(r"manylinux_(\d+)_(\d+)_", platform):
            least.append((int(match[1]), int(match[2])))
        elif legacy := LEGACY_MANYLINUX.get(platform.partition("_")[0]):
            least.append(legacy)
    version = ".".join(map(str, min(least))) if least else interpreter.libc_version
    return [f"__glibc >={version}"]


def unpack(wheel: Path, stage: Path, *, interpreter: Interpreter) -> set[str]:
    """Install WHEEL under STAGE as pip would for a prefix; returns the files that hold the prefix placeholder."""
    prefix_files: set[str] = set()
    written: list[str] = []
    with zipfile.ZipFile(wheel) as archive:
        dist_info = _dist_info(archive, wheel)
        stem = dist_info.removesuffix(".dist-info")
        for member in archive.infolist():
            if member.is_dir():
                continue
            name = safe_relative(member.filename)
            if name == f"{dist_info}/RECORD" or name.startswith((f"{dist_info}/RECORD.", f"{dist_info}/INSTALLER")):
                continue
            body = archive.read(member)
            place, is_script = _place(name, stem, interpreter)
            if is_script and body.startswith(b"#!python"):
                _, newline, rest = body.partition(b"\n")
                body = _shebang(interpreter).encode() + newline + rest
                prefix_files.add(place)
            executable = is_script or bool(member.external_attr >> 16 & 0o111)
            _write(stage, place, body, executable)
            written.append(place)
        for script, target in _entry_points(archive, dist_info):
            place = safe_relative(f"bin/{script}")
            _write(stage, place, _script(interpreter, target).encode(), executable=True)
            prefix_files.add(place)
            written.append(place)
    record = f"{interpreter.site_packages}/{dist_info}/RECORD"
    installer = f"{interpreter.site_packages}/{dist_info}/INSTALLER"
    _write(stage, installer, b"conda\n", executable=False)
    written.append(installer)
    body = _record(stage, written, record, prefix_files, interpreter.site_packages)
    _write(stage, record, body, executable=False)
    return prefix_files


def _dist_info(archive: zipfile.ZipFile, wheel: Path) -> str:
    names = {name.split("/", 1)[0] for name in archive.namelist() if re.match(r"[^/]+\.dist-info/METADATA$", name)}
    if len(names) != 1:
        raise DepotError(
            f"{wheel.name} is not a sound wheel: it holds {len(names)} dist-info folders, not one. "
            "Next step: fetch it again."
        )
    return names.pop()


def _place(name: str, stem: str, interpreter: Interpreter) -> tuple[str, bool]:
    """Where a wheel's member goes in a prefix, and whether it is a script."""
    data = f"{stem}.data/"
    if not name.startswith(data):
        return f"{interpreter.site_packages}/{name}", False
    scheme, _, rest = name.removeprefix(data).partition("/")
    project = stem.rsplit("-", 1)[0]
    roots = {
        "purelib": interpreter.site_packages,
        "platlib": interpreter.site_packages,
        "scripts": "bin",
        "data": "",
        "headers": f"include/python{interpreter.short}/{project}",
    }
    if scheme not in roots or not rest:
        raise DepotError(
            f"{name!r} belongs to no known part of a wheel; known: {', '.join(roots)}. "
            "Next step: fetch the wheel again, or leave that project out of the channel."
        )
    return "/".join(part for part in (roots[scheme], rest) if part), scheme == "scripts"


def _entry_points(archive: zipfile.ZipFile, dist_info: str) -> list[tuple[str, str]]:
    try:
        text = archive.read(f"{dist_info}/entry_points.txt").decode()
    except KeyError:
        return []
    parser = configparser.ConfigParser(delimiters=("=",), strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # script names are case-sensitive
    parser.read_string(text)
    sections = (section for section in ("console_scripts", "gui_scripts") if parser.has_section(section))
    return [
        (script, target.partition("[")[0].strip()) for section in sections for script, target in parser[section].items()
    ]


def _shebang(interpreter: Interpreter) -> str:
    return f"#!{PLACEHOLDER}/bin/python{interpreter.short}"


def _script(interpreter: Interpreter, target: str) -> str:
    module, _, attribute = target.partition(":")
    first = attribute.partition(".")[0]
    return (
        f"{_shebang(interpreter)}\n"
        "import sys\n\n"
        f"from {module.strip()} import {first}\n\n"
        'if __name__ == "__main__":\n'
        f"    sys.exit({attribute}())\n"
    )


def _write(stage: Path, name: str, body: bytes, executable: bool) -> None:
    path = stage / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    path.chmod(0o755 if executable else 0o644)


def _record(stage: Path, names: Sequence[str], record: str, prefix_files: set[str], site_packages: str) -> bytes:
    depth = "../" * len(Path(site_packages).parts)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    for name in sorted({*names, record}):
        shown = name.removeprefix(site_packages + "/") if name.startswith(site_packages + "/") else depth + name
        if name == record or name in prefix_files:  # linking changes the latter
            table.writerow((shown, "", ""))
            continue
        body = (stage / name).read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
        table.writerow((shown, f"sha256={digest}", len(body)))
    return text.getvalue().encode()


def byte_compile(stage: Path, interpreter: Interpreter, *, leave: Iterable[str] = ()) -> None:
    """Compile all modules below STAGE with the interpreter itself, except those in LEAVE.

    The `.pyc` are never checked against their source again (`unchecked-hash`): users cannot write in a shared
    environment, and every start would otherwise pay for stale times.
    """
    root = stage / "lib"
    if not root.is_dir():
        return
    subprocess.run(
        [
            str(interpreter.executable),
            "-I",
            "-S",
            "-m",
            "compileall",
            "-q",
            "-q",
            "--invalidation-mode",
            "unchecked-hash",
            "-s",
            str(stage),
            str(root),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,  # some projects ship files that are no valid Python
    )
    for name in leave:
        # The prefix is written into such a file when it is linked, so its .pyc would hold the placeholder for ever.
        path = stage / name
        for stale in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            stale.unlink()


def _licenses(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        dist_info = _dist_info(archive, wheel) + "/"
        names = [
            name.removeprefix(dist_info)
            for name in archive.namelist()
            if name.startswith(dist_info) and not name.endswith("/")
        ]
        kept = [name for name in names if name.startswith("licenses/") or LICENSE_NAMES.match(name)]
        return {name.removeprefix("licenses/"): archive.read(dist_info + name) for name in sorted(kept)}
