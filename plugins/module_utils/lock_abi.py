# Copyright condafleet maintainers
# SPDX-License-Identifier: Apache-2.0
"""Whether what a lock holds can work together on its target: one Python, wheels made for it, nothing twice. Pure.

A lock of another tool was solved for whatever machine that tool had in mind; what does not fit would be found out on
the nodes only, by an import that fails.
"""

from __future__ import annotations

import re
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Lock, Package
from ansible_collections.condafleet.core.plugins.module_utils.projects import project_of
from ansible_collections.condafleet.core.plugins.module_utils.version_ranges import lies_in, numbers

_MACHINES = {"linux-64": "x86_64", "linux-aarch64": "aarch64", "linux-ppc64le": "ppc64le"}
# The manylinux tags of old, by the glibc that each stands for.
_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_MANYLINUX = re.compile(r"^manylinux_(\d+)_(\d+)_(.+)$")
_NEXT = "Next: lock again for this target. Nothing was changed."


class AbiError(FleetError):
    """A lock holds what can't work on its target, or with its own Python; the message names it."""


def check(
    lock: Lock,
    definition: Mapping[str, str],
    depends: Mapping[str, Sequence[str]],
    requires_python: Sequence[Tuple[str, str]] = (),
) -> None:
    """Raise AbiError for the first thing that does not fit.

    `depends` are the dependencies of conda's packages by name, `requires_python` (what says so, range) of the wheels.
    """
    conda = {package.name: package for package in lock.packages if package.manager == "conda"}
    wheels = [package for package in lock.packages if package.manager == "pip"]
    _check_conda(conda, definition, depends)
    if not wheels:
        return
    python = conda.get("python")
    if python is None:
        raise AbiError(
            "lock: it has wheels ({0}), and no python from conda. Accepted: a conda part with a python. {1}".format(
                _some(wheels), _NEXT
            )
        )
    provided = {project_of(name, depends.get(name, ())): package for name, package in conda.items()}
    for wheel in wheels:
        twin = provided.get(wheel.name)
        if twin:
            raise AbiError(
                "lock: pip's {0} {1} is provided by conda too ({2} {3}): one would overwrite the other. Accepted: each "
                "project once. Next: take it out of the pip part or of the conda part, and lock again. Nothing was "
                "changed.".format(wheel.name, wheel.version, twin.name, twin.version)
            )
        reason = misfit(wheel.filename, python, definition)
        if reason:
            raise AbiError("lock: pip's {0} {1}: {2} {3}".format(wheel.name, wheel.version, reason, _NEXT))
    for who, asked in requires_python:
        if lies_in(python.version, asked) is False:
            raise AbiError(
                "lock: {0} is for python {1}, and conda's is {2}. Accepted: parts for one python. {3}".format(
                    who, asked, python.version, _NEXT
                )
            )


def misfit(filename: str, python: Package, definition: Mapping[str, str]) -> Optional[str]:
    """Why a wheel can't be installed for this python on this target; None: it can."""
    parts = filename[: -len(".whl")].split("-")
    if len(parts) not in (5, 6):
        return "{0!r} is no name of a wheel. Accepted: NAME-VERSION-PYTHON-ABI-PLATFORM.whl.".format(filename)
    tags, abis, platforms = (part.split(".") for part in parts[-3:])
    if not any(_fits_python(tag, abi, python) for tag in tags for abi in abis):
        return "its wheel is for {0} ({1}), and conda's python is {2}{3}.".format(
            ".".join(tags), ".".join(abis), python.version, " without the GIL" if _free_threaded(python) else ""
        )
    reasons = [_misfit_platform(platform, definition) for platform in platforms]
    return None if None in reasons else reasons[0]


def _fits_python(tag: str, abi: str, python: Package) -> bool:
    found = re.match(r"^(cp|py)(\d)(\d*)$", tag)
    if not found:
        return False
    kind, major, minor = found.group(1), int(found.group(2)), int(found.group(3)) if found.group(3) else None
    has = numbers(python.version)
    if len(has) < 2 or has[0] != major:
        return False
    if kind == "py":
        return abi == "none" and (minor is None or minor <= has[1])
    free = _free_threaded(python)
    if abi == "abi3":
        return not free and minor is not None and minor <= has[1]
    return minor == has[1] and abi in ("none", "cp{0}{1}{2}".format(*has[:2], "t" if free else ""))


def _free_threaded(python: Package) -> bool:
    return bool(re.search(r"_cp\d+t$", python.build))


def _misfit_platform(platform: str, definition: Mapping[str, str]) -> Optional[str]:
    if platform == "any":
        return None
    machine = _MACHINES.get(definition["platform"], "")
    found = _MANYLINUX.match(platform)
    kind, _dash, legacy = platform.partition("_")
    if found:
        least, has = (int(found.group(1)), int(found.group(2))), found.group(3)
    elif kind in _LEGACY:
        least, has = _LEGACY[kind], legacy
    elif kind == "linux":
        least, has = (0,), legacy
    else:
        return "its wheel is for {0}, and the target is {1} with glibc.".format(platform, definition["platform"])
    if has != machine:
        return "its wheel is for {0}, and the target is {1}.".format(has, definition["platform"])
    glibc = definition.get("glibc")
    if glibc and numbers(glibc) < least:
        return "its wheel needs glibc {0}, and the target has {1}.".format(".".join(map(str, least)), glibc)
    return None


def _check_conda(
    conda: Mapping[str, Package], definition: Mapping[str, str], depends: Mapping[str, Sequence[str]]
) -> None:
    """What conda's packages ask of python and of the target; the rest is what their solver has seen to."""
    has: Dict[str, Optional[str]] = {"__glibc": definition.get("glibc"), "__cuda": definition.get("cuda") or ""}
    for name in ("python", "python_abi"):
        if name in conda:
            has[name] = conda[name].version
    for name in sorted(conda):
        for entry in depends.get(name, ()):
            what, _blank, asked = entry.partition(" ")
            version = has.get(what)
            if what not in has or version is None:
                continue
            if version == "" or (asked.strip() and lies_in(version, asked) is False):
                raise AbiError(
                    "lock: conda's {0} {1} needs {2}, and {3}. Accepted: packages for one python and for the target. "
                    "{4}".format(
                        name,
                        conda[name].version,
                        entry.strip(),
                        "the target has no cuda" if version == "" else _there(what, version),
                        _NEXT,
                    )
                )


def _there(what: str, version: str) -> str:
    return "the lock's is {0}".format(version) if what in ("python", "python_abi") else "the target has " + version


def _some(packages: Sequence[Package]) -> str:
    names: List[str] = [package.name for package in packages]
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
