# SPDX-License-Identifier: Apache-2.0
"""A shell command on a node that is left behind when it hangs, as at a dead file system: no signal would end it."""

from __future__ import annotations

# What it came to is written last; until then it runs.
SCRIPT = (
    'said=$(mktemp) || exit 1; { ( %s ) >"$said" 2>&1; echo "ended $?" >>"$said"; } </dev/null >/dev/null 2>&1 & '
    'n=0; until rc=$(sed -n "s/^ended //p" "$said") && [ -n "$rc" ]; do n=$((n + 1)); '
    "if [ $n -gt %d ]; then rm -f \"$said\"; echo 'no answer within %d seconds' >&2; exit 124; fi; "
    'sleep 0.1 2>/dev/null || { sleep 1; n=$((n + 9)); }; done; sed "/^ended /d" "$said" >&2; rm -f "$said"; exit "$rc"'
)


def bounded(command: str, seconds: int) -> str:
    """The command, which says what it says on standard error, and fails with 124 where it takes longer."""
    return SCRIPT % (command, 10 * seconds, seconds)
