# Copyright condafleet maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a lock was made from: as data that it carries, as a digest, and as words where two of them differ. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.url_secrets import without_secrets

FORMAT = 1
UNKNOWN = "it does not say what it was made from"
# How a lock's parts are called where they differ; any other is called by its key.
_CALLED = {
    "spec": "the spec",
    "definition": "the target",
    "channels": "the channels",
    "sources": "where packages come from",
    "format": "the format of locks",
}


def inputs(
    environment: str,
    target: str,
    *,
    spec: Mapping[str, Any],
    definition: Mapping[str, Any],
    channels: Sequence[str],
    sources: str,
) -> Dict[str, Any]:
    """Whatever decides a solve. `spec` is what lockspec.normalise() returns, `definition` the target's, `channels` the
    declared ones in order; `sources` is "depot" or "upstream": a depot's place and content are no inputs (locks.md).
    """
    return {
        "format": FORMAT,
        "environment": environment,
        "target": target,
        "spec": {key: _without_secrets(value) for key, value in spec.items()},
        "definition": {key: str(value) for key, value in definition.items() if value is not None},
        "channels": list(channels),
        "sources": sources,
    }


def digest(made_from: Mapping[str, Any]) -> str:
    """64 hex digits over the inputs: while they stay the same, a lock is kept."""
    return hashlib.sha256(as_text(made_from).encode("ascii")).hexdigest()


def as_text(made_from: Mapping[str, Any]) -> str:
    """The one spelling of the inputs, for the digest and for the lock."""
    return json.dumps(made_from, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def from_text(text: Any) -> Dict[str, Any]:
    """What a lock says about its inputs; empty where it says nothing that can be read."""
    try:
        found = json.loads(text) if text else {}
    except (TypeError, ValueError):
        found = {}
    return found if isinstance(found, dict) else {}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> List[str]:
    """A sentence for each input that differs, such as `the spec changed: conda adds numpy=2, drops numpy=1`."""
    if not before:
        return [UNKNOWN]
    return ["{0} changed: {1}".format(*one) for one in _differing(before, after)]


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> List[str]:
    """The same of two inputs of which neither is the older."""
    return ["{0}: {1}".format(*found) for found in _differing(one, other)]


def answers_alike(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether only what is asked for differs, neither target nor sources: what was locked may then still do."""
    if not before:
        return False
    asked = [one.get("spec") or {} for one in (before, after)]
    same = all(before.get(key) == after.get(key) for key in {*before, *after} - {"spec"})
    return same and asked[0].get("indexes") == asked[1].get("indexes")


def _without_secrets(value: Any) -> Any:
    # A conda spec may name a channel by a URL with a token in it, and all of this is written into the lock.
    return (
        [without_secrets(one) if isinstance(one, str) else one for one in value] if isinstance(value, list) else value
    )


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> List[Tuple[str, str]]:
    keys = [key for key in (*_CALLED, *sorted({*before, *after} - set(_CALLED))) if before.get(key) != after.get(key)]
    return [(_CALLED.get(key, key), _differs(before.get(key), after.get(key))) for key in keys]


def _differs(before: Any, after: Any) -> str:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
        return ", ".join("{0} {1}".format(key, _differs(before.get(key), after.get(key))) for key in keys)
    if isinstance(before, list) and isinstance(after, list) and sorted(map(str, before)) != sorted(map(str, after)):
        adds = [str(one) for one in after if one not in before]
        drops = [str(one) for one in before if one not in after]
        said = [what + " " + ", ".join(which) for what, which in (("adds", adds), ("drops", drops)) if which]
        return ", ".join(said)
    return "{0} → {1}".format(_shown(before), _shown(after))


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join("{0} {1}".format(key, _shown(one)) for key, one in sorted(value.items())) or "none"
    return "none" if value in (None, "") else str(value)
