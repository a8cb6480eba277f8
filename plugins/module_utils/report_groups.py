# SPDX-License-Identifier: Apache-2.0
"""A fleet's nodes in groups that have the same of an environment, and how the smaller ones differ. Pure."""

from __future__ import annotations

import re
from typing import Any, Mapping

from ansible_collections.condafleet.core.plugins.module_utils.drift import describe
from ansible_collections.condafleet.core.plugins.module_utils.environment_standing import BEHIND, DRIFTED, OK, STATES
from ansible_collections.condafleet.core.plugins.module_utils.mappings import at
from ansible_collections.condafleet.core.plugins.module_utils.node_names import folded

# Packages in a sentence about nodes that are behind; the rest is a number.
SHOWN = 5
# How often a lock was built on a node is no difference between nodes.
_SERIAL = re.compile(r"(-[0-9a-f]{12})-[1-9][0-9]*\b")


def groups(hosts: Mapping[str, Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return {ENVIRONMENT: [{target, digest, state, fingerprint, files, hosts, of, differs, how}]} of hosts' reports.

    The groups of an environment are in the order of its targets, the largest first. `of` is the number of nodes that
    have, or shall have, the environment for that target. `differs` is false for the largest group that is ok, and for
    those that were switched in this run, so that nobody has looked at them since. `how` is one sentence.
    """
    made: dict[str, dict[tuple[str, ...], dict[str, Any]]] = {}
    for host, report in sorted(hosts.items()):
        for name, entry in report["environments"].items():
            planned = at(report, "plan", "environments", name)
            how = how_it_differs(entry, planned)
            parts = [entry.get(key) for key in ("target", "digest", "state", "fingerprint", "files")]
            if entry.get("state") == DRIFTED:
                parts[3] = None  # what differs is said by `how`, and the same for all of whom it is true
            key = tuple(str(part) for part in (*parts, how))
            group = made.setdefault(name, {}).setdefault(key, {**_base(entry), "hosts": [], "how": how})
            group["hosts"].append(host)
    return {name: _ordered(list(found.values())) for name, found in sorted(made.items())}


def how_it_differs(entry: Mapping[str, Any], planned: Mapping[str, Any]) -> str:
    """Return in one sentence how a node's environment differs from what is declared; empty where it does not."""
    state, why = entry.get("state"), str(entry.get("why") or "")
    if state == OK:
        return ""
    if state == DRIFTED:
        return describe(entry.get("drift")) or "its packages differ from its receipt, which ones can't be told"
    if state == BEHIND:
        lacks = _lacks(planned.get("packages"))
        why = "%s: %s" % (why, lacks) if lacks else why
    return _SERIAL.sub(r"\1", why)


def sentences(found: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    """Return one line for each group that differs: `pytorch: 2 of 500 differ: node[17,23]: numpy 2.1 instead of …`."""
    lines = []
    for name, members in found.items():
        for group in members:
            if group["differs"]:
                number = len(group["hosts"])
                verb = "differs" if number == 1 else "differ"
                text = "%s: %d of %d %s (%s)" % (name, number, group["of"], verb, group["state"])
                lines.append("%s: %s: %s" % (text, folded(group["hosts"]), group["how"]))
    return lines


def _base(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: entry.get(key) for key in ("target", "digest", "state", "fingerprint", "files")}


def _ordered(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found.sort(key=lambda group: (str(group["target"]), -len(group["hosts"]), STATES.index(group["state"])))
    reference: dict[Any, dict[str, Any]] = {}
    total: dict[Any, int] = {}
    for group in found:
        total[group["target"]] = total.get(group["target"], 0) + len(group["hosts"])
        if group["state"] == OK and group["fingerprint"]:
            reference.setdefault(group["target"], group)
    for group in found:
        usual = reference.get(group["target"])
        unseen = group["state"] == OK and not group["fingerprint"]
        group["of"] = total[group["target"]]
        group["differs"] = not (group is usual or unseen or (group["state"] == OK and usual is None))
        if group["differs"] and not group["how"]:
            group["how"] = "as its receipt says, but of another fingerprint than most: it was installed in another way"
    return found


def _lacks(packages: Any) -> str:
    """Return what a node has instead of what is declared, by the plan's difference."""
    if not isinstance(packages, Mapping):
        return ""
    texts = ["%(name)s %(before)s instead of %(after)s (%(manager)s)" % one for one in packages.get("changed") or []]
    texts += ["%(name)s %(version)s is not there yet (%(manager)s)" % one for one in packages.get("added") or []]
    texts += ["%(name)s %(version)s is still there (%(manager)s)" % one for one in packages.get("removed") or []]
    rest = len(texts) - SHOWN
    return ", ".join([*sorted(texts)[:SHOWN], *(["%d more" % rest] if rest > 0 else [])])
