# SPDX-License-Identifier: Apache-2.0
"""Which of its declared targets an environment takes on a node. Pure.

What is observed only gates: a node takes the first declared target that it satisfies, so a newer driver does not
change an environment unless the declaration lists that target first.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple


def best_target(
    node: Mapping[str, Any], names: Sequence[str], targets: Mapping[str, Mapping[str, Any]]
) -> Tuple[Optional[str], Dict[str, str]]:
    """(the first of `names` that the node satisfies or None, {name: why not} of those before it).

    `node` is what conda_facts says under `node`; `targets` is {name: {platform, glibc, cuda?}}.
    """
    reasons: Dict[str, str] = {}
    for name in names:
        definition = targets.get(name)
        reason = "it is not in environments_targets" if definition is None else unmet(node, definition)
        if reason is None:
            return name, reasons
        reasons[name] = reason
    return None, reasons


def as_declared(
    node: Mapping[str, Any], target: str, targets: Mapping[str, Mapping[str, Any]]
) -> Tuple[Dict[str, Any], Optional[str]]:
    """(the node as the declaration of its target makes it, why it can't be that or None).

    Its CUDA is the target's, whatever driver is seen: an image or a container build shows none, or the host's. What
    decides whether programs run at all, platform and glibc, is the node's own.
    """
    known = {**node, "cuda": targets[target].get("cuda"), "driver": None}
    reason = unmet(known, targets[target])
    if reason is None:
        return known, None
    return known, "environments_target: %s is not accepted for this node: %s. Next: declare a target that it is." % (
        target,
        reason,
    )


def unmet(node: Mapping[str, Any], definition: Mapping[str, Any]) -> Optional[str]:
    """Why the node can't take a target, in one clause; None where it can."""
    platform = str(definition.get("platform") or "")
    if node.get("platform") != platform:
        return "it is for %s, and this node's architecture is %s (%s)" % (
            platform,
            node.get("architecture") or "unknown",
            node.get("platform") or "no platform that conda knows",
        )
    glibc = definition.get("glibc")
    if glibc:
        if node.get("libc", "glibc") != "glibc" or not node.get("glibc"):
            return "it needs glibc %s or newer, and this node has %s" % (glibc, node.get("libc") or "no glibc")
        if version_key(node["glibc"]) < version_key(glibc):
            return "it needs glibc %s or newer, and this node has glibc %s" % (glibc, node["glibc"])
    cuda = definition.get("cuda")
    if cuda:
        if not node.get("cuda"):
            return "it needs a driver for CUDA %s or newer, and this node has %s" % (
                cuda,
                "driver %s, whose CUDA version is not known" % node["driver"] if node.get("driver") else "no driver",
            )
        if version_key(node["cuda"]) < version_key(cuda):
            return "it needs a driver for CUDA %s or newer, and this node's driver %s supports CUDA %s" % (
                cuda,
                node.get("driver") or "(unknown)",
                node["cuda"],
            )
    return None


def refusal(environment: str, node: Mapping[str, Any], reasons: Mapping[str, str]) -> str:
    """The sentence for a node that satisfies none of an environment's targets."""
    causes = "; ".join("%s: %s" % (name, reason) for name, reason in reasons.items())
    return (
        "environments_list: environment %r has no target for this node. %s. "
        "Next: add a target that this node satisfies (it is %s, glibc %s, CUDA %s), or leave the node out."
    ) % (environment, causes, node.get("platform"), node.get("glibc"), node.get("cuda") or "none")


def version_key(version: Any) -> List[int]:
    """`2.36` → [2, 36]; whatever follows the numbers does not count."""
    return [int(part) for part in re.findall(r"\d+", str(version))[:4]]
