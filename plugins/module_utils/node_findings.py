# SPDX-License-Identifier: Apache-2.0
"""One node's findings, gathered from what the steps of a validation left in its variables. Pure."""

from __future__ import annotations

import functools
import json
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import (
    findings,
    fleet_memory,
    former_generation,
    training_findings,
)
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import LEVELS
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Asked, asked
from ansible_collections.condafleet.core.plugins.module_utils.fleet_curves import CURVE
from ansible_collections.condafleet.core.plugins.module_utils.fleet_nodes import (
    DEVIATIONS,
    GAP_PERCENT,
    Node,
    Training,
)
from ansible_collections.condafleet.core.plugins.module_utils.fleet_verdicts import merged
from ansible_collections.condafleet.core.plugins.module_utils.mappings import at
from ansible_collections.condafleet.core.plugins.module_utils.node_standing import checks_digest
from ansible_collections.condafleet.core.plugins.module_utils.validation_record import record_of

Finding = Dict[str, Any]
CHECKED, LOOKED, TRAINED = "__validation_checked", "__validation_node", "__validation_trained"
GROUPED, FORMER, FORMER_TRAINED = "__validation_grouped", "__validation_former", "__validation_former_trained"
OBSERVED, JUDGED = "__validation_observed", "__validation_judged"
# As a declaration calls what decides who is odd.
WIDTH = {"deviations": DEVIATIONS, "gap_percent": GAP_PERCENT}
# A message names this many findings; the rest is in the report and on the node.
SENTENCES = 4
# And a sentence this many checks, or subjects.
NAMES = 3


class Known(NamedTuple):
    """What is known of a node. `lost` says why it dropped out, before it was judged; None where it did not."""

    node: Node
    identity: Dict[str, Any]
    declared: Dict[str, Any]
    started: Optional[str]
    lost: Optional[str]


def known_of(variables: Mapping[str, Any], alive: bool = True) -> Known:
    """All that the tasks before the verdicts registered of a host. `alive` says whether it still takes part.

    A node's answer is its own word: one that can't be read is that node's ERROR, and takes no verdict from the others.
    """
    try:
        return _known_of(variables, alive)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        known = _known_of({key: value for key, value in variables.items() if key == CHECKED}, alive)
        return known._replace(lost="what it answered can't be read (%s: %s)" % (type(error).__name__, error))


def _known_of(variables: Mapping[str, Any], alive: bool) -> Known:
    declared = at(variables, CHECKED, "declared")
    looked = at(variables, LOOKED)
    identity = at(looked, "identity")
    wanted = _asked(declared, identity)
    results = _results(variables, TRAINED)
    told = looked.get("findings") or []
    found = [dict(one) for one in told if findings.is_finding(one)]
    odd = "%d of its findings have not the form of one" % (len(told) - len(found)) if len(found) < len(told) else None
    for result in results:
        found.extend(training_findings.findings_of(result, wanted))
    grouped = variables.get(GROUPED)
    found.extend(dict(one) for one in (grouped if isinstance(grouped, (list, tuple)) else ()))
    learnt = fleet_memory.rows_of(looked.get("learnt"))
    trained = {one.subject: one for one in map(_training, results) if one}
    group = str(declared.get("group") or "fleet")
    width = [float(declared.get(key, default)) for key, default in WIDTH.items()]
    node = Node(found, identity, trained, group, CURVE in wanted, learnt, *width)
    return Known(node, identity, declared, looked.get("began"), _lost(variables, alive) or odd)


def record(known: Known, judged: Mapping[str, Any], run: str, ended: str) -> Dict[str, Any]:
    """What is kept and reported of a host: all its findings, with what the fleet said of them."""
    found = merged(known.node.findings, judged.get("findings") or [])
    level, digest = str(known.declared.get("level") or LEVELS[0]), checks_digest(known.declared)
    made = record_of(run, level, digest, found, known.identity, known.started, ended)
    # It may be worse than its findings: of a node that was not looked at to the end.
    return {**made, "verdict": judged.get("verdict") or made["verdict"]}


def with_former(found: Sequence[Finding], variables: Mapping[str, Any]) -> List[Finding]:
    """The findings with what the former generation of each environment came to, where that was asked for."""
    missing = at(variables, FORMER, "missing")
    former = _results(variables, FORMER_TRAINED)
    if not missing and not former:
        return list(found)
    wanted = _asked(at(variables, CHECKED, "declared"), at(variables, LOOKED, "identity"))
    told = {
        (one["check"], one["subject"]): (result, one)
        for result in former
        for one in training_findings.findings_of(result, wanted)
    }
    return former_generation.told(found, told, missing)


def complaints(found: Sequence[Finding], lost: Optional[str] = None) -> List[str]:
    """What whoever has to act reads, FAIL before ERROR: a sentence for each finding, or for all that say the same."""
    groups: Dict[Any, List[Finding]] = {}
    for verdict in findings.BAD:
        for one in found:
            if one["verdict"] == verdict:
                groups.setdefault((verdict, one["reason"], one["next_step"]), []).append(one)
    first = ["ERROR: it was not looked at to the end: %s" % lost] if lost else []
    return first + [_sentence(alike) for alike in groups.values()]


def _sentence(alike: Sequence[Finding]) -> str:
    """As findings.sentence; a sick driver is said once, not by each of the checks that it spoils."""
    if len(alike) == 1:
        return findings.sentence(alike[0])
    names = list(dict.fromkeys(one["check"] for one in alike))
    more = " and %d more" % (len(names) - NAMES) if len(names) > NAMES else ""
    subjects = list(dict.fromkeys(one["subject"] for one in alike))
    where = " and ".join(subjects) if len(subjects) <= NAMES else "%d of them" % len(subjects)
    where = "node" if len(names) > 1 else where
    return findings.sentence({**alike[0], "check": ", ".join(names[:NAMES]) + more, "subject": where})


def complaint(verdict: str, sentences: Sequence[str]) -> Optional[str]:
    """The same as one message of a few sentences, None for a node that has nothing to answer for."""
    if verdict not in findings.BAD:
        return None
    rest = len(sentences) - SENTENCES
    more = ["And %d more: see the report, or ROOT/validation/node.json on the node." % rest] if rest > 0 else []
    return " ".join([*sentences[:SENTENCES], *more])


def _asked(declared: Mapping[str, Any], identity: Mapping[str, Any]) -> Mapping[str, Asked]:
    if not declared.get("level"):
        return {}
    models = {str(gpu.get("name")) for gpu in identity.get("gpus") or []}
    model = models.pop() if len(models) == 1 else None
    return _asked_once(str(declared["level"]), json.dumps(declared.get("checks") or {}), model)


@functools.lru_cache(maxsize=64)
def _asked_once(level: str, checks: str, model: Optional[str]) -> Mapping[str, Asked]:
    """What nodes with the same declaration share: finding the limits of one takes 20 ms, for hundreds of them."""
    return asked(level, json.loads(checks), model)


def _results(variables: Mapping[str, Any], name: str) -> List[Dict[str, Any]]:
    """The results of trainings, of all kinds, that a loop registered."""
    items = at(variables, name).get("results") or []
    return [dict(item["result"]) for item in items if isinstance(item.get("result"), Mapping)]


def _training(result: Mapping[str, Any]) -> Optional[Training]:
    """How a training is compared with other nodes'; None for what is no training, or came to no end."""
    epochs = result.get("epochs") or []
    if result.get("kind", "train") != "train" or not epochs:
        return None
    same = [result.get(key) for key in ("versions", "device", "job_digest")]
    subject = "%s/%s" % (result.get("environment"), result.get("framework"))
    return Training(subject, json.dumps(same, sort_keys=True), [entry.get("loss") for entry in epochs])


def _lost(variables: Mapping[str, Any], alive: bool) -> Optional[str]:
    for name in (LOOKED, TRAINED, OBSERVED, FORMER, FORMER_TRAINED):
        told = at(variables, name)
        if told.get("failed") or told.get("unreachable"):
            items = [one for one in told.get("results") or [] if one.get("failed") or one.get("unreachable")]
            return str((items[0] if items else told).get("msg") or "its task failed")
    # Such as while the nodes of its group were tried together.
    return None if alive else "it failed, or could not be reached any more; the output of the run says where"
