"""The one tree of errors that condafleet raises."""


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
