# SPDX-License-Identifier: Apache-2.0
"""A node's metrics on its disk: written where node_exporter reads, and taken away from where they are wanted no more.

What nobody writes any more would be read for ever, with the verdict of its day. So a note in ROOT/validation says where
the file is and what was put into it; a file that says anything else by now is somebody's.
"""

from __future__ import annotations

import os
from typing import List, Mapping, NamedTuple, Optional

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.validation_place import validation_folder

NAME = "condafleet.prom"
NOTE = "metrics.json"
# Nothing that a node exports is longer.
LARGEST = 1 << 24


class Put(NamedTuple):
    """Whether there are metrics now where none were, or none where some were; the files of both kinds, and warnings."""

    changed: bool
    written: List[str]
    removed: List[str]
    warnings: List[str]


def put(root: str, folder: Optional[str], text: str, write: bool = True) -> Put:
    """Have the metrics in `folder`, and nowhere else; without `write` it is only told. OSError if that can't be done.

    A folder that is not there is a warning: the verdict is told all the same, and monitoring notices by the age.
    """
    wanted = os.path.join(folder, NAME) if folder else None
    former = left(root)
    removed = [former] if former and former != wanted else []
    warnings: List[str] = []
    for path in removed if write else ():
        warnings += _remove(root, path)
    if warnings:
        removed = []
    written = [wanted] if folder and wanted and os.path.isdir(folder) else []
    changed = bool(removed) or any(not os.path.isfile(path) for path in written)
    if folder and not written:
        warnings.append(
            "validation_textfile_dir: %s is no folder of this node, so no metrics were written. Accepted: the "
            "folder that node_exporter reads (--collector.textfile.directory). Next: correct it, or make it." % folder
        )
    for path in written if write else ():
        files.write_atomic(path, text)
        note = {"schema_version": 1, "path": path, "sha256": files.sha256_bytes(text.encode("utf-8"))}
        files.write_json(_note(root), note)
    return Put(changed, written, removed, warnings)


def left(root: str) -> Optional[str]:
    """Where this node's metrics are, as written last; None where there are none, or they are another's by now."""
    note = files.read_json(_note(root))
    path = note.get("path") if isinstance(note, Mapping) else None
    if not isinstance(path, str) or os.path.basename(path) != NAME:
        return None
    content = files.read_regular(path, LARGEST)
    return path if content is not None and files.sha256_bytes(content) == note.get("sha256") else None


def _remove(root: str, path: str) -> List[str]:
    try:
        os.unlink(path)
    except OSError as error:
        return [
            "validation_textfile_dir: %s is written no more, and can't be removed (%s): what it says is of its day. "
            "Next: remove it by hand." % (path, error.strerror)
        ]
    files.remove_quietly(_note(root))
    return []


def _note(root: str) -> str:
    return os.path.join(validation_folder(root), NOTE)
