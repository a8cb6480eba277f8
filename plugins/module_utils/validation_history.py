# SPDX-License-Identifier: Apache-2.0
"""A node's validations, as `ROOT/validation/.history/RUN.json` keeps them: which there are, and some of them whole."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.files import read_json
from ansible_collections.condafleet.core.plugins.module_utils.validation_place import validation_folder

SUFFIX = ".json"
# What of a finding is compared with another run's.
KEYS = {"check", "version", "subject", "verdict", "value", "unit", "limit", "reason"}
# Words for the newest validations; any other name is that of a run.
NEWEST = ("last", "previous")


def history_folder(root: str) -> str:
    # No environment's name begins with a dot: their results lie beside it.
    return os.path.join(validation_folder(root), ".history")


def known_runs(root: str) -> List[str]:
    """The runs whose validations are kept, the newest first: a run's name is the time at which it began."""
    try:
        names = os.listdir(history_folder(root))
    except (FileNotFoundError, NotADirectoryError):
        return []
    # What is being written has a name that begins with a dot.
    runs = [name[: -len(SUFFIX)] for name in names if name.endswith(SUFFIX) and not name.startswith(".")]
    return sorted(runs, reverse=True)


def run_named(word: str, runs: Sequence[str]) -> Optional[str]:
    """The run that `last`, `previous` or a run's own name means; None where it is not kept."""
    if word in NEWEST:
        place = NEWEST.index(word)
        return runs[place] if place < len(runs) else None
    return word if word in runs else None


def read_history(root: str, words: Sequence[str]) -> Dict[str, Any]:
    """{runs: [RUN, the newest first], records: {WORD: the run's record, or null where it is not kept}}."""
    runs = known_runs(root)
    records: Dict[str, Any] = {}
    for word in words:
        run = run_named(word, runs)
        path = os.path.join(history_folder(root), "%s%s" % (run, SUFFIX))
        records[word] = None if run is None else read_json(path)
        if run is not None and not _is_record(records[word]):
            raise FleetError(
                "%s is no record of a validation (unreadable, or no JSON). Next: remove it; the other runs stay." % path
            )
    return {"runs": runs, "records": records}


def _is_record(stored: Any) -> bool:
    """Whether it has what is read of a record: another program's JSON, or half of one, has not."""
    if not isinstance(stored, dict) or not isinstance(stored.get("identity"), dict):
        return False
    found = stored.get("findings")
    return isinstance(found, list) and all(isinstance(one, dict) and set(one) >= KEYS for one in found)
