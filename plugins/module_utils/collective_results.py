# SPDX-License-Identifier: Apache-2.0
"""What came of all-reduces over several nodes: who dropped out by a fault of its own, and which pairs are bad. Pure.

A result of an attempt (collective_plan.py) on a host is what the module collective returns for `finished`, or
{state: refused|busy|unreachable, reason}.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import fleet_limits, node_pairs

# Of what the script does by itself, before it meets the others.
OWN_STEPS = ("importing", "device")
# By this one NCCL's own watchdog ends a process that has waited for others: it is not that process' fault.
WATCHDOG_SIGNAL = 6
# Of PyTorch, by the beginning of what it says: this node's GPU, and not the network.
OWN_ERRORS = ("OutOfMemoryError", "AcceleratorError", "RuntimeError: CUDA error")
TAIL = 300


class Measured:
    """A pair as it was measured: `gbps` is null where it did not come to its end, `why` says how that was."""

    def __init__(self, gbps: Optional[float], delay: Optional[float] = None, why: str = "") -> None:
        self.gbps, self.delay, self.why = gbps, delay, why


Pairs = Dict[node_pairs.Pair, Measured]


def complete(attempt: Mapping[str, Any]) -> bool:
    """Whether every member has come to the end of it."""
    return all((_result(attempt, host) or {}).get("state") == "done" for host in attempt["members"])


def bandwidth(attempt: Mapping[str, Any]) -> Optional[float]:
    """What all have reached together, by the one that saw the least, in GB/s."""
    found = [(outcome_of(attempt, host).get("together") or {}).get("bus_gbps") for host in attempt["members"]]
    return min([value for value in found if value is not None], default=None)


def own_faults(attempt: Mapping[str, Any]) -> Dict[str, str]:
    """{HOST: why it dropped out}, of those that did so before the others, or by something of their own."""
    others_said = {host for host in attempt["members"] if (_result(attempt, host) or {}).get("outcome") is not None}
    found = {}
    for host in attempt["members"]:
        why = _own_fault(_result(attempt, host), attempt["jobs"][host], bool(others_said - {host}))
        if why:
            found[host] = why
    if attempt["members"][0] in found:
        # The others meet there, and end when it ends. Who has a fault of its own beside has it again without it.
        return {
            host: why for host, why in found.items() if host == attempt["members"][0] or not _never_met(attempt, host)
        }
    return found


def busy(attempts: Sequence[Mapping[str, Any]]) -> List[str]:
    """The hosts whose GPUs were taken meanwhile."""
    hosts = [(one, host) for one in attempts for host in one["members"]]
    return [host for one, host in hosts if (_result(one, host) or {}).get("state") == "busy"]


def how_it_ended(attempt: Mapping[str, Any]) -> str:
    """Why an attempt has not come to its end, in the words of the first member that has any."""
    for host in attempt["members"]:
        error = outcome_of(attempt, host).get("error")
        if error:
            return "%s: %s (%s)" % (host, _plain(error), outcome_of(attempt, host).get("step"))
    for host in attempt["members"]:
        result = _result(attempt, host) or {}
        if result.get("state") == "failed" and not result.get("step"):
            return "%s: the others were not met within %d seconds" % (host, attempt["jobs"][host]["join"])
    return "it did not come to its end within %d seconds" % attempt["seconds"]


def pairs(attempts: Sequence[Mapping[str, Any]]) -> Pairs:
    """What each pair has come to; the last time counts."""
    found: Pairs = {}
    for attempt in attempts:
        members = list(attempt["members"])
        if attempt["kind"] == "pair" or len(members) == 2:
            one, other = sorted(members)
            whole = complete(attempt)
            value = bandwidth(attempt) if whole else None
            sweep = outcome_of(attempt, members[0]).get("together")
            found[(one, other)] = Measured(value, _delay(sweep), "" if whole else how_it_ended(attempt))
            continue
        sides: Pairs = {}
        for host in members:
            for entry in outcome_of(attempt, host).get("pairs") or []:
                one, other = sorted((host, members[entry["with"]]))
                if (one, other) not in sides or entry["bus_gbps"] < (sides[(one, other)].gbps or 0):
                    sides[(one, other)] = Measured(entry["bus_gbps"], _delay(entry))
        found.update(sides)
    return found


def culprits(attempts: Sequence[Mapping[str, Any]], limits: Mapping[str, float]) -> node_pairs.Verdict:
    """Who makes pairs bad: those that failed, and those that are slower than one of the two allows."""
    bad = {}
    for (one, other), measured in pairs(attempts).items():
        least = max(limits.get(one, 0.0), limits.get(other, 0.0))
        bad[(one, other)] = measured.gbps is None or measured.gbps < least
    return node_pairs.judge(bad)


def of_host(found: Pairs, host: str) -> Dict[str, Measured]:
    """{the other: measured}."""
    return {other if one == host else one: value for (one, other), value in found.items() if host in (one, other)}


def best(found: Mapping[str, Measured]) -> Optional[float]:
    """A node is as good as its best pair: of a bad one the other may be the reason."""
    return max([value.gbps for value in found.values() if value.gbps is not None], default=None)


def odd(found: Pairs, hosts: Sequence[str], deviations: float, gap_percent: float) -> Dict[str, fleet_limits.Band]:
    """{HOST: the band that its best pair stays below}, of those whose best is not like the others'."""
    bests = {host: best(of_host(found, host)) for host in hosts}
    known = {host: value for host, value in bests.items() if value is not None}
    return fleet_limits.outliers(known, "higher", deviations, gap_percent)


def outcome_of(attempt: Mapping[str, Any], host: str) -> Mapping[str, Any]:
    return (_result(attempt, host) or {}).get("outcome") or {}


def _result(attempt: Mapping[str, Any], host: str) -> Optional[Mapping[str, Any]]:
    found: Optional[Mapping[str, Any]] = (attempt.get("results") or {}).get(host)
    return found


def _own_fault(result: Optional[Mapping[str, Any]], job: Mapping[str, Any], others_said: bool) -> Optional[str]:
    if result is None:
        return "it could not be reached any more"
    state = result["state"]
    if state in ("refused", "busy", "unreachable"):
        return str(result["reason"])
    if state == "done":
        return None
    if state == "lost":
        return "nothing is left of the job that was started there: the node was restarted, or somebody removed it"
    outcome = result.get("outcome")
    if outcome:
        own = outcome["step"] in OWN_STEPS or str(outcome["error"]).startswith(OWN_ERRORS)
        return "%s, while %s" % (_plain(outcome["error"]), outcome["step"]) if own else None
    if result["why"] == "asked":
        return None  # it was not left to wait for one that was never started
    if result["why"] is None:
        return "the job there was killed together with its guard (out of memory, or KillUserProcesses of logind)"
    if result["why"] == "deadline":
        at = "at the step %s" % result["step"] if result.get("step") else "before it met the others"
        return "it hung %s, and was ended at the time limit" % at if others_said else None
    if result.get("step"):
        status = _status(result)
        if job["backend"] == "nccl" and status == -WATCHDOG_SIGNAL and result["step"] not in OWN_STEPS:
            return None
        return "its process there %s" % _exit(status)
    # torchrun itself ended, and did not wait for the others as long as it was to.
    early = (result.get("seconds") or 0) < 0.8 * job["join"]
    return "torchrun ended with status %s: %s" % (result["status"], result["log"][-TAIL:]) if early else None


def _never_met(attempt: Mapping[str, Any], host: str) -> bool:
    """Whether its torchrun ended before any process of it was there."""
    result = _result(attempt, host) or {}
    return result.get("state") == "failed" and result.get("why") == "ended" and not result.get("step")


def _status(result: Mapping[str, Any]) -> Optional[int]:
    """How the process ended, as torchrun says it in the end of what it prints."""
    found = re.findall(r"exitcode\s*:?\s*(-?\d+)", str(result.get("log") or ""))
    return int(found[-1]) if found else None


def _exit(status: Optional[int]) -> str:
    if status is not None and status < 0:
        return "was ended by signal %d (9: out of memory, or somebody killed it)" % -status
    return "ended without a word%s" % ("" if status is None else ", with status %d" % status)


def _delay(sweep: Optional[Mapping[str, Any]]) -> Optional[float]:
    sizes: List[Any] = list((sweep or {}).get("sizes") or [])
    return sizes[0]["seconds"] if sizes else None


def _plain(error: str) -> str:
    """An error of torch's without the places in its source."""
    text = re.sub(r"\[/[^\]]*\]\s*", "", str(error))
    return text.split(" This is typically")[0].split(" [Gloo]")[0].rstrip(". ")[:TAIL]
