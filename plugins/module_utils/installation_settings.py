# SPDX-License-Identifier: Apache-2.0
"""What condafleet writes beside an installation's own files: each part observes, plans and carries out its own.

A part is a module with `observe(prefix) -> {…}` (reads files; its keys join `installation` in conda_facts),
`plan(installation, declared) -> [{what, before, after}]` (pure), `carry_out(prefix, installation, declared) -> [copies
that were kept of files which were not ours]`, and `remove(prefix, installation) -> [paths]` for an uninstallation.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from ansible_collections.condafleet.core.plugins.module_utils import access_files, condarc_file, tos_record

# What conda reads comes first: the condarc names the certificates, and the record of the terms is made by that conda.
PARTS = (access_files, condarc_file, tos_record)

Change = Dict[str, Any]


def observe(prefix: str) -> Dict[str, Any]:
    found: Dict[str, Any] = {}
    for part in PARTS:
        found.update(part.observe(prefix))
    return found


def plan(installation: Mapping[str, Any], declared: Mapping[str, Any]) -> List[Change]:
    """What would change, in the order in which it is done."""
    return [change for part in PARTS for change in part.plan(installation, declared)]


def carry_out(prefix: str, installation: Mapping[str, Any], declared: Mapping[str, Any]) -> List[str]:
    """Write what differs; the copies that were kept of files which were not ours."""
    return [copy for part in PARTS for copy in part.carry_out(prefix, installation, declared)]


def remove(prefix: str, installation: Mapping[str, Any]) -> List[str]:
    """Take away what was written outside the installation's own folder; the paths."""
    return [path for part in PARTS for path in part.remove(prefix, installation)]
