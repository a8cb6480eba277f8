"""Made-up wheels and a made-up depot: nothing here reaches a network."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from condafleet.depot import interpreter, manifest, simple
from condafleet.depot.interpreter import Interpreter

WheelMaker = Callable[..., Path]


@pytest.fixture
def python() -> Interpreter:
    """The running interpreter under the name of a machine that the depot supports."""
    return replace(interpreter.current(), machine="x86_64", libc="glibc", libc_version="2.36")


@pytest.fixture
def make_wheel(tmp_path: Path) -> WheelMaker:
    """Write a wheel from a mapping of members; METADATA and RECORD are added."""

    def make(
        name: str = "tiny",
        version: str = "1.0",
        *,
        members: Mapping[str, str | bytes] | None = None,
        metadata: str = "",
        entry_points: str = "",
        tag: str = "py3-none-any",
        folder: Path | None = None,
    ) -> Path:
        stem = f"{name.replace('-', '_')}-{version}"
        folder = folder or tmp_path / "wheels-made"
        folder.mkdir(parents=True, exist_ok=True)
        everything: dict[str, str | bytes] = dict(members or {f"{name}.py": "ANSWER = 42\n"})
        everything[f"{stem}.dist-info/METADATA"] = (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}\n"
        )
        everything[f"{stem}.dist-info/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n"
        if entry_points:
            everything[f"{stem}.dist-info/entry_points.txt"] = entry_points
        path = folder / f"{stem}-{tag}.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for member, body in {**everything, f"{stem}.dist-info/RECORD": "stale,,\n"}.items():
                archive.writestr(zipfile.ZipInfo(member), body)  # no time stamp: the same wheel every time
        return path

    return make


@pytest.fixture
def depot(tmp_path: Path, make_wheel: WheelMaker) -> Path:
    """A small, sound depot: one wheel with its index, one conda package, one installer, one data file."""
    root = tmp_path / "depot"
    simple.write(root, [make_wheel("tiny"), make_wheel("uv", "0.1", tag="py3-none-manylinux_2_17_x86_64")])
    write(root / "channel/linux-64/tiny-1.0-py311_0.conda", b"conda package")
    write(root / "channel/linux-64/repodata.json", b"{}\n")
    write(root / "installers/Condafleet-24.7.1-0-Linux-x86_64.sh", b"#!/bin/sh\n")
    write(root / "datasets/mnist/train-images-idx3-ubyte", bytes(range(256)) * 40)
    seal(root)
    return root


def write(path: Path, body: bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


def seal(root: Path, **changed: object) -> str:
    """Write the manifest of what lies in ROOT; returns its SHA-256."""
    files = manifest.describe(root)
    installer = "installers/Condafleet-24.7.1-0-Linux-x86_64.sh"
    images = "datasets/mnist/train-images-idx3-ubyte"
    uv = "wheels/uv-0.1-py3-none-manylinux_2_17_x86_64.whl"
    described = {
        "schema_version": 1,
        "kind": "embedded",
        "condafleet_version": "0.1.0",
        "platform": "linux-64",
        "glibc": "2.36",
        "python": "3.11.7",
        "installers": [
            {
                "distribution": "embedded",
                "version": "24.7.1-0",
                "conda_version": "24.7.1",
                "arch": "x86_64",
                "path": installer,
                **files[installer],
            }
        ],
        "channels": {"conda": {"path": "channel"}},
        "index": {"path": "simple"},
        "origins": {manifest.ORIGIN: ""},
        "tools": {"uv": {"linux-64": {"version": "0.1", "path": uv, "sha256": files[uv]["sha256"]}}},
        "datasets": {
            "mnist": {
                "files": [
                    {
                        "name": "train-images-idx3-ubyte",
                        "path": images,
                        "content_sha256": files[images]["sha256"],
                        **files[images],
                    }
                ]
            }
        },
        "files": files,
        **changed,
    }
    body = json.dumps(described).encode()
    (root / "manifest.json").write_bytes(body)
    return hashlib.sha256(body).hexdigest()


def record_digest(body: bytes) -> str:
    """A digest as RECORD spells it."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
