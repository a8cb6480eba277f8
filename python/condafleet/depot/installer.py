"""The installer: a shell script with Miniconda's options, and the base packages behind it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conda_package_streaming import extract

from condafleet.depot.channel import Record
from condafleet.depot.condapkg import EPOCH, staged
from condafleet.depot.interpreter import Interpreter

HEADER = Path(__file__).with_name("installer.sh")
BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
GZIP_LEVEL = 6


def write(
    target: Path,
    records: Sequence[Record],
    work: Path,
    *,
    name: str,
    version: str,
    conda_version: str,
    channel_url: str,
    interpreter: Interpreter,
) -> None:
    """Write the installer to TARGET. RECORDS are the base environment, which conda will say came from CHANNEL_URL."""
    packages = work / "pkgs"
    for one in records:
        unpack(one, packages, f"{channel_url}/{interpreter.subdir}")
    own = packages / ".condafleet"
    own.mkdir()
    urls = [f"{channel_url}/{interpreter.subdir}/{one.filename}" for one in records]
    (own / "install.py").write_bytes(BOOTSTRAP.read_bytes())
    (own / "explicit.txt").write_text(
        "".join(f"{url}#{one.data['md5']}\n" for url, one in zip(urls, records, strict=True))
    )
    # conda takes a package cache for writable only if it can touch these two.
    (packages / "urls.txt").write_text("".join(f"{url}\n" for url in urls))
    (packages / "urls").write_text("")
    payload = pack(packages)
    python = next(one for one in records if one.name == "python")
    header = fill(
        HEADER.read_text(encoding="utf-8"),
        NAME=name,
        VERSION=version,
        CONDA=conda_version,
        PLATFORM=interpreter.subdir,
        MACHINE=interpreter.machine,
        GLIBC=interpreter.libc_version,
        PYTHON=python.filename.removesuffix(".conda"),
        PYTHON_VERSION=interpreter.version,
        SHA256=hashlib.sha256(payload).hexdigest(),
    )
    target.write_bytes(header.encode() + payload)
    target.chmod(0o755)


def fill(text: str, **values: str) -> str:
    """Put VALUES in place of `@NAME@` marks, and the number of the first line after the text in place of `@LINE@`."""
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text.replace("@LINE@", str(text.count("\n") + 1))


def unpack(one: Record, packages: Path, channel_url: str) -> None:
    """Unpack a package as conda's cache holds it, with the record that lets conda find it there."""
    folder = packages / one.filename.removesuffix(".conda")
    folder.mkdir(parents=True)
    extract.extract(str(one.path), str(folder))
    record: dict[str, Any] = {
        **one.data,
        "channel": channel_url,
        "fn": one.filename,
        "url": f"{channel_url}/{one.filename}",
    }
    (folder / "info" / "repodata_record.json").write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


def pack(folder: Path) -> bytes:
    """FOLDER as tar.gz, with the same bytes for the same content."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in staged(folder):
            path = folder / name
            entry = tarfile.TarInfo(name)
            entry.mtime = EPOCH
            if path.is_symlink():
                entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
                archive.addfile(entry)
                continue
            entry.size = path.stat().st_size
            entry.mode = 0o755 if path.stat().st_mode & 0o111 else 0o644
            with path.open("rb") as stream:
                archive.addfile(entry, stream)
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=GZIP_LEVEL, mtime=EPOCH, filename="") as stream:
        stream.write(plain.getbuffer())
    return packed.getvalue()
