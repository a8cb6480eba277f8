# SPDX-License-Identifier: Apache-2.0
"""Generations: their names, which one is current, and what stands on a node (files are read, nothing else)."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils import files, generation_drift
from ansible_collections.condafleet.core.plugins.module_utils.clock import stamp

RECEIPT = ".condafleet.json"
# What `built` leaves for `tested`: the receipt to be, without the smoke test. Such a prefix is never used.
DRAFT = ".condafleet-built.json"
# A draft whose smoke test failed: kept to look at, and built afresh by the next run.
FAILED = ".condafleet-failed.json"
# What a name ends with while what it is the name of is removed.
REMOVING = ".removing"

_NAME = re.compile(r"^(?P<environment>.+)-(?P<digest12>[0-9a-f]{12})-(?P<serial>[1-9][0-9]*)$")


@dataclass(frozen=True)
class GenerationName:
    """`pytorch-0123456789ab-2`: environment, start of the lock's digest, and how often that was built here."""

    environment: str
    digest12: str
    serial: int

    def __str__(self) -> str:
        return "%s-%s-%d" % (self.environment, self.digest12, self.serial)


def parse_name(name: str) -> Optional[GenerationName]:
    found = _NAME.match(name)
    if not found:
        return None
    return GenerationName(found.group("environment"), found.group("digest12"), int(found.group("serial")))


def next_name(existing: Iterable[str], environment: str, digest: str) -> GenerationName:
    """The name for the next build of this lock: its serial is above those of `existing`.

    These are all that are here, and all that the history knows: by its name is told what was current before.
    """
    wanted = digest[:12]
    serials = [
        parsed.serial
        for parsed in map(parse_name, existing)
        if parsed and (parsed.environment, parsed.digest12) == (environment, wanted)
    ]
    return GenerationName(environment, wanted, max(serials, default=0) + 1)


def usable(generations: Sequence[Mapping[str, Any]], environment: str, digest: str) -> Optional[Dict[str, Any]]:
    """The newest finished generation of this lock that is still whole, among the records of `observe_environments`."""
    found = [
        dict(generation)
        for generation in generations
        if generation["environment"] == environment
        and generation["finished"]
        and (generation["receipt"] or {}).get("digest") == digest
        and not generation["drifted"]
        and not generation.get("broken")
    ]
    return max(found, key=lambda generation: generation["serial"]) if found else None


def generations_dir(root: str) -> str:
    return os.path.join(root, "generations")


def read_receipt(path: str) -> Optional[Dict[str, Any]]:
    """The receipt of a generation, or None: then it is unfinished, and never used."""
    receipt = files.read_json(os.path.join(path, RECEIPT))
    return receipt if isinstance(receipt, dict) else None


def link_state(prefix: str, root: str, name: str) -> Optional[Dict[str, Any]]:
    """What `PREFIX/envs/NAME` is: {kind: link|directory|broken, target, generation, reaches, moved}, or None.

    `generation` is set only where the link is ours: it names a generation of this ROOT that was made for NAME. Any
    other link that leads to one, such as a user's alias, has it in `reaches` alone.
    `moved` is when it was made to lead there: a link is never changed, only replaced.
    """
    path = os.path.join(prefix, "envs", name)
    if not os.path.lexists(path):
        return None
    if not os.path.islink(path):
        return {"kind": "directory", "target": None, "generation": None, "reaches": None, "moved": None}
    target = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    reaches = _reached(root, target)
    parsed = parse_name(os.path.basename(target))
    ours = parsed is not None and parsed.environment == name and parsed == parse_name(reaches or "")
    return {
        "kind": "link" if os.path.isdir(target) else "broken",
        "target": target,
        "generation": os.path.basename(target) if ours else None,
        "reaches": reaches,
        "moved": stamp(os.lstat(path).st_mtime),
    }


def _reached(root: str, target: str) -> Optional[str]:
    """The name of the generation that a path leads to, or into; also where the generation itself is gone."""
    home = generations_dir(root)
    for path, base in ((target, os.path.normpath(home)), (os.path.realpath(target), os.path.realpath(home))):
        if path.startswith(base + "/"):
            return path[len(base) + 1 :].split("/")[0]
    return None


def observe_generation(
    root: str, name: str, with_fingerprint: bool, full_within: Optional[float] = None
) -> Optional[Dict[str, Any]]:
    """One generation as conda_facts shows it; None for a name that is no generation's.

    With `full_within`, seconds, all its files are compared with their list, beside its packages with the fingerprint.
    """
    parsed = parse_name(name)
    path = os.path.join(generations_dir(root), name)
    if not parsed or os.path.islink(path) or not os.path.isdir(path):
        return None
    receipt = read_receipt(path)
    found = dict.fromkeys(("fingerprint", "drifted", "broken", "drift"))
    damage = generation_drift.damage_of(path) if receipt else None
    if with_fingerprint and receipt:
        found = generation_drift.look(path, receipt, full_within)
    elif damage:
        found = generation_drift.known(damage)
    return {
        "name": name,
        "environment": parsed.environment,
        "digest12": parsed.digest12,
        "serial": parsed.serial,
        "path": path,
        "made": _made(path),
        "finished": receipt is not None,
        "receipt": receipt,
        **found,
    }


def _made(path: str) -> str:
    """When it was finished, or how far it got: the time of the newest mark that the steps leave, or its own."""
    for mark in (RECEIPT, DRAFT, FAILED, ""):
        with contextlib.suppress(OSError):
            return stamp(os.stat(os.path.join(path, mark)).st_mtime)
    return stamp(0)


def list_names(root: str) -> List[str]:
    """The names below ROOT/generations, sorted; empty where there is no ROOT."""
    try:
        return sorted(os.listdir(generations_dir(root)))
    except (FileNotFoundError, NotADirectoryError):
        return []


def removing(root: str) -> List[str]:
    """What removals that were cut short have left below ROOT/generations."""
    names = [name for name in list_names(root) if name.endswith(REMOVING)]
    return [name for name in names if parse_name(name[: -len(REMOVING)])]


def observe_environments(
    prefix: str, root: str, names: Optional[Sequence[str]] = None, full_within: Optional[float] = None
) -> Tuple[Dict[str, Dict[str, Any]], List[Dict[str, Any]]]:
    """(environments, generations) of a node, as docs/architecture.md says. Quick: fingerprints only current ones.

    With `names`, only these environments are looked at. With `full_within`, the files of current ones are compared.
    Where one differs, its lock's other generations are looked at alike: they share files by hard links, and one of
    them is what a repair would take.
    """
    try:
        present = sorted(os.listdir(os.path.join(prefix, "envs")))
    except (FileNotFoundError, NotADirectoryError):
        present = []
    environments: Dict[str, Dict[str, Any]] = {}
    for name in present:
        # Hidden names are conda's own (.conda_envs_dir_test) or a switch that was cut short.
        if name.startswith(".") or (names is not None and name not in names):
            continue
        state = link_state(prefix, root, name)
        if state:
            environments[name] = state
    current = {state["generation"] for state in environments.values() if state["generation"]}
    generations = []
    for name in list_names(root):
        parsed = parse_name(name)
        if not parsed or (names is not None and parsed.environment not in names):
            continue
        record = observe_generation(root, name, name in current, full_within)
        if record:
            generations.append(record)
    return environments, [_doubted(root, record, generations, full_within) for record in generations]


def _doubted(
    root: str, record: Dict[str, Any], all_of_them: Sequence[Mapping[str, Any]], full_within: Optional[float]
) -> Dict[str, Any]:
    """The record of a finished generation, looked at closely where one of the same lock has drifted."""
    lock = (record["environment"], record["digest12"])
    suspect = any(one["drifted"] and (one["environment"], one["digest12"]) == lock for one in all_of_them)
    if not suspect or not record["finished"] or record["drift"] is not None:
        return record
    return observe_generation(root, record["name"], True, full_within) or record
