# SPDX-License-Identifier: Apache-2.0
"""The way back from an adoption: what was made by hand stands again in the place of the link. `current`, so to say."""

from __future__ import annotations

from typing import Any, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import generations as gen
from ansible_collections.condafleet.core.plugins.module_utils.environment_adopt import ADOPTED, give_back, newest
from ansible_collections.condafleet.core.plugins.module_utils.environment_request import (
    Outcome,
    Request,
    current_record,
    finished_names,
)
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError, InputError
from ansible_collections.condafleet.core.plugins.module_utils.generation_history import announce, confirm
from ansible_collections.condafleet.core.plugins.module_utils.installed_packages import installed_packages
from ansible_collections.condafleet.core.plugins.module_utils.plan_environments import difference, installed
from ansible_collections.condafleet.core.plugins.module_utils.progress import node_lock


def restored(request: Request) -> Outcome:
    """What was adopted last for this environment is where it stood; the generations stay, and their jobs on them.

    Nothing is to be done where somebody's own environment stands there already: it may be just that one.
    """
    state = gen.link_state(request.prefix, request.root, request.name)
    kept = newest(request.prefix, request.root, request.name)
    before = (state or {}).get("generation")
    details = {"before": before, "adopted": None, "restored": None}
    if state and not before:
        return Outcome(False, None, details=details)
    if kept is None:
        raise InputError(
            "generation",
            ADOPTED,
            "a finished generation of %s: %s" % (request.name, finished_names(request) or "none"),
            "choose one of them: nothing was adopted for %s on this node" % request.name,
        )
    packages = difference(installed(current_record(request)), installed_packages(kept))
    text = "%s: %s → what was made by hand, from %s\n" % (request.link(), before or "nothing", kept)
    details["restored"] = kept
    if not request.check:
        with node_lock(request.root, "give back %s" % request.name, request.lock_timeout):
            _give_back(request, state, kept)
    return Outcome(True, None, packages, text, details)


def _give_back(request: Request, seen: Optional[Mapping[str, Any]], kept: str) -> None:
    """Note the move, and make it. FleetError where another run was quicker. Under the node's lock."""
    state = gen.link_state(request.prefix, request.root, request.name)
    if state != seen or newest(request.prefix, request.root, request.name) != kept:
        raise FleetError(
            "environment %r: %s, or what was adopted for it, was changed by somebody else meanwhile. Next: run again. "
            "Nothing was switched." % (request.name, request.link())
        )
    announce(request.root, request.name, state, None, request.why, request.run)
    try:
        given = give_back(request.prefix, request.root, request.name)
    except OSError as error:
        raise FleetError(
            "environment %r: %s can't be moved back to %s: %s. Next: see to that, and run again. Nothing of it is lost."
            % (request.name, kept, request.link(), error.strerror)
        ) from error
    if given is None:
        raise FleetError(
            "environment %r: somebody made another one at %s meanwhile, which stays. Next: move it away, and run again."
            % (request.name, request.link())
        )
    confirm(request.root, request.name)
