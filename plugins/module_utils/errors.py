# SPDX-License-Identifier: Apache-2.0
"""The errors of the node side: one clear message each."""

from __future__ import annotations

from typing import Any

from ansible_collections.condafleet.core.plugins.module_utils.url_secrets import masked_logins


class FleetError(Exception):
    """Something could not be done; the message says what was found, what is accepted, and the next step."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InputError(FleetError):
    """An input is not acceptable; nothing was changed anywhere."""

    def __init__(self, variable: str, value: Any, accepted: str, next_step: str) -> None:
        self.variable = variable
        self.value = value
        self.accepted = accepted
        self.next_step = next_step
        shown = "an empty value" if value in (None, "") else masked_logins(str(value))  # a URL may have a login in it
        super().__init__(f"{variable}: {shown} is not accepted. Accepted: {accepted}. Next: {next_step}.")

    def __reduce__(self) -> Any:
        # Exception would be copied with its one message, which is not what __init__ takes.
        return type(self), (self.variable, self.value, self.accepted, self.next_step)


class SpecError(FleetError):
    """A spec can't be locked as it is written; the message names the environment and the entry."""
