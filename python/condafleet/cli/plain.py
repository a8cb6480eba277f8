"""What nodes, tools and logs have said, as a terminal may show it: nothing in it moves the cursor or hides a line."""

from __future__ import annotations

import re

# What steers a terminal (escape sequences, carriage return, C1), turns the direction of writing, or is no text at all.
# A line may end, and a table's cell have several.
UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str) -> str:
    """Return a text with a mark in the place of each character that is not to reach a terminal."""
    return UNSHOWN.sub("\ufffd", text)
