# SPDX-License-Identifier: Apache-2.0
"""The state `built`: a new prefix with exactly the lock's packages, which nobody uses yet."""

from __future__ import annotations

import os
import time
from typing import Any, Dict, List, Optional

from ansible_collections.condafleet.core.plugins.module_utils import disk, files
from ansible_collections.condafleet.core.plugins.module_utils import generations as gen
from ansible_collections.condafleet.core.plugins.module_utils import package_cache as cache
from ansible_collections.condafleet.core.plugins.module_utils.access import Access
from ansible_collections.condafleet.core.plugins.module_utils.build_environment import build, remove_tree
from ansible_collections.condafleet.core.plugins.module_utils.clock import now
from ansible_collections.condafleet.core.plugins.module_utils.environment_request import (
    Outcome,
    Request,
    before_packages,
    draft_of,
)
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.fingerprint import fingerprint
from ansible_collections.condafleet.core.plugins.module_utils.generation_drift import PACKAGES
from ansible_collections.condafleet.core.plugins.module_utils.generation_files import FILES
from ansible_collections.condafleet.core.plugins.module_utils.generation_history import read as read_history
from ansible_collections.condafleet.core.plugins.module_utils.generation_history import times
from ansible_collections.condafleet.core.plugins.module_utils.generation_links import reached
from ansible_collections.condafleet.core.plugins.module_utils.installed_packages import host_of
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import Package
from ansible_collections.condafleet.core.plugins.module_utils.plan_environments import difference, package_lines
from ansible_collections.condafleet.core.plugins.module_utils.process_uses import uses
from ansible_collections.condafleet.core.plugins.module_utils.programs import ProgramError, tail
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress
from ansible_collections.condafleet.core.plugins.module_utils.shared_files import is_shared
from ansible_collections.condafleet.core.plugins.module_utils.uv_tool import ensure_uv

SCHEMA_VERSION = 1
# A run builds all its environments before it tests the first.
DRAFT_SECONDS = 6 * 3600.0
# What is told of a step that had nothing to do, so that the keys are always the same.
NOTHING: Dict[str, Any] = {"seconds": {}, "uncompiled": 0, "installer": None, "removed": [], "damaged": []}


def built(request: Request) -> Outcome:
    """A new prefix with exactly the lock's packages, which nobody uses yet."""
    request.note_damaged()
    packages = difference(before_packages(request), [package.to_dict() for package in request.packages])
    ready = request.usable() or draft_of(request)
    if ready:
        return Outcome(False, ready["name"], details=dict(NOTHING))
    planned = request.next_name()
    text = "".join(line + "\n" for line in package_lines(packages))
    if request.check:
        return Outcome(True, planned, packages, text, dict(NOTHING))
    if not os.access(request.conda(), os.X_OK):
        raise FleetError(
            "environments_prefix: there is no conda at %s. Next: install it first (role condafleet.core.miniconda)."
            % request.conda()
        )
    cache.ensure_root(request.root)
    # conda, uv and python make files as the umask says, and users have to read them.
    os.umask(0o022)
    with request.lock("build %s" % planned), cache.scratch_folder(request.root) as scratch:
        ready = request.usable() or draft_of(request)
        if ready:
            # Another run has built it while this one waited.
            return Outcome(False, ready["name"], details=dict(NOTHING))
        progress = request.progress()
        refuse_archives(request)
        removed = remove_unfinished(request)
        planned = request.next_name()
        cache.check_space(request.root, request.packages, "What was fetched is kept. Nothing was built.")
        damaged = cache.drop_damaged(request.root, request.packages, progress)
        done = build_whole(request, planned, scratch, progress)
    return Outcome(True, planned, packages, text, {**done, "removed": removed, "damaged": damaged})


def refuse_archives(request: Request) -> None:
    """FleetError where an archive is missing or not the lock's."""
    wrong = cache.damaged_archives(request.root, request.packages)
    if wrong:
        raise FleetError(
            "environment %r: %d of %d archives in %s can't be used (%s %s). Next: fetch them first (state: fetched)."
            % (request.name, len(wrong), len(request.packages), request.root, wrong[0][0].filename, wrong[0][1])
        )


def build_whole(request: Request, generation: str, scratch: str, progress: Progress) -> Dict[str, Any]:
    """Build it, with its draft of a receipt last; where that fails, nothing of it is left."""
    path = request.path(generation)
    watched = disk.Watched(request.root)

    def look(step: str, done: int = 0, total: Optional[int] = None, unit: str = "", message: str = "") -> None:
        watched.look()
        progress(step, done, total, unit, message)

    try:
        done = build(
            path,
            name=request.name,
            conda=request.conda(),
            root=request.root,
            scratch=scratch,
            packages=request.packages,
            variables=request.variables,
            uv=_uv(request) if any(package.manager == "pip" for package in request.packages) else None,
            progress=look,
            access=request.access,
        )
        files.write_json(os.path.join(path, gen.DRAFT), receipt(request, generation))
    except (FleetError, OSError) as error:
        watched.look()
        if os.path.isdir(path):
            remove_tree(path)
        said = error.said if isinstance(error, ProgramError) else str(error)
        if disk.is_full(error) or watched.was_full(said):
            kept = "What this step had made was removed; what was fetched is kept. Nothing was switched."
            need = cache.needed_bytes(request.root, request.packages)
            text = disk.full_text(request.root, "build %s" % generation, kept, need)
            raise FleetError("%s It ended by: %s" % (text, tail(said)[-300:])) from error
        raise
    return done


def _uv(request: Request) -> Optional[str]:
    access = Access.of(request.access)
    return ensure_uv(request.root, request.tools, request.platform, request.depot_url, access)


def remove_unfinished(request: Request) -> List[str]:
    """Remove what attempts that were cut short have left of this environment; only what nothing uses.

    What was finished once, and lost its receipt, is the collection's: users may have built on it. So is everything
    where the processes of other nodes can't be seen.
    """
    removed: List[str] = []
    if is_shared(request.root):
        return removed
    links = reached(request.root, request.prefix)
    for name in gen.list_names(request.root):
        parsed = gen.parse_name(name)
        path = request.path(name)
        if not parsed or parsed.environment != request.name or os.path.islink(path) or gen.read_receipt(path):
            continue
        if waits_for_its_test(path, request.digest) or not os.path.isdir(path) or was_finished(request, name):
            continue
        if name not in links and not uses({path: ()}):
            remove_tree(path)
            removed.append(name)
    return removed


def was_finished(request: Request, name: str) -> bool:
    """Whether a generation without a receipt had one: it was current, or has the lists that are written before it."""
    if name in times(read_history(request.root).get(request.name, [])):
        return True
    path = request.path(name)
    if any(os.path.lexists(os.path.join(path, mark)) for mark in (gen.DRAFT, gen.FAILED)):
        return False
    return any(os.path.lexists(os.path.join(path, mark)) for mark in (PACKAGES, FILES))


def waits_for_its_test(path: str, digest: str = "") -> bool:
    """Whether another run may be about to test what lies here: built whole, not long ago, by another lock.

    The lock on ROOT is given back between building and testing, and two runs may declare an environment differently.
    """
    draft = files.read_json(os.path.join(path, gen.DRAFT))
    if not isinstance(draft, dict) or draft.get("digest") == digest:
        return False
    try:
        return os.stat(os.path.join(path, gen.DRAFT)).st_mtime > time.time() - DRAFT_SECONDS
    except OSError:
        return False


def source_of(package: Package) -> Dict[str, Any]:
    """Where a wheel came from, which nothing in the environment tells; of a conda package its record does."""
    return {"source": host_of(package.url)} if package.manager == "pip" else {}


def receipt(request: Request, generation: str) -> Dict[str, Any]:
    """What is known once it is built; the smoke test is added by `tested`."""
    parsed = gen.parse_name(generation)
    return {
        "schema_version": SCHEMA_VERSION,
        "environment": request.name,
        "target": request.target,
        "digest": request.digest,
        "serial": parsed.serial if parsed else 0,
        "fingerprint": fingerprint(request.path(generation)),
        "created": now(),
        "condafleet_version": request.version,
        "packages": [
            {**{key: getattr(package, key) for key in ("manager", "name", "version", "build")}, **source_of(package)}
            for package in request.packages
        ],
        "smoke_test": {},
        "frameworks": list(request.frameworks),
        "variables": dict(request.variables),
    }
