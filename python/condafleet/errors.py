"""The one tree of errors that condafleet raises."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from condafleet.results import FleetResult


class CondafleetError(Exception):
    """Whatever went wrong, in one clear message: what was found, what is accepted, what to do next."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InputError(CondafleetError):
    """An argument, a variable or a file of the user's is not acceptable; nothing was changed anywhere."""


class DepotError(CondafleetError):
    """A depot could not be built, read or served."""


class LockError(CondafleetError):
    """An environment could not be locked: its spec is missing, wrong or cannot be satisfied."""


class RunError(CondafleetError):
    """A playbook could not be run to its end: it did not start, was interrupted, or ran past its limit."""


class RunInterruptedError(RunError):
    """The run was cancelled (Ctrl-C, SIGTERM); what was already started on the nodes may still be running there."""


class FleetError(CondafleetError):
    """The run ended, and some nodes failed or could not be reached; `result` says which and why."""

    def __init__(self, message: str, result: FleetResult) -> None:
        super().__init__(message)
        self.result = result
