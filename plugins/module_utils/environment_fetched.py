# SPDX-License-Identifier: Apache-2.0
"""The state `fetched`: every archive of the lock in ROOT, verified."""

from __future__ import annotations

from typing import Any, Dict

from ansible_collections.condafleet.core.plugins.module_utils import disk, files
from ansible_collections.condafleet.core.plugins.module_utils import package_cache as cache
from ansible_collections.condafleet.core.plugins.module_utils.access import Access
from ansible_collections.condafleet.core.plugins.module_utils.download_errors import DiskError
from ansible_collections.condafleet.core.plugins.module_utils.environment_request import Outcome, Request, draft_of
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.uv_tool import ensure_uv

# What is told of a step that had nothing to do, so that the keys are always the same.
NOTHING: Dict[str, Any] = {"fetched": 0, "bytes": 0, "uv": None, "damaged": []}


def fetched(request: Request) -> Outcome:
    """Every archive of the lock in ROOT, verified; nothing to do where a generation of the lock is usable."""
    ready = request.usable() or draft_of(request)
    if ready:
        return Outcome(False, ready["name"], details=dict(NOTHING))
    absent = cache.missing(request.root, request.packages)
    planned = request.next_name()
    text = "".join("fetch %s\n" % package.filename for package in absent)
    if request.check:
        return Outcome(bool(absent), planned, diff=text, details={**NOTHING, "fetched": len(absent), "bytes": None})
    cache.ensure_root(request.root)
    with request.lock("fetch %s" % request.name), cache.scratch_folder(request.root):
        progress = request.progress()
        cache.check_space(request.root, request.packages, "Nothing was fetched.")
        access = Access.of(request.access, hosts=request.auth)
        try:
            done = cache.fetch_all(
                request.root, request.packages, request.depot_url, request.depot_origins, progress, access
            )
        except DiskError as error:
            if files.free_bytes(request.root) > disk.LITTLE:
                raise
            need = cache.needed_bytes(request.root, request.packages)
            kept = "What was fetched whole is kept. Nothing was switched."
            raise FleetError(disk.full_text(request.root, "fetch %s" % request.name, kept, need)) from error
        uv = None
        if any(package.manager == "pip" for package in request.packages):
            uv = ensure_uv(request.root, request.tools, request.platform, request.depot_url, access)
        # Before conda is run for any environment: it looks at all archives, and unpacks what it knows no URL of.
        cache.register_urls(request.root, request.packages)
        dropped = cache.drop_damaged(request.root, request.packages, progress)
    return Outcome(bool(done["fetched"] or dropped), planned, diff=text, details={**done, "uv": uv, "damaged": dropped})
