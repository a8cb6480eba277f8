# SPDX-License-Identifier: Apache-2.0
"""The state `tested`: smoke test and checks passed inside the new prefix, and its receipt is written, last."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import files, generation_drift
from ansible_collections.condafleet.core.plugins.module_utils import generations as gen
from ansible_collections.condafleet.core.plugins.module_utils import package_cache as cache
from ansible_collections.condafleet.core.plugins.module_utils.clock import now
from ansible_collections.condafleet.core.plugins.module_utils.disk import make_durable, make_entry_durable
from ansible_collections.condafleet.core.plugins.module_utils.environment_request import Outcome, Request, draft_of
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.post_checks import passed, run_checks
from ansible_collections.condafleet.core.plugins.module_utils.smoke_test import smoke_test

# That reading all files of a generation may take. The job that does it has a limit of its own, which is the user's.
LIST_SECONDS = 6 * 3600.0


def tested(request: Request) -> Outcome:
    """All that is asked of it passed and the receipt written, last: from now on the generation may be used.

    One that is finished is only checked again, where the checks are others than those that it has passed.
    """
    ready = request.usable()
    if ready:
        return tested_before(request, ready)
    draft = draft_of(request)
    if request.check:
        # Nothing is built in check mode, so there may be nothing to test yet.
        planned = draft["name"] if draft else request.next_name()
        return Outcome(True, planned, details=details_of({}))
    if draft is None:
        raise not_built(request)
    with request.lock("test %s" % draft["name"]), cache.scratch_folder(request.root) as scratch:
        ready = request.usable()
        if ready:
            # Another run has tested it while this one waited.
            return Outcome(False, ready["name"], details=details_of(ready["receipt"]))
        draft = draft_of(request)
        if draft is None:
            raise not_built(request)
        path = request.path(draft["name"])
        told = request.progress()
        try:
            results = smoke_test(
                path,
                conda=request.conda(),
                frameworks=request.frameworks,
                variables=request.variables,
                cuda=request.cuda,
                scratch=scratch,
                timeout=request.smoke_timeout,
                progress=lambda done, total, name: told("smoke test", done, total, "frameworks", name),
            )
            checks = check(request, path, scratch)
        except FleetError as error:
            files.write_json(os.path.join(path, gen.FAILED), {**draft["draft"], "failure": error.message})
            files.remove_quietly(os.path.join(path, gen.DRAFT))
            raise FleetError(
                "%s It was not put in use and stays to be looked at in %s; the next run builds it afresh."
                % (error.message, path)
            ) from error
        record = {**draft["draft"], "smoke_test": results, "checks": checks, "created": now()}
        record["frameworks"] = list(request.frameworks)
        record.update(generation_drift.note(path, draft["draft"]["fingerprint"], LIST_SECONDS))
        finish(path, record)
    return Outcome(True, draft["name"], details=details_of(record))


def tested_before(request: Request, ready: Mapping[str, Any]) -> Outcome:
    """A finished generation: what it has not been checked for is checked now, and noted in its receipt."""
    receipt = ready["receipt"]
    if passed(receipt, request.checks):
        return Outcome(False, ready["name"], details=details_of(receipt))
    if request.check:
        return Outcome(True, ready["name"], details=details_of(receipt))
    with request.lock("check %s" % ready["name"]), cache.scratch_folder(request.root) as scratch:
        try:
            checks = check(request, ready["path"], scratch)
        except FleetError as error:
            raise FleetError(
                "%s Nothing was switched; where it is in use already, it stays so." % error.message
            ) from error
        record = {**receipt, "checks": checks}
        files.write_json(os.path.join(ready["path"], gen.RECEIPT), record)
    return Outcome(True, ready["name"], details=details_of(record))


def check(request: Request, path: str, scratch: str) -> Optional[Dict[str, Any]]:
    return run_checks(path, request.checks, scratch=scratch, timeout=request.smoke_timeout, progress=request.progress())


def details_of(receipt: Mapping[str, Any]) -> Dict[str, Any]:
    return {"smoke_test": receipt.get("smoke_test"), "checks": receipt.get("checks")}


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
