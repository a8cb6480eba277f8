# SPDX-License-Identifier: Apache-2.0
"""Which nodes are tried together, and what next, by what came of it so far. Pure.

All nodes of a group go through one all-reduce together, and through rounds of pairs within the same processes: where
all is well, that is all there is. Where it fails, who has dropped out by a fault of its own is left out, and the others
are tried again; where nobody has, or it is too slow, rounds of pairs by themselves tell the culprit, and the others are
tried once more without it.

An attempt: {group, kind: together|pair, round, members: [HOST], seconds, pairs: [[[rank, rank]]], jobs: {HOST: the
module's `job`, without `pairs`}}, then with its results: {HOST: what collective_results.py reads}.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import collective_results, node_pairs
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Asked
from ansible_collections.condafleet.core.plugins.module_utils.fleet_nodes import DEVIATIONS, GAP_PERCENT, Width

ALLREDUCE, PAIR = "group.allreduce", "group.pair"
TOGETHER, ALONE = "together", "pair"
KIB, MIB = 1 << 10, 1 << 20
# On CPUs sizes end where a slow network would only take longer. The smallest tells the delay.
MEASURED: Dict[str, Dict[str, Any]] = {
    "gloo": {"sizes": [KIB, 64 * KIB, MIB, 4 * MIB, 16 * MIB], "rounds": 5, "pause": 0.05},
    "nccl": {"sizes": [MIB, 16 * MIB, 128 * MIB, 1024 * MIB], "rounds": 10, "pause": 0.0},
}
BUDGET_SECONDS = 15
# For imports from a cold disk, and so long for each node more, since the controller starts them one after the other.
JOIN_SECONDS, JOIN_EACH = 60, 1
OPERATION_SECONDS = 60
# So often a group is tried, with those left out that have dropped out.
MOST_TOGETHER = 3
NEXT_FREE = "validate again when the GPUs are free"
NEXT_REACH = "look at the node and its network, then validate it again"


class Node(NamedTuple):
    """What is known of a host before it is tried: `brought` is what the module collective observed."""

    group: str
    port: int
    pair_rounds: int
    environment: Optional[str]
    asked: Mapping[str, Asked]
    brought: Optional[Mapping[str, Any]]
    # Why nothing was brought.
    gone: str = ""
    # When a node's pairs are odd in the group, as declared for this one.
    deviations: float = DEVIATIONS
    gap_percent: float = GAP_PERCENT


class Out(NamedTuple):
    """A host that takes no part: SKIP or ERROR, why, and what next."""

    verdict: str
    reason: str
    next_step: str


class Group(NamedTuple):
    name: str
    backend: str
    members: List[str]


def out(node: Node) -> Optional[Out]:
    """Why a host takes no part, None where it does."""
    if not node.environment:
        return Out(
            "SKIP", "no environment with PyTorch is declared", "declare one, or set validation_speed_environment"
        )
    if node.brought is None:
        return Out("ERROR", node.gone or "what it brings could not be told", NEXT_REACH)
    if node.brought["problem"]:
        return Out("ERROR", str(node.brought["problem"]), "mend that, and validate again")
    gpus = node.brought["gpus"]
    if gpus["state"] == "busy":
        return Out("SKIP", str(gpus["why"]), NEXT_FREE)
    if gpus["state"] == "unknown":
        return Out("ERROR", str(gpus["why"]), "run nvidia-smi on the node")
    return None


def groups(nodes: Mapping[str, Node]) -> Dict[str, Group]:
    """{NAME: group}. Of a group with GPUs on some nodes only, those with and those without are tried apart."""
    found: Dict[str, Dict[str, List[str]]] = {}
    for host, node in nodes.items():
        if out(node) is None and node.asked:
            backend = "nccl" if (node.brought or {})["gpus"]["state"] == "free" else "gloo"
            found.setdefault(node.group, {}).setdefault(backend, []).append(host)
    named = {}
    for name, backends in found.items():
        for backend, members in backends.items():
            whole = name if len(backends) == 1 else "%s (%s)" % (name, "GPUs" if backend == "nccl" else "CPUs")
            named[whole] = Group(whole, backend, members)
    return named


def next_attempts(
    group: Group,
    nodes: Mapping[str, Node],
    played: Sequence[Mapping[str, Any]],
    deviations: Optional[float] = None,
    gap_percent: Optional[float] = None,
) -> List[Dict[str, Any]]:
    """What to try next with a group, all of it at once; nothing where all is known that can be.

    `deviations` and `gap_percent` go before what is declared for the nodes.
    """
    own = [one for one in played if one["group"] == group.name]
    together = [one for one in own if one["kind"] == TOGETHER]
    pairs_wanted = any(PAIR in nodes[host].asked for host in group.members)
    if not together:
        return [_together(group, nodes, group.members, pairs_wanted)] if len(group.members) > 1 else []
    last = together[-1]
    members = list(last["members"])
    if collective_results.complete(last):
        if not _too_slow(last, nodes):
            return []
        leave_out = set(collective_results.culprits(own, limits(nodes, PAIR)).culprits)
        # Pairs need no limit of their own to show who is the reason.
        pairs = collective_results.pairs(own)
        width = Width.of((nodes[host] for host in group.members), deviations, gap_percent)
        leave_out |= set(collective_results.odd(pairs, members, *width))
    else:
        leave_out = set(collective_results.own_faults(last))
        if not leave_out and pairs_wanted and len(members) > 2:
            since = own[own.index(last) + 1 :]
            rounds = node_pairs.rounds(members, max(nodes[host].pair_rounds for host in members))
            number = len({one["round"] for one in since})
            if number < len(rounds):
                return [_alone(group, nodes, pair, number) for pair in rounds[number]]
            leave_out = set(collective_results.culprits(since, limits(nodes, PAIR)).culprits)
            leave_out |= {host for one in since for host in collective_results.own_faults(one)}
    rest = [host for host in members if host not in leave_out]
    if len(rest) == len(members) or len(rest) < 2 or len(together) >= MOST_TOGETHER:
        return []
    return [_together(group, nodes, rest, pairs_wanted)]


def _too_slow(attempt: Mapping[str, Any], nodes: Mapping[str, Node]) -> bool:
    value = collective_results.bandwidth(attempt)
    least = limits(nodes, ALLREDUCE)
    return any(value is not None and value < least[host] for host in attempt["members"] if host in least)


def limits(nodes: Mapping[str, Node], check: str) -> Dict[str, float]:
    """{HOST: the least bandwidth}, of those that have one."""
    found = {}
    for host, node in nodes.items():
        asked = node.asked.get(check)
        if asked and asked.limit and asked.limit.least is not None:
            found[host] = asked.limit.least
    return found


def _together(group: Group, nodes: Mapping[str, Node], members: List[str], pairs: bool) -> Dict[str, Any]:
    rounds = node_pairs.rounds(members, max(nodes[host].pair_rounds for host in members)) if pairs else []
    ranks = [[[members.index(one), members.index(other)] for one, other in one_round] for one_round in rounds]
    # Of two nodes the pair is the group.
    ranks = ranks if len(members) > 2 else []
    seconds = _seconds(nodes, members, ALLREDUCE if any(ALLREDUCE in nodes[host].asked for host in members) else PAIR)
    attempt = {"group": group.name, "kind": TOGETHER, "round": 0, "members": members, "seconds": seconds}
    return {**attempt, "pairs": ranks, "jobs": _jobs(group, nodes, members, seconds, 0, 1 + len(ranks))}


def _alone(group: Group, nodes: Mapping[str, Node], pair: node_pairs.Pair, number: int) -> Dict[str, Any]:
    members = list(pair)
    seconds = _seconds(nodes, members, PAIR)
    attempt = {"group": group.name, "kind": ALONE, "round": number + 1, "members": members, "seconds": seconds}
    return {**attempt, "pairs": [], "jobs": _jobs(group, nodes, members, seconds, number + 1, 1)}


def _seconds(nodes: Mapping[str, Node], members: Sequence[str], check: str) -> int:
    return int(max([nodes[host].asked[check].timeout for host in members if check in nodes[host].asked], default=300))


def _jobs(
    group: Group, nodes: Mapping[str, Node], members: List[str], seconds: int, number: int, sweeps: int
) -> Dict[str, Dict[str, Any]]:
    first = nodes[members[0]]
    address = (first.brought or {})["address"]
    found = {}
    for rank, host in enumerate(members):
        brought = nodes[host].brought or {}
        found[host] = {
            "backend": group.backend,
            "address": address,
            # A port of its own for each round: the one before may not be free yet.
            "port": first.port + number,
            "interface": brought["interface"],
            "nodes": len(members),
            "rank": rank,
            "processes": max(1, len(brought["gpus"]["uuids"])),
            "gpus": list(brought["gpus"]["uuids"]),
            "join": int(min(0.6 * seconds, JOIN_SECONDS + JOIN_EACH * len(members))),
            "timeout": max(1, int(min(OPERATION_SECONDS, 0.4 * seconds))),
            "budget": max(1, int(min(BUDGET_SECONDS, 0.4 * seconds / sweeps))),
            **MEASURED[group.backend],
        }
    return found
