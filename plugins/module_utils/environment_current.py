# SPDX-License-Identifier: Apache-2.0
"""The state `current`: `PREFIX/envs/NAME` leads to the generation; one step for whoever opens it."""

from __future__ import annotations

import os
from typing import Any, Mapping, Optional

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils import generations as gen
from ansible_collections.condafleet.core.plugins.module_utils.environment_adopt import (
    ADOPTED,
    adopt,
    next_path,
    refusal,
    tidy,
)
from ansible_collections.condafleet.core.plugins.module_utils.environment_request import (
    Outcome,
    Request,
    before_packages,
    chosen,
    finished_names,
)
from ansible_collections.condafleet.core.plugins.module_utils.environment_restored import restored
from ansible_collections.condafleet.core.plugins.module_utils.environment_standing import is_moved, recorded
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError, InputError
from ansible_collections.condafleet.core.plugins.module_utils.generation_history import ADOPT, announce, confirm, read
from ansible_collections.condafleet.core.plugins.module_utils.generation_links import note_prefix
from ansible_collections.condafleet.core.plugins.module_utils.plan_environments import difference, installed, not_ours
from ansible_collections.condafleet.core.plugins.module_utils.progress import node_lock


def current(request: Request) -> Outcome:
    """`PREFIX/envs/NAME` leads to the generation: one step for whoever opens it."""
    if request.generation == ADOPTED:
        return restored(request)
    request.note_damaged()
    state = gen.link_state(request.prefix, request.root, request.name)
    aside = check_place(request, state)
    before = (state or {}).get("generation")
    held = before_packages(request)
    details = {"before": before, "adopted": aside, "restored": None}
    wanted = request.generation or chosen(request)
    if wanted is None:
        if request.check:
            planned = request.next_name()
            packages = difference(held, [package.to_dict() for package in request.packages])
            return Outcome(True, planned, packages, switch_text(request, before, planned, aside), details)
        raise FleetError(
            "environment %r: no finished generation of lock %s is below %s. Next: build and test it first "
            "(states built, tested)." % (request.name, request.digest[:12], request.root)
        )
    record = gen.observe_generation(request.root, wanted, with_fingerprint=bool(request.generation))
    if not record or not record["finished"] or record["environment"] != request.name:
        raise InputError(
            "generation",
            wanted,
            "a finished generation of %s: %s" % (request.name, finished_names(request) or "none"),
            "choose one of them, or build it",
        )
    packages = difference(held, installed(record))
    of_lock = {key: str(record["receipt"].get(key) or "") for key in ("digest", "target")}
    if leads_to(state, wanted):
        return Outcome(False, wanted, details=details, **of_lock)
    if record["drifted"] or record["broken"]:
        raise FleetError(
            "environment %r: %s is not what its receipt says it was. Accepted: a generation that nobody changed. "
            "Next: choose another one. Nothing was switched." % (request.name, wanted)
        )
    text = switch_text(request, before, wanted, aside)
    if not request.check:
        with node_lock(request.root, "switch %s" % request.name, request.lock_timeout):
            details["adopted"] = put_in_place(request, record["path"])
    return Outcome(True, wanted, packages, text, details, **of_lock)


def check_place(request: Request, state: Optional[Mapping[str, Any]]) -> Optional[str]:
    """Where the environment that was made by hand will be kept, if one stands there; None where none does.

    FleetError where it is not to be adopted, or can't be now.
    """
    if not state or state["generation"] or is_moved({**state, "recorded": recorded_of(request, state)}):
        return None
    if not request.adopt:
        raise FleetError(not_ours(request.name, request.link(), state))
    reason = refusal(request.prefix, request.name)
    if reason:
        raise FleetError(reason)
    return next_path(request.prefix, request.root, request.name)


def recorded_of(request: Request, state: Mapping[str, Any]) -> Optional[str]:
    return recorded(read(request.root).get(request.name, []), state)


def leads_to(state: Optional[Mapping[str, Any]], generation: str) -> bool:
    return bool(state and state["generation"] == generation and state["kind"] == "link")


def put_in_place(request: Request, target: str) -> Optional[str]:
    """Note the move, and make it; where what stood there is kept, if it was adopted. Under the node's lock.

    All is looked at once more: another run may have been quicker.
    """
    state, wanted = gen.link_state(request.prefix, request.root, request.name), os.path.basename(target)
    if gen.read_receipt(target) is None:
        raise FleetError(
            "environment %r: %s was removed by another run meanwhile. Next: run again. Nothing was switched."
            % (request.name, wanted)
        )
    note_prefix(request.root, request.prefix)
    if check_place(request, state):
        announce(request.root, request.name, None, wanted, ADOPT, request.run)
        aside = adopt(request.prefix, request.root, request.name, target)
        confirm(request.root, request.name)
        return aside
    # What an adoption that was cut short may have left.
    tidy(request.prefix, request.root)
    if not leads_to(state, wanted):
        announce(request.root, request.name, state, wanted, request.why, request.run)
        put_link(request.link(), target)
        confirm(request.root, request.name)
    return None


def put_link(link: str, target: str) -> None:
    """Make the link, or move it, in one step. FleetError where a folder came in between."""
    folder = os.path.dirname(link)
    try:
        if not os.path.isdir(folder):
            os.makedirs(folder, exist_ok=True)
            os.chmod(folder, 0o755)  # noqa: S103 - users pass through it, whatever the umask of whoever runs this
        # Beside the folder: in it conda would list what an attempt has left that was cut short, which is one at most.
        temporary = os.path.join(os.path.dirname(os.path.realpath(folder)), ".condafleet-" + os.path.basename(link))
        files.remove_quietly(temporary)
        os.symlink(target, temporary)
        os.replace(temporary, link)
    except OSError as error:
        raise FleetError("%s can't be made a link to %s: %s." % (link, target, error.strerror)) from error


def switch_text(request: Request, before: Optional[str], after: str, aside: Optional[str] = None) -> str:
    """One line for a diff; one more for what is moved aside."""
    kept = "%s: made by hand, moved to %s\n" % (request.link(), aside) if aside else ""
    return kept + "%s: %s → %s\n" % (request.link(), before or "nothing", after)
