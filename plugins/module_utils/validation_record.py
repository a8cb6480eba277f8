# SPDX-License-Identifier: Apache-2.0
"""The record of a node's validation: what it holds, and how it is kept in ROOT/validation on the node."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils import (
    files,
    findings,
    fleet_memory,
    metrics_file,
    prometheus_text,
)
from ansible_collections.condafleet.core.plugins.module_utils.check_catalog import LEVELS
from ansible_collections.condafleet.core.plugins.module_utils.validation_history import (
    SUFFIX,
    history_folder,
    known_runs,
)
from ansible_collections.condafleet.core.plugins.module_utils.validation_place import node_file

SCHEMA_VERSION = 1
# The name of a run: when it began, as clock.now() tells it. Nothing else in the folder is ours to remove.
RUN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class Stored(NamedTuple):
    """What `store` did: whether the node stands otherwise than before, which files there are now, metrics that are not
    wanted where they were any more, and warnings."""

    changed: bool
    files: List[str]
    removed: List[str]
    warnings: List[str]


def record_of(
    run: str,
    level: str,
    digest: str,
    found: Sequence[Mapping[str, Any]],
    identity: Mapping[str, Any],
    started: Optional[str],
    ended: Optional[str],
) -> Dict[str, Any]:
    """{schema_version, run, level, digest, started, ended, verdict, identity, findings}: what is kept, and reported."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run": run,
        "level": level,
        "digest": digest,
        "started": started or run,
        "ended": ended or started or run,
        "verdict": findings.overall(str(one["verdict"]) for one in found),
        "identity": dict(identity),
        "findings": [dict(one) for one in found],
    }


def stands_otherwise(before: Any, after: Mapping[str, Any], rehearsed: bool = False) -> bool:
    """Whether the node is another by this record: other verdicts, another level, other limits, other parts.

    Figures and times differ at each look, which changes nothing on the node. A rehearsal skips what a run looks at: so
    only what it did look at can differ.
    """
    former, latter = _standing(before), _standing(after)
    if not rehearsed or former is None or latter is None:
        return former != latter
    seen = {one for one in latter[-1] if one[-1] != findings.SKIP}
    return former[:3] != latter[:3] or former[4] != latter[4] or not seen <= set(former[-1])


def says_more(before: Any, after: Mapping[str, Any]) -> bool:
    """Whether the node's record stays beside a later one: it is of a higher level, of the same limits and parts, and
    what was looked at now speaks against nothing. Else a quick look would make a node unvalidated, or hide its fault.
    """
    if _standing(before) is None or before.get("level") not in LEVELS or after["level"] not in LEVELS:
        return False
    same = all(before.get(key) == after[key] for key in ("schema_version", "digest", "identity"))
    return (
        same and LEVELS.index(before["level"]) > LEVELS.index(after["level"]) and after["verdict"] not in findings.BAD
    )


def store(
    root: str,
    record: Mapping[str, Any],
    keep: int,
    textfile_dir: Optional[str],
    write: bool = True,
    learnt: Sequence[Dict[str, Any]] = (),
) -> Stored:
    """Keep the record as node.json (unless what stands there says more) and in the history (the newest `keep`), and
    have the metrics where they are wanted, and nowhere else. OSError if it can't.

    `learnt` is what the node is to keep of what the fleet has shown (fleet_memory.py).

    Without `write` it is only told what would be done.
    """
    node = node_file(root)
    kept = os.path.join(history_folder(root), "%s%s" % (record["run"], SUFFIX))
    # A damaged one is as good as none: it is replaced.
    before = files.read_json(node)
    stays = says_more(before, record)
    written = [kept] if stays else [node, kept]
    changed = not stays and stands_otherwise(before, record, rehearsed=not write)
    if write:
        os.makedirs(history_folder(root), mode=0o755, exist_ok=True)
        files.write_json(kept, record)
        if not stays:
            files.write_json(node, record)
        if learnt:
            files.write_json(fleet_memory.path_of(root), fleet_memory.as_file(learnt))
        _forget(root, keep)
    put = metrics_file.put(root, textfile_dir, prometheus_text.render(before if stays else record), write)
    return Stored(changed or put.changed, written + put.written, put.removed, put.warnings)


def _forget(root: str, keep: int) -> None:
    """Remove runs that are too many. Unreadable ones count: nothing here opens them."""
    runs = [run for run in known_runs(root) if RUN.fullmatch(run)]
    for run in runs[keep:]:
        files.remove_quietly(os.path.join(history_folder(root), run + SUFFIX))


def _standing(record: Any) -> Any:
    if not isinstance(record, Mapping) or not isinstance(record.get("findings"), list):
        return None
    known = [one for one in record["findings"] if isinstance(one, Mapping)]
    verdicts = sorted(tuple(str(one.get(key)) for key in ("check", "version", "subject", "verdict")) for one in known)
    return [*(record.get(key) for key in ("schema_version", "level", "digest", "verdict", "identity")), verdicts]
