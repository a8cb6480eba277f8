# SPDX-License-Identifier: Apache-2.0
"""What a terminal is told of long work on a node."""

from __future__ import annotations

from typing import Any

from ansible.utils.display import Display

from ansible_collections.condafleet.core.plugins.plugin_utils.follow import Outcome

display = Display()

# Whoever looks at a terminal takes longer silence for a hang.
SILENCE_SECONDS = 12.0
MB = 1_000_000


class Shown:
    """Prints a line when something moved, and one in any case before silence gets long."""

    def __init__(self, who: str) -> None:
        self.who = who
        self.text = ""
        self.step = ""
        self.time = 0.0

    def show(self, record: dict[str, Any], elapsed: float) -> None:
        text = describe(record) if record else "starting"
        step = str(record.get("step") or "")
        moved = text != self.text and (step != self.step or elapsed - self.time >= SILENCE_SECONDS / 2)
        if moved or elapsed - self.time >= SILENCE_SECONDS:
            self.line("%s (%d s)" % (text, elapsed))
            self.text, self.step, self.time = text, step, elapsed

    def line(self, text: str) -> None:
        display.display("%s: %s" % (self.who, text))


def unfinished(outcome: Outcome) -> str:
    """How far a job was that did not end within its limit, and what became of it."""
    step = describe(outcome.record) if outcome.record else "it had not begun"
    known = "Its processes on the node were ended." if outcome.stopped else "Whether it still runs is not known."
    return "the last step was: %s. %s" % (step, known)


def describe(record: dict[str, Any]) -> str:
    """`link 40/120 packages`, `fetch 312 MB of 1200 MB`, `smoke test torch`."""
    done, total, unit = record.get("done") or 0, record.get("total"), record.get("unit") or ""
    parts = [str(record.get("step"))]
    if unit == "bytes":
        parts.append("%d MB" % (done // MB) + (" of %d MB" % (total // MB) if total else ""))
    elif total and not unit.startswith("seconds"):  # these stand at the line's end
        parts.append("%d/%d %s" % (done, total, unit))
    if record.get("message"):
        parts.append(str(record["message"]))
    return " ".join(parts)
