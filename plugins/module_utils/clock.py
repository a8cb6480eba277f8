# SPDX-License-Identifier: Apache-2.0
"""The one form in which condafleet writes down when something happened."""

from __future__ import annotations

import time

FORM = "%Y-%m-%dT%H:%M:%SZ"


def now() -> str:
    """The time in UTC, to the second: 2026-01-31T12:00:00Z."""
    return stamp(time.time())


def stamp(seconds: float) -> str:
    """That form of a time in seconds, as the system tells that of a file."""
    return time.strftime(FORM, time.gmtime(seconds))
