# Copyright condafleet maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which project of the Python index a conda package is. Pure."""

from __future__ import annotations

import re
from typing import Collection, Iterable, Optional

# Where the name of the conda package is not the project's.
NAMES = {
    "brotli-python": "brotli",
    "faiss": "faiss-cpu",
    "graphviz-python": "graphviz",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "opencv": "opencv-python",
    "py-opencv": "opencv-python",
    "py-xgboost": "xgboost",
    "python-blosc": "blosc",
    "python-flatbuffers": "flatbuffers",
    "python-graphviz": "graphviz",
    "python-lmdb": "lmdb",
    "python-tzdata": "tzdata",
    "python-xxhash": "xxhash",
    "pytables": "tables",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "tensorflow-base": "tensorflow",
    "tensorflow-gpu": "tensorflow",
}
NOT_PROJECTS = ("python", "python_abi", "cpython")


def normal_name(name: str) -> str:
    """The name of a project as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def project_named(name: str) -> str:
    """What a conda package of this name would be called on the index."""
    return normal_name(NAMES.get(name, name))


def project_of(name: str, depends: Iterable[str]) -> Optional[str]:
    """The project that a conda package installs, or None where it is no Python package: it needs no python then."""
    if name in NOT_PROJECTS or name.startswith("_"):
        return None
    needs = {entry.split()[0] for entry in depends if entry.split()}
    return project_named(name) if needs & {"python", "python_abi"} else None


def is_named(manager: str, name: str, asked: Collection[str]) -> bool:
    """Whether a package is one of those asked for, by its own name or, for conda's, by that of its project."""
    names = {normal_name(one) for one in asked}
    return normal_name(name) in names or (manager == "conda" and project_named(name) in names)
