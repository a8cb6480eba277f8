"""The .conda files, the channel over them and the simple index, as their readers take them."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest
import zstandard
from conda_package_streaming.package_streaming import stream_conda_component

from condafleet.depot import channel, condapkg, simple
from condafleet.depot.condapkg import PLACEHOLDER, Package
from condafleet.depot.files import sha256_of
from condafleet.errors import DepotError

from .conftest import WheelMaker, write


def tiny(folder: Path, *, depends: list[str] | None = None, name: str = "tiny") -> Package:
    stage = folder / "stage"
    write(stage / "bin/tool", f"#!{PLACEHOLDER}/bin/python\n".encode())
    (stage / "bin/tool").chmod(0o700)
    write(stage / "lib/data.bin", b"\0\1\2")
    (stage / "bin/alias").symlink_to("tool")
    return Package(
        name=name,
        version="1.0",
        build="py311_0",
        subdir="linux-64",
        stage=stage,
        depends=depends or [],
        license="MIT",
        prefix_files={"bin/tool"},
        licenses={"LICENSE": b"text"},
    )


def members(path: Path, component: str) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    found = {}
    for archive, member in stream_conda_component(str(path), component=component):
        stream = archive.extractfile(member) if member.isfile() else None
        found[member.name] = (member, stream.read() if stream else b"")
    return found


def test_package_describes_every_file(tmp_path: Path) -> None:
    target = tmp_path / "tiny-1.0-py311_0.conda"
    condapkg.write(tiny(tmp_path), target)
    info = members(target, "info")
    paths = {entry["_path"]: entry for entry in json.loads(info["info/paths.json"][1])["paths"]}
    script = f"#!{PLACEHOLDER}/bin/python\n".encode()
    assert paths["bin/tool"] == {
        "_path": "bin/tool",
        "path_type": "hardlink",
        "sha256": hashlib.sha256(script).hexdigest(),
        "size_in_bytes": len(script),
        "prefix_placeholder": PLACEHOLDER,
        "file_mode": "text",
    }
    assert paths["bin/alias"]["path_type"] == "softlink"
    assert set(paths) == {"bin/alias", "bin/tool", "lib/data.bin"}
    index = json.loads(info["info/index.json"][1])
    assert (index["name"], index["version"], index["build"], index["subdir"]) == ("tiny", "1.0", "py311_0", "linux-64")
    assert info["info/licenses/LICENSE"][1] == b"text"
    content = members(target, "pkg")
    assert content["bin/tool"][0].mode == 0o755
    assert content["lib/data.bin"][0].mode == 0o644
    assert content["bin/alias"][0].linkname == "tool"


def test_same_content_gives_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for number in (1, 2):
        folder = tmp_path / str(number)
        package = tiny(folder)
        os.utime(folder / "stage/bin/tool", (number, number))
        condapkg.write(package, folder / "tiny-1.0-py311_0.conda")
        digests.add(sha256_of(folder / "tiny-1.0-py311_0.conda"))
    assert len(digests) == 1


def test_content_digest_ignores_compiled_files_only(tmp_path: Path) -> None:
    stage = tiny(tmp_path).stage
    before = condapkg.content_digest(stage)
    write(stage / "lib/__pycache__/x.pyc", b"x")
    assert condapkg.content_digest(stage) == before
    write(stage / "lib/data.bin", b"changed")
    assert condapkg.content_digest(stage) != before


def make_record(folder: Path, name: str, depends: list[str]) -> channel.Record:
    path = folder / f"{name}-1.0-py311_0.conda"
    condapkg.write(tiny(folder / name, name=name, depends=depends), path)
    return channel.read_record(path)


def test_channel_has_repodata_in_three_forms(tmp_path: Path) -> None:
    records = [make_record(tmp_path, "tiny", ["other >=1", "__glibc >=2.17"]), make_record(tmp_path, "other", [])]
    channel.write(tmp_path / "channel", "linux-64", records)
    raw = (tmp_path / "channel/linux-64/repodata.json").read_bytes()
    assert (tmp_path / "channel/linux-64/current_repodata.json").read_bytes() == raw
    packed = (tmp_path / "channel/linux-64/repodata.json.zst").read_bytes()
    assert zstandard.ZstdDecompressor().decompress(packed) == raw
    record = json.loads(raw)["packages.conda"]["tiny-1.0-py311_0.conda"]
    package = (tmp_path / "channel/linux-64/tiny-1.0-py311_0.conda").read_bytes()
    assert record["sha256"] == hashlib.sha256(package).hexdigest()
    assert record["md5"] == hashlib.md5(package, usedforsecurity=False).hexdigest()
    assert record["size"] == len(package)
    assert record["license"] == "MIT"
    assert json.loads((tmp_path / "channel/noarch/repodata.json").read_text())["info"] == {"subdir": "noarch"}


def test_channel_must_hold_what_its_packages_need(tmp_path: Path) -> None:
    with pytest.raises(DepotError, match="The channel has no absent, which tiny depends on"):
        channel.write(tmp_path / "channel", "linux-64", [make_record(tmp_path, "tiny", ["absent >=1"])])


def test_simple_index_points_to_wheels_and_their_metadata(tmp_path: Path, make_wheel: WheelMaker) -> None:
    wheels = [make_wheel("Tiny_Thing", "1.0"), make_wheel("Tiny_Thing", "2.0+cpu")]
    simple.write(tmp_path / "depot", wheels)
    root = (tmp_path / "depot/simple/index.html").read_text()
    assert '<a href="tiny-thing/">tiny-thing</a>' in root
    page = (tmp_path / "depot/simple/tiny-thing/index.html").read_text()
    digest = sha256_of(tmp_path / "depot/wheels/Tiny_Thing-2.0+cpu-py3-none-any.whl")
    assert f'href="../../wheels/Tiny_Thing-2.0%2Bcpu-py3-none-any.whl#sha256={digest}"' in page
    metadata = tmp_path / "depot/wheels/Tiny_Thing-1.0-py3-none-any.whl.metadata"
    assert f'data-core-metadata="sha256={sha256_of(metadata)}"' in page
    assert metadata.read_text().startswith("Metadata-Version: 2.1")
