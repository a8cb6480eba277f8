# SPDX-License-Identifier: Apache-2.0
"""Which generation each node goes back to: decided for the whole fleet at once, from what each node keeps. Pure.

A rollback undoes the newest switch, and only that: run again, it changes nothing. A lock that was built anew (a repair)
is no other state of things, so what counts is the lock, and of one lock whichever generation the node has.

Without names it is what the newest run of the fleet brought: its locks are undone on every node that has them by its
newest switch, in whatever run that node got them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.environment_adopt import ADOPTED
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError, InputError
from ansible_collections.condafleet.core.plugins.module_utils.generation_drift import in_words
from ansible_collections.condafleet.core.plugins.module_utils.generation_history import times
from ansible_collections.condafleet.core.plugins.module_utils.generation_newest import (
    Lock,
    brought,
    lock_of,
    newest_switch,
)
from ansible_collections.condafleet.core.plugins.module_utils.generations import parse_name
from ansible_collections.condafleet.core.plugins.module_utils.node_names import folded

_LOCK = re.compile(r"(?P<environment>.+)-(?P<digest12>[0-9a-f]{12})")


@dataclass
class Decision:
    """moves: {node: {ENV: generation}}; missing: {node: why not}; kept: {node: {ENV: why nothing is to be done}}."""

    moves: Dict[str, Dict[str, str]] = field(default_factory=dict)
    missing: Dict[str, List[str]] = field(default_factory=dict)
    kept: Dict[str, Dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """What an environment goes to, or stays at (None), and why; or that it can't."""

    generation: Optional[str]
    why: str
    possible: bool = True


def decide(
    nodes: Mapping[str, Mapping[str, Any]], environments: Sequence[str] = (), to: Optional[str] = None
) -> Decision:
    """`nodes` is {node: what conda_facts returned, with all fingerprints}; `to` a generation, a lock `ENV-DIGEST12`, or
    `adopted` for what stood there before the named environments were adopted.

    InputError for a name that no node knows; FleetError where nodes would end on different locks.
    """
    if to == ADOPTED:
        return _before_adoption(nodes, environments)
    wanted = _wanted(to)
    names = _names(nodes, environments, wanted)
    newest = {
        node: {name: found for name in names for found in [newest_switch(conda, name)] if found}
        for node, conda in nodes.items()
    }
    asked = bool(environments or wanted)
    undone = brought(newest)
    decision = Decision()
    # Who went back already, and who has never had another lock: {(ENV, node): the lock that it has}.
    back: Dict[Tuple[str, str], Lock] = {}
    new: Dict[Tuple[str, str], Lock] = {}
    for node, conda in nodes.items():
        for name, one in newest[node].items():
            current = _current(conda, name)
            if not asked and one.lock not in undone:
                choice = Choice(None, "the newest run did not bring %s-%s" % one.lock)
            elif current is None:
                choice = Choice(None, *_without_link(conda, name, asked))
            elif wanted:
                choice = _choose(conda, name, wanted, to)
            elif lock_of(current) != one.lock:
                choice = Choice(None, "it was rolled back already")
                back[name, node] = lock_of(current)
            elif one.before is None:
                choice = Choice(None, "nothing was current before %s" % current, possible=not asked)
                new[name, node] = one.lock
            else:
                choice = _choose(conda, name, lock_of(one.before), one.before)
            _enter(decision, node, name, choice, current)
    if not wanted:
        _strand(nodes, decision, new)
        _refuse_mixed(nodes, decision, back)
    return decision


def steps(nodes: Mapping[str, Mapping[str, Any]], decision: Decision) -> Dict[str, Dict[str, Dict[str, Any]]]:
    """{node: {ENV: {before, generation, digest, target}}} of the nodes that move: where they come from and go to."""
    found: Dict[str, Dict[str, Dict[str, Any]]] = {}
    for node, moves in decision.moves.items():
        receipts = {one["name"]: one["receipt"] or {} for one in nodes[node]["generations"]}
        for name, generation in moves.items() if node not in decision.missing else ():
            receipt = receipts.get(generation, {})
            found.setdefault(node, {})[name] = {
                "before": _current(nodes[node], name),
                "generation": generation,
                "digest": receipt.get("digest"),
                "target": receipt.get("target"),
            }
    return found


def _enter(decision: Decision, node: str, name: str, choice: Choice, current: Optional[str]) -> None:
    if choice.generation and choice.generation != current:
        decision.moves.setdefault(node, {})[name] = choice.generation
    elif choice.possible:
        decision.kept.setdefault(node, {})[name] = choice.why
    else:
        decision.missing.setdefault(node, []).append("environment %s: %s." % (name, choice.why))


def _before_adoption(nodes: Mapping[str, Mapping[str, Any]], environments: Sequence[str]) -> Decision:
    """Nodes on which nothing was adopted stay as they are: not every node had made the environment by hand."""
    held = {node: conda["environments"] for node, conda in nodes.items()}
    known = sorted({name for found in held.values() for name, state in found.items() if state.get("adopted")})
    if not environments or not set(environments) <= set(known):
        raise InputError(
            "environments",
            ", ".join(environments) or "no name",
            "those adopted here: %s" % (", ".join(known) or "none"),
            "name those that are to be again what was made by hand",
        )
    decision = Decision()
    for node, found in held.items():
        for name in environments:
            state = found.get(name) or {}
            if state.get("adopted") and state.get("generation"):
                decision.moves.setdefault(node, {})[name] = ADOPTED
            else:
                decision.kept.setdefault(node, {})[name] = "nothing was adopted for it, or that stands there again"
    return decision


def _wanted(to: Optional[str]) -> Optional[Lock]:
    if not to:
        return None
    parsed = parse_name(to)
    if parsed:
        return parsed.environment, parsed.digest12
    found = _LOCK.fullmatch(to)
    if not found:
        raise InputError(
            "to", to, "a generation, such as pytorch-0123456789ab-1, or without the number at its end", "correct it"
        )
    return found.group("environment"), found.group("digest12")


def _names(nodes: Mapping[str, Any], environments: Sequence[str], wanted: Optional[Lock]) -> List[str]:
    known = sorted({name for conda in nodes.values() for name in conda["environments"] if _current(conda, name)})
    asked = list(environments) or ([wanted[0]] if wanted else known)
    for name in asked:
        if name not in known:
            raise InputError(
                "environments", name, "environments of condafleet on these nodes: %s" % (", ".join(known) or "none"),
                "correct it",
            )  # fmt: skip
    if wanted and asked != [wanted[0]]:
        raise InputError(
            "to", "-".join(wanted), "a generation of the one environment that is named", "name %s" % wanted[0]
        )
    return asked


def _without_link(conda: Mapping[str, Any], name: str, asked: bool) -> Tuple[str, bool]:
    """(Why, whether it may stay so) of an environment that the node had, and whose link is not there."""
    if not conda["history"][name][-1]["generation"]:
        return "it was removed from this node, or given back", True
    state = conda["environments"].get(name)
    if state is None:
        found = "its link was removed by hand"
    else:
        found = "in the place of its link stands %s" % ("a folder" if not state.get("target") else state["target"])
    return found + ". Next: see to it (provision makes the link again), or leave the node out (--limit)", not asked


def _choose(conda: Mapping[str, Any], name: str, lock: Lock, exactly: Optional[str]) -> Choice:
    """The generation of this lock that was named, that is current, or the newest that is whole: in this order."""
    whole = _whole(conda, name, lock)
    for one in (exactly, _current(conda, name), *reversed(whole)):
        if one in whole:
            return Choice(one, "it is current")
    kept = ", ".join(_described(conda, record) for record in _finished(conda, name)) or "none"
    return Choice(None, "no whole generation of %s-%s is kept (kept are: %s)" % (*lock, kept), possible=False)


def _whole(conda: Mapping[str, Any], name: str, lock: Lock) -> List[str]:
    """By serial, so that the last is the newest."""
    records = [record for record in _finished(conda, name) if lock_of(record["name"]) == lock and _is_whole(record)]
    return [record["name"] for record in sorted(records, key=lambda record: record["serial"])]


def _is_whole(record: Mapping[str, Any]) -> bool:
    """What was found damaged once, and noted, is `drifted` however closely it was looked at now."""
    return not record["drifted"] and not record.get("broken")


def _finished(conda: Mapping[str, Any], name: str) -> List[Mapping[str, Any]]:
    return [record for record in conda["generations"] if record["environment"] == name and record["finished"]]


def _described(conda: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    notes = []
    if record["name"] == _current(conda, record["environment"]):
        notes.append("current")
    if record["drifted"]:
        found = in_words(record)
        notes.append("drifted: %s" % found if found else "drifted")
    if record.get("broken"):
        notes.append("broken")
    if record["name"] not in times(conda["history"].get(record["environment"]) or []):
        notes.append("never current")
    return "%s (%s)" % (record["name"], ", ".join(notes)) if notes else str(record["name"])


def _current(conda: Mapping[str, Any], name: str) -> Optional[str]:
    return (conda["environments"].get(name) or {}).get("generation")


def _strand(nodes: Mapping[str, Any], decision: Decision, new: Mapping[Tuple[str, str], Lock]) -> None:
    """Who has nothing to go back to is missing where others leave its lock, and stays as it is where none does."""
    left = {lock_of(str(_current(nodes[node], name))) for node, moves in decision.moves.items() for name in moves}
    for (name, node), lock in new.items():
        why = decision.kept.get(node, {}).get(name)
        if why and lock in left:
            del decision.kept[node][name]
            said = "environment %s: %s, and other nodes leave that. Next: leave this one out (--limit)." % (name, why)
            decision.missing.setdefault(node, []).append(said)


def _refuse_mixed(nodes: Mapping[str, Any], decision: Decision, back: Mapping[Tuple[str, str], Lock]) -> None:
    """Nodes of one target that end on different locks would make a fleet that is mixed."""
    ends: Dict[Tuple[str, str], Dict[Lock, List[str]]] = {}
    for node, moves in decision.moves.items():
        for name, generation in moves.items():
            ends.setdefault((name, _target(nodes[node], generation)), {}).setdefault(lock_of(generation), []).append(
                node
            )
    for (name, node), lock in back.items():
        place = name, _target(nodes[node], str(_current(nodes[node], name)))
        if place in ends:
            ends[place].setdefault(lock, []).append(node)
    for (name, target), locks in sorted(ends.items()):
        if len(locks) > 1:
            told = "; ".join("%s-%s on %s" % (*lock, folded(some)) for lock, some in sorted(locks.items()))
            raise FleetError(
                "environment %s: nodes of the target %s would end on different locks: %s. Accepted: one for all. "
                "Next: name one of these (--to %s-%s), or leave nodes out (--limit). Nothing was switched, on any node."
                % (name, target, told, *sorted(locks)[0])
            )


def _target(conda: Mapping[str, Any], generation: str) -> str:
    receipt = next((one["receipt"] for one in conda["generations"] if one["name"] == generation), None)
    return str((receipt or {}).get("target"))
