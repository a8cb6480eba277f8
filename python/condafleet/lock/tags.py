"""Which wheel of several a target takes: the best by its tags, as pip would choose on the node."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

MACHINES = {"linux-64": "x86_64", "linux-aarch64": "aarch64"}
# The manylinux tags of old, by the glibc that each stands for.
_LEGACY = {17: "2014", 12: "2010", 5: "1"}


def best_wheel(
    wheels: Iterable[Mapping[str, Any]], definition: Mapping[str, str], python: str
) -> Mapping[str, Any] | None:
    """The wheel that fits the target and the python best; None where none does."""
    ranks = _ranks(definition["platform"], glibc_minor(definition), ".".join(python.split(".")[:2]))
    best: tuple[int, Mapping[str, Any]] | None = None
    for wheel in wheels:
        try:
            has = parse_wheel_filename(filename(wheel))[3]
        except InvalidWheelFilename:
            continue
        rank = min((ranks[tag] for tag in has if tag in ranks), default=None)
        if rank is not None and (best is None or rank < best[0]):
            best = rank, wheel
    return best[1] if best else None


@cache
def _ranks(platform: str, glibc: int, python: str) -> dict[Tag, int]:
    """What a wheel for this target and python may be marked with; the best has the lowest rank."""
    machine = MACHINES[platform]
    version = Version(python).release[:2]
    platforms = []
    for minor in range(glibc, 4, -1):
        platforms.append(f"manylinux_2_{minor}_{machine}")
        if minor in _LEGACY:
            platforms.append(f"manylinux{_LEGACY[minor]}_{machine}")
    platforms.append(f"linux_{machine}")
    interpreter = f"cp{version[0]}{version[1]}"
    ranked = [*cpython_tags(version, platforms=platforms), *compatible_tags(version, interpreter, platforms)]
    return {tag: rank for rank, tag in reversed(list(enumerate(ranked)))}


def glibc_minor(definition: Mapping[str, str]) -> int:
    return int(Version(definition.get("glibc") or "2.17").minor)


def filename(wheel: Mapping[str, Any]) -> str:
    """A wheel's own name, without what its URL escapes."""
    name = str(wheel.get("name") or wheel.get("url") or wheel["path"]).rsplit("/", 1)[-1]
    return name.replace("%2B", "+").replace("%2b", "+").replace("%21", "!")
