"""A small data set in the form of MNIST, and an environment whose python is this one."""

from __future__ import annotations

import functools
import gzip
import hashlib
import random
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

NAMES = {
    "train-images-idx3-ubyte": ("images", 320),
    "train-labels-idx1-ubyte": ("labels", 320),
    "t10k-images-idx3-ubyte": ("images", 100),
    "t10k-labels-idx1-ubyte": ("labels", 100),
}


def idx(dimensions: list[int], content: bytes) -> bytes:
    """An IDX file of unsigned bytes."""
    return bytes([0, 0, 8, len(dimensions)]) + b"".join(n.to_bytes(4, "big") for n in dimensions) + content


def digits(count: int, seed: int) -> tuple[bytes, bytes]:
    """Images that a network can tell apart: the digit's own rows are bright, the rest is noise."""
    chance = random.Random(seed)
    labels = bytes(chance.randrange(10) for _ in range(count))
    rows = []
    for label in labels:
        for row in range(28):
            bright = row // 3 == label or (row == 27 and label == 9)
            rows.append(bytes(chance.randrange(200, 256) if bright else chance.randrange(0, 30) for _ in range(28)))
    return b"".join(rows), labels


@functools.cache
def content_of(name: str) -> bytes:
    """The whole file of that name; made once, since a pixel at a time is slow."""
    what, count = NAMES[name]
    images, labels = digits(count, count)
    return idx([count, 28, 28], images) if what == "images" else idx([count], labels)


def write_data(folder: Path, packed: bool = False) -> list[dict[str, str]]:
    """The four files in `folder`, as the module wants them declared."""
    folder.mkdir(parents=True, exist_ok=True)
    declared = []
    for name in NAMES:
        content = content_of(name)
        full = name + (".gz" if packed else "")
        stored = gzip.compress(content, mtime=0) if packed else content
        (folder / full).write_bytes(stored)
        declared.append({"name": full, "url": (folder / full).as_uri(), "sha256": hashlib.sha256(stored).hexdigest()})
    return declared


@pytest.fixture
def maker() -> SimpleNamespace:
    """What makes data sets, for tests that need a particular one."""
    return SimpleNamespace(idx=idx, write_data=write_data)


@pytest.fixture
def data(tmp_path: Path) -> list[dict[str, str]]:
    return write_data(tmp_path / "source")


@pytest.fixture
def options(tmp_path: Path, data: list[dict[str, str]]) -> dict[str, Any]:
    """The module's parameters for an environment `e` at generation e-0123456789ab-1, with a script that is given."""
    generation = tmp_path / "root" / "generations" / "e-0123456789ab-1"
    (generation / "bin").mkdir(parents=True)
    python = generation / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (tmp_path / "conda" / "envs").mkdir(parents=True)
    (tmp_path / "conda" / "envs" / "e").symlink_to(generation)
    return {
        "environment": "e",
        "framework": "torch",
        "prefix": str(tmp_path / "conda"),
        "root": str(tmp_path / "root"),
        "data": data,
        "scripts": {},
        "variables": {},
        "epochs": 2,
        "batch_size": 32,
        "seed": 0,
        "least_accuracy": 0.9,
        "threads": 0,
        "nice": 0,
        "timeout": 60,
        "user": None,
        "rerun": False,
    }
