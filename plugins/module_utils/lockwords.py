# Copyright condafleet maintainers
# SPDX-License-Identifier: Apache-2.0
"""What changes from one lock to another, in words: `numpy 2.1.0 → 2.2.0 (conda)`, `torch 2.8.0 is new (pip)`. Pure."""

from __future__ import annotations

from typing import Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Lock, Package
from ansible_collections.condafleet.core.plugins.module_utils.projects import project_named


def in_words(before: Optional[Lock], after: Lock) -> List[str]:
    """A line for each package that changes, is new or is gone, by name, then for variables; empty: nothing changes."""
    if before is None:
        conda = sum(package.manager == "conda" for package in after.packages)
        return ["the first lock: {0} conda packages, {1} wheels".format(conda, len(after.packages) - conda)]
    return _packages(before.packages, after.packages) + _variables(before.variables, after.variables)


def _packages(before: Sequence[Package], after: Sequence[Package]) -> List[str]:
    old, new = _by_project(before), _by_project(after)
    lines = []
    for name in sorted({*old, *new}):
        was, now = old.get(name, []), new.get(name, [])
        if len(was) == len(now) == 1:
            lines += _pair(was[0], now[0])
        else:
            keys = sorted({(one.manager, one.name) for one in (*was, *now)})
            for key in keys:
                mine = [next((one for one in side if (one.manager, one.name) == key), None) for side in (was, now)]
                lines += _pair(*mine)
    return lines


def _pair(was: Optional[Package], now: Optional[Package]) -> List[str]:
    if was is None:
        return ["{0} {1} is new ({2})".format(now.name, now.version, now.manager)] if now else []
    if now is None:
        return ["{0} {1} is gone ({2})".format(was.name, was.version, was.manager)]
    if (was.manager, was.name) != (now.manager, now.name):
        return ["{0} {1} ({2}) → {3} {4} ({5})".format(*_called(was), *_called(now))]
    if was.version != now.version:
        return ["{0} {1} → {2} ({3})".format(now.name, was.version, now.version, now.manager)]
    if was.build != now.build:
        return ["{0} {1}: build {2} → {3} ({4})".format(now.name, now.version, was.build, now.build, now.manager)]
    if was.sha256 != now.sha256:
        return ["{0} {1}: other content under the same name ({2})".format(now.name, now.version, now.manager)]
    return []


def _called(package: Package) -> List[str]:
    return [package.name, package.version, package.manager]


def _by_project(packages: Sequence[Package]) -> Dict[str, List[Package]]:
    """What moves from conda to pip, or back, is one change and not two."""
    found: Dict[str, List[Package]] = {}
    for package in packages:
        name = project_named(package.name) if package.manager == "conda" else package.name
        found.setdefault(name, []).append(package)
    return found


def _variables(before: Mapping[str, str], after: Mapping[str, str]) -> List[str]:
    lines = []
    for name in sorted({*before, *after}):
        if name not in before:
            lines.append("variable {0} = {1} is new".format(name, after[name]))
        elif name not in after:
            lines.append("variable {0} is gone".format(name))
        elif before[name] != after[name]:
            lines.append("variable {0}: {1} → {2}".format(name, before[name], after[name]))
    return lines
