# SPDX-License-Identifier: Apache-2.0
"""Ending a job on a node, by a shell command."""

from __future__ import annotations

# A training is asked first, and made to end after a while.
STOP_SECONDS = 20


def stop_command(group: int) -> str:
    """A command that asks a process group to end, and makes it; it fails where there is none.

    The group gets time to tidy up: what it started in groups of their own (module_utils/child_group.py) it has to end
    itself.
    """
    # No "--": dash's kill does not know it.
    ask, lives, make = (f"kill -{name} -{group} 2>/dev/null" for name in ("TERM", "0", "KILL"))
    seconds = " ".join(str(second) for second in range(STOP_SECONDS))
    return f"{ask} && {{ for second in {seconds}; do {lives} || break; sleep 1; done; {make}; true; }}"
