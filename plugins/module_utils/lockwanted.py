# SPDX-License-Identifier: Apache-2.0
"""Which locks a declaration wants, one for each environment and target, and what each would be made from.

Reads the specs, on the controller only. The readers of YAML and TOML are handed in: this is standard library alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import lockinputs, lockspec, spec_files
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError, SpecError
from ansible_collections.condafleet.core.plugins.module_utils.host_auth import refuse_login


@dataclass(frozen=True)
class Wanted:
    """One lock to have. `given` says that the user brought the pair: it is taken as it is, never made.

    `tos` says whether Anaconda's terms of service were accepted, for whatever a lock may hold.
    """

    environment: str
    target: str
    definition: Dict[str, str]
    spec: Dict[str, Any]
    channels: List[str]
    inputs: Dict[str, Any]
    conda_lock: str
    pylock: str
    given: bool = False
    tos: str = "decline"
    indexes: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class Wanting:
    """What all environments of a declaration have in common."""

    targets: Mapping[str, Mapping[str, Any]]
    locks_dir: str
    read_yaml: spec_files.Reader
    read_toml: spec_files.Reader
    channels: Sequence[str]
    tos: str
    sources: str
    indexes: Sequence[str] = ()
    python: str = spec_files.DEFAULT_PYTHON


def wanted(entry: Mapping[str, Any], common: Wanting) -> List[Wanted]:
    """One Wanted for each target of an entry of environments_list. Specs given as paths are absolute by now."""
    name = str(entry["name"])
    python = str(entry.get("python") or common.python)
    found = []
    python_counts = False
    for target in entry["targets"]:
        own = spec_files.spec_for(entry, target)
        definition = _definition(name, target, common.targets)
        pair = lockspec.pair_of(own)
        if pair:
            found.append(_given(entry, target, definition, pair, common.tos))
            continue
        document = spec_files.document_of(name, own, python, common.read_yaml, common.read_toml)
        python_counts = python_counts or spec_files.takes_python(document)
        found.append(_to_solve(entry, target, definition, document, common))
    if entry.get("python") and not python_counts:
        raise SpecError(
            "environments_list: {0}: python: {1} is not accepted. Accepted: with a requirements.txt or a pylock.toml, "
            "which name none. Next: name python in the spec's conda packages, and drop python here.".format(
                name, entry["python"]
            )
        )
    return found


def _given(
    entry: Mapping[str, Any], target: str, definition: Dict[str, str], pair: Mapping[str, str], tos: str
) -> Wanted:
    name = str(entry["name"])
    spec = {"variables": lockspec.variables_of(entry.get("variables"), "environments_list: {0}".format(name))}
    return Wanted(name, target, definition, spec, [], {}, pair["conda_lock"], pair["pylock"], given=True, tos=tos)


def _to_solve(
    entry: Mapping[str, Any], target: str, definition: Dict[str, str], document: Any, common: Wanting
) -> Wanted:
    name = str(entry["name"])
    spec = lockspec.normalise(name, document, variables=entry.get("variables"), channels=entry.get("channels"))
    channels: List[str] = []
    if "explicit" in spec:
        # Each URL names its channel.
        urls = [one.split("#")[0] for one in spec["explicit"]]
        lockspec.check_packages("environments_list: {0}: explicit list".format(name), urls, common.tos)
    else:
        channels = lockspec.check_channels(name, spec, spec["channels"] or list(common.channels), common.tos)
    indexes = _indexes(entry, common.indexes) if spec["pip"] else []
    made_from = lockspec.inputs_of(spec)
    if indexes:
        made_from["indexes"] = indexes
    inputs = lockinputs.inputs(
        name, target, spec=made_from, definition=definition, channels=channels, sources=common.sources
    )
    stem = os.path.join(common.locks_dir, name, target)
    return Wanted(
        name,
        target,
        definition,
        spec,
        channels,
        inputs,
        stem + ".conda-lock.yml",
        stem + ".pylock.toml",
        tos=common.tos,
        indexes=indexes,
    )


def _indexes(entry: Mapping[str, Any], declared: Optional[Sequence[str]]) -> List[str]:
    """The environment's own indexes, or those of all; without a slash at the end, which means nothing to an index."""
    own = entry.get("indexes")
    where = "environments_indexes" if own is None else "environments_list ({0}).indexes".format(entry["name"])
    chosen = [str(url).rstrip("/") for url in (declared if own is None else own) or ()]
    for url in chosen:
        refuse_login(where, url)
    return list(dict.fromkeys(chosen))


def _definition(name: str, target: str, targets: Mapping[str, Mapping[str, Any]]) -> Dict[str, str]:
    definition = targets.get(target)
    if not definition or not definition.get("platform"):
        raise FleetError(
            "environments_list: {0}: target {1!r} is not defined. Accepted: {2}. Next: add it to "
            "environments_targets.".format(name, target, ", ".join(sorted(targets)) or "none is")
        )
    return {str(key): str(value) for key, value in definition.items() if value not in (None, "")}
