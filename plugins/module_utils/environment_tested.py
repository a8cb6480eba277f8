# SPDX-License-Identifier: Apache-2.0
"""The state `tested`: the smoke test passed inside the new prefix, and its receipt is written, last."""

from __future__ import annotations

import os
from typing import Any, Mapping

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils import generations as gen
from ansible_collections.condafleet.core.plugins.module_utils import package_cache as cache
from ansible_collections.condafleet.core.plugins.module_utils.clock import now
from ansible_collections.condafleet.core.plugins.module_utils.disk import make_durable, make_entry_durable
from ansible_collections.condafleet.core.plugins.module_utils.environment_request import Outcome, Request, draft_of
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.smoke_test import smoke_test


def tested(request: Request) -> Outcome:
    """The smoke test passed and the receipt written, last: from now on the generation may be used."""
    ready = request.usable()
    if ready:
        return Outcome(False, ready["name"], details={"smoke_test": ready["receipt"].get("smoke_test")})
    draft = draft_of(request)
    if draft is None:
        if request.check:
            planned = gen.next_name(gen.list_names(request.root), request.name, request.digest)
            return Outcome(True, str(planned))
        raise not_built(request)
    if request.check:
        return Outcome(True, draft["name"])
    with request.lock("test %s" % draft["name"]), cache.scratch_folder(request.root) as scratch:
        ready = request.usable()
        if ready:
            # Another run has tested it while this one waited.
            return Outcome(False, ready["name"], details={"smoke_test": ready["receipt"].get("smoke_test")})
        draft = draft_of(request)
        if draft is None:
            raise not_built(request)
        path = request.path(draft["name"])
        request.progress()("smoke test", 0, None, "", ", ".join(request.frameworks) or "python")
        try:
            results = smoke_test(
                path,
                conda=request.conda(),
                frameworks=request.frameworks,
                variables=request.variables,
                cuda=request.cuda,
                scratch=scratch,
                timeout=request.smoke_timeout,
            )
        except FleetError as error:
            files.write_json(os.path.join(path, gen.FAILED), {**draft["draft"], "failure": error.message})
            files.remove_quietly(os.path.join(path, gen.DRAFT))
            raise FleetError(
                "%s It was not put in use and stays to be looked at in %s; the next run builds it afresh."
                % (error.message, path)
            ) from error
        record = {**draft["draft"], "smoke_test": results, "frameworks": list(request.frameworks), "created": now()}
        finish(path, record)
    return Outcome(True, draft["name"], details={"smoke_test": results})


def not_built(request: Request) -> FleetError:
    return FleetError(
        "environment %r: nothing of lock %s is built below %s. Next: build it first (state: built)."
        % (request.name, request.digest[:12], request.root)
    )


def finish(path: str, record: Mapping[str, Any]) -> None:
    """Make the draft the receipt, in one step, once all that it vouches for is on disk."""
    make_durable(path)
    draft = os.path.join(path, gen.DRAFT)
    files.write_json(draft, record)
    os.rename(draft, os.path.join(path, gen.RECEIPT))
    make_entry_durable(path)
