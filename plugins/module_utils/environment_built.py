# SPDX-License-Identifier: Apache-2.0
"""The state `built`: a new prefix with exactly the lock's packages, which nobody uses yet."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional

from ansible_collections.condafleet.core.plugins.module_utils import files
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
from ansible_collections.condafleet.core.plugins.module_utils.plan_environments import difference, package_lines
from ansible_collections.condafleet.core.plugins.module_utils.processes import users_of
from ansible_collections.condafleet.core.plugins.module_utils.progress import node_lock
from ansible_collections.condafleet.core.plugins.module_utils.uv_tool import ensure_uv

SCHEMA_VERSION = 1


def built(request: Request) -> Outcome:
    """A new prefix with exactly the lock's packages, which nobody uses yet."""
    packages = difference(before_packages(request), [package.to_dict() for package in request.packages])
    ready = request.usable() or draft_of(request)
    if ready:
        return Outcome(False, ready["name"])
    planned = str(gen.next_name(gen.list_names(request.root), request.name, request.digest))
    text = "".join(line + "\n" for line in package_lines(packages))
    if request.check:
        return Outcome(True, planned, packages, text)
    if not os.access(request.conda(), os.X_OK):
        raise FleetError(
            "environments_prefix: there is no conda at %s. Next: install it first (role condafleet.core.miniconda)."
            % request.conda()
        )
    cache.ensure_root(request.root)
    # conda, uv and python make files as the umask says, and users have to read them.
    os.umask(0o022)
    with node_lock(request.root, "build %s" % planned, request.lock_timeout), cache.scratch_folder(
        request.root
    ) as scratch:
        progress = request.progress()
        absent = cache.missing(request.root, request.packages)
        if absent:
            raise FleetError(
                "environment %r: %d of %d archives are not in %s (%s). Next: fetch them first (state: fetched)."
                % (request.name, len(absent), len(request.packages), request.root, absent[0].filename)
            )
        removed = remove_unfinished(request)
        planned = str(gen.next_name(gen.list_names(request.root), request.name, request.digest))
        cache.check_space(request.root, request.packages)
        damaged = cache.drop_damaged(request.root, request.packages, progress)
        path = request.path(planned)
        wheels = any(package.manager == "pip" for package in request.packages)
        done = build(
            path,
            name=request.name,
            conda=request.conda(),
            root=request.root,
            scratch=scratch,
            packages=request.packages,
            variables=request.variables,
            uv=_uv(request) if wheels else None,
            progress=progress,
            access=request.access,
        )
        files.write_json(os.path.join(path, gen.DRAFT), receipt(request, planned))
    return Outcome(True, planned, packages, text, {**done, "removed": removed, "damaged": damaged})


def _uv(request: Request) -> Optional[str]:
    access = Access.of(request.access)
    return ensure_uv(request.root, request.tools, request.platform, request.depot_url, access)


def remove_unfinished(request: Request) -> List[str]:
    """Remove what attempts that were cut short have left of this environment; only what no process uses.

    What users reach by the link stays, also where its receipt was lost: the switch to the new one comes later.
    """
    removed = []
    reached = os.path.realpath(request.link())
    for name in gen.list_names(request.root):
        parsed = gen.parse_name(name[: -len(".removing")] if name.endswith(".removing") else name)
        path = request.path(name)
        if not parsed or parsed.environment != request.name or os.path.islink(path) or gen.read_receipt(path):
            continue
        if os.path.realpath(path) != reached and not users_of(path):
            remove_tree(path)
            removed.append(name)
    return removed


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
            {key: getattr(package, key) for key in ("manager", "name", "version", "build")}
            for package in request.packages
        ],
        "smoke_test": {},
        "frameworks": list(request.frameworks),
        "variables": dict(request.variables),
    }
