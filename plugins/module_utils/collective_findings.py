# SPDX-License-Identifier: Apache-2.0
"""The findings of each host by what all-reduces over several nodes came to. Pure.

A host is judged by what is its own: of a group that failed, or is too slow, the culprit has FAIL (ERROR where it
dropped out and nobody can tell why), and the others have what they reached without it. `group.pair` is one finding a
host: its best pair, since of a bad one the other may be the reason. All its pairs are in the evidence.
"""

from __future__ import annotations

import statistics
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import collective_plan, findings
from ansible_collections.condafleet.core.plugins.module_utils import collective_results as results
from ansible_collections.condafleet.core.plugins.module_utils.check_limits import Asked, Limit
from ansible_collections.condafleet.core.plugins.module_utils.collective_plan import ALLREDUCE, PAIR, Group, Node
from ansible_collections.condafleet.core.plugins.module_utils.fleet_nodes import Width
from ansible_collections.condafleet.core.plugins.module_utils.node_names import folded

NODE = "node"
NEXT_LINK = (
    "look at this node's network: speed and errors of its interface (ethtool, ethtool -S), cable, switch port, route"
)
NEXT_BETWEEN = "look at what is between the nodes (switch, firewall, ports from validation_port on, interfaces)"

Played = Sequence[Mapping[str, Any]]
Found = Dict[str, List[Dict[str, Any]]]


def findings_of(
    nodes: Mapping[str, Node], played: Played, deviations: Optional[float] = None, gap_percent: Optional[float] = None
) -> Found:
    """{HOST: [finding]} of all hosts. `deviations` and `gap_percent` go before what is declared for the nodes."""
    found: Found = {}
    grouped = collective_plan.groups(nodes)
    for host, node in nodes.items():
        apart = collective_plan.out(node)
        group = next((one for one in grouped.values() if host in one.members), None)
        if apart is not None or group is None:
            found[host] = _apart(node, apart)
    for group in grouped.values():
        own = [one for one in played if one["group"] == group.name]
        width = Width.of((nodes[host] for host in group.members), deviations, gap_percent)
        found.update(_Judge(group, nodes, own, width).findings())
    return found


def _apart(node: Node, why: Optional[collective_plan.Out]) -> List[Dict[str, Any]]:
    said = []
    for name in (ALLREDUCE, PAIR):
        if why is not None and name in node.asked:
            kind = findings.skipped if why.verdict == findings.SKIP else findings.unknown
            subject = node.group if name == ALLREDUCE else NODE
            said.append(kind(node.asked[name].check, subject, why.reason, why.next_step))
    # One fault is said once.
    return said[:1] if why is not None and why.verdict == findings.ERROR else said


def generations(group: Group, nodes: Mapping[str, Node]) -> List[str]:
    """A line where members have not all the same environment: a group may fail by that, and no node is bad."""
    found: Dict[str, List[str]] = {}
    for host in group.members:
        # Without the serial: what was built again of the same lock is the same.
        found.setdefault(str((nodes[host].brought or {}).get("generation")).rpartition("-")[0], []).append(host)
    said = ["%s on %s" % (name, folded(hosts)) for name, hosts in sorted(found.items())]
    return ["the nodes do not all have the same environment: %s" % "; ".join(said)] if len(found) > 1 else []


class _Judge:
    """One group: what is known of it as a whole, then each member's findings."""

    def __init__(self, group: Group, nodes: Mapping[str, Node], played: Played, width: Width) -> None:
        self.group, self.nodes, self.played = group, nodes, played
        self.together = [one for one in played if one["kind"] == collective_plan.TOGETHER]
        self.complete = [one for one in self.together if results.complete(one)]
        self.lines = [self._line(one) for one in self.together] + generations(group, nodes)
        self.next_link = NEXT_LINK + (", and what else its CPUs do" if group.backend == "gloo" else "")
        self.pairs = results.pairs(played)
        self.culprits = results.culprits(played, collective_plan.limits(nodes, PAIR))
        self.dropped: Dict[str, str] = {}
        for attempt in played:
            self.dropped.update(results.own_faults(attempt))
        self.busy = results.busy(played)
        self.best = {host: results.best(results.of_host(self.pairs, host)) for host in group.members}
        self.odd = results.odd(self.pairs, group.members, *width)

    def findings(self) -> Found:
        return {host: self._of(host) for host in self.group.members}

    def _of(self, host: str) -> List[Dict[str, Any]]:
        asked = self.nodes[host].asked
        if len(self.group.members) < 2:
            why = "the group has no other node that could take part"
            there = [asked[name] for name in (ALLREDUCE, PAIR) if name in asked]
            return [findings.skipped(one.check, self._subject(one), why, "set validation_group") for one in there]
        found = []
        if ALLREDUCE in asked:
            found.append(self._allreduce(host, asked[ALLREDUCE]))
        if PAIR in asked:
            found.append(self._pair(host, asked[PAIR]))
        return found

    def _subject(self, asked: Asked) -> str:
        return self.group.name if asked.check.name == ALLREDUCE else NODE

    def _allreduce(self, host: str, asked: Asked) -> Dict[str, Any]:
        subject = self.group.name
        done = [one for one in self.complete if host in one["members"]]
        tried = [one for one in self.together if host in one["members"]]
        evidence = self.lines
        if host in self.busy:
            return findings.skipped(
                asked.check, subject, self.dropped[host], collective_plan.NEXT_FREE, evidence=evidence
            )
        if host in self.dropped:
            return findings.unknown(
                asked.check, subject, self.dropped[host], collective_plan.NEXT_REACH, evidence=evidence
            )
        if done:
            return self._reached(host, asked, done[-1], evidence)
        if host in self.culprits.culprits:
            reason = "with it the group's all-reduce fails: %s" % self.culprits.culprits[host]
            return findings.failed(asked.check, subject, None, reason, self.next_link, asked.limit, evidence=evidence)
        reason = results.how_it_ended(tried[-1]) if tried else "it was not tried"
        others = set(self.group.members) - set(self.dropped) - {host}
        if tried and not others:
            reason = "all other nodes of the group have dropped out (%s)" % folded(self.dropped)
        elif self.culprits.unclear:
            reason += "; by pairs nobody can be told from the others"
        elif self.pairs and all(pair.gbps is not None for pair in self.pairs.values()):
            reason += "; all pairs are good by themselves"
        return findings.unknown(asked.check, subject, reason, NEXT_BETWEEN, evidence=evidence)

    def _reached(self, host: str, asked: Asked, attempt: Mapping[str, Any], evidence: Sequence[str]) -> Dict[str, Any]:
        value = results.bandwidth(attempt)
        complaint = asked.limit.complaint(value, asked.check.unit) if asked.limit else None
        if complaint:
            if host in self.culprits.culprits:
                complaint += "; of its pairs: %s" % self.culprits.culprits[host]
            elif host in self.odd:
                complaint += "; its best pair is slower than the others'"
            else:
                complaint += "; by pairs this node is like the others"
            step = self.next_link if host in self.culprits.culprits or host in self.odd else NEXT_BETWEEN
            return findings.failed(asked.check, self.group.name, value, complaint, step, asked.limit, evidence=evidence)
        return findings.passed(asked.check, self.group.name, value, asked.limit, evidence=evidence)

    def _pair(self, host: str, asked: Asked) -> Dict[str, Any]:
        own = results.of_host(self.pairs, host)
        evidence = [self._pair_line(other, pair) for other, pair in sorted(own.items())]
        best, check, limit = self.best[host], asked.check, asked.limit
        if host in self.dropped and best is None:
            return findings.skipped(check, NODE, "it dropped out (%s)" % ALLREDUCE, collective_plan.NEXT_REACH)
        if host in self.culprits.culprits:
            reason = self.culprits.culprits[host]
            return findings.failed(check, NODE, best, reason, self.next_link, limit, evidence=evidence)
        if host in self.odd:
            band = self.odd[host]
            others = [value for one, value in self.best.items() if one != host and value is not None]
            reason = "its best of %d pairs reaches %.4g GB/s%s; of the others' best the median is %.4g GB/s" % (
                len(own),
                best or 0.0,
                self._delay(own),
                statistics.median(others),
            )
            limit = Limit(least=band.low, source="the group's %s" % band.source)
            return findings.failed(check, NODE, best, reason, self.next_link, limit, evidence=evidence)
        broken = [other for other, pair in own.items() if pair.gbps is None and not self._at_fault(other)]
        if broken:
            reason = "with %s: %s" % (folded(broken), own[broken[0]].why)
            return findings.unknown(check, NODE, reason, NEXT_BETWEEN, evidence=evidence)
        if best is None:
            partners = "no pair of it was measured" if not own else "its partners are at fault: %s" % folded(own)
            return findings.skipped(check, NODE, partners, "see %s, and validate again" % ALLREDUCE, evidence=evidence)
        return findings.judged(check, NODE, best, limit, self.next_link, evidence=evidence)

    def _at_fault(self, host: str) -> bool:
        return host in self.culprits.culprits or host in self.dropped

    def _delay(self, own: Mapping[str, results.Measured]) -> str:
        delays = [pair.delay for pair in own.values() if pair.delay is not None]
        return " (the smallest all-reduce takes %.3g ms)" % (1000 * min(delays)) if delays else ""

    def _pair_line(self, other: str, pair: results.Measured) -> str:
        if pair.gbps is None:
            return "with %s: failed: %s" % (other, pair.why)
        delay = "" if pair.delay is None else ", the smallest all-reduce takes %.3g ms" % (1000 * pair.delay)
        said = " (%s stands apart itself)" % other if other in self.odd else ""
        return "with %s: %.4g GB/s%s%s" % (other, pair.gbps, delay, said)

    def _line(self, attempt: Mapping[str, Any]) -> str:
        members = attempt["members"]
        without = sorted(set(self.group.members) - set(members))
        who = "%s%s, %s" % (folded(members), " (without %s)" % folded(without) if without else "", self.group.backend)
        if not results.complete(attempt):
            dropped = results.own_faults(attempt)
            said = "; ".join("%s: %s" % one for one in sorted(dropped.items())) or results.how_it_ended(attempt)
            return "%s: failed: %s" % (who, said)
        sizes = (results.outcome_of(attempt, members[0]).get("together") or {}).get("sizes") or []
        shown = ", ".join("%s KiB %.4g" % (format(one["bytes"] // 1024, ","), one["bus_gbps"]) for one in sizes)
        return "%s: GB/s by size: %s" % (who, shown)
