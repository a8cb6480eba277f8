"""What the exit status says; scripts rely on it. Pure."""

from __future__ import annotations

from ansible_collections.condafleet.core.plugins.module_utils.findings import BAD
from condafleet.errors import CondafleetError, InputError, LockError, RunInterruptedError
from condafleet.results import FleetResult, HostResult

FINE = 0
NODE_FAILED = 1
BAD_INPUT = 2
STALE = MOVED = 3
UNREACHABLE = 4
NOT_VALID = 5
INTERRUPTED = 130


def exit_code(result: FleetResult, verb: str, *, check: bool = False) -> int:
    """Return the exit status for a run that came to its end.

    A failed node says more than one that could not be reached, and both say more than a verdict of the validation.
    Only `status` counts a verdict of an earlier run, and a node that is not as declared says more there, as ever.
    """
    if any(not _not_valid(result.hosts[name]) for name in result.failed):
        return NODE_FAILED
    if result.unreachable:
        return UNREACHABLE
    if result.failed:
        return NOT_VALID
    if verb in ("provision", "validate") and any(map(_not_valid, result.hosts.values())):
        return NOT_VALID
    if verb == "status" and any(host.state != "ok" for host in result.hosts.values()):
        return STALE
    if verb == "status" and any(host.bad_verdict for host in result.hosts.values()):
        return NOT_VALID
    if verb == "audit" and result.audit()["fleet"]["not_accepted"]:
        return STALE
    if verb == "lock" and check and (result.changed or _unlocked(result)):
        return STALE
    return FINE


def error_code(error: CondafleetError) -> int:
    """Return the exit status for a run that could not be done."""
    if isinstance(error, RunInterruptedError):
        return INTERRUPTED
    return BAD_INPUT if isinstance(error, InputError | LockError) else NODE_FAILED


def _not_valid(host: HostResult) -> bool:
    """Say whether this run gave a host a bad verdict; one that was stored before does not count."""
    checks = host.data.get("checks") or {}
    if checks.get("lost"):
        return False  # it dropped out for another reason, which is the one to say
    if checks.get("verdict") in BAD:
        return True
    fresh = HostResult(host.name, host.status, data={"validation": host.data.get("validation", {})})
    return any(one["verdict"] in BAD for one in fresh.validation.values())


def _unlocked(result: FleetResult) -> bool:
    return any(one.get("state") != "reused" for targets in result.locks.values() for one in targets.values())
