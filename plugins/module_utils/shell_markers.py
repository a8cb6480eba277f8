# SPDX-License-Identifier: Apache-2.0
"""Blocks in start-up files: finding them, putting ours there, taking it out again. Pure, in bytes.

The markers are conda's own, so that `conda init --reverse` and its users find the block.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Optional, Sequence

START = b"# >>> conda initialize >>>"
END = b"# <<< conda initialize <<<"
WRITTEN = b"# Written by condafleet (role shell_init) for "
# A note in our block says how to undo it wholly.
CREATED = b"# condafleet: this file was made for this block, with folders above it: "

BLOCK = re.compile(
    rb"^" + re.escape(START) + rb"[^\n]*\n(?:.*?\n)??" + re.escape(END) + rb"[^\n]*(?:\n|\Z)", re.M | re.S
)
MARK = re.compile(rb"^(?:" + re.escape(START) + rb"|" + re.escape(END) + rb")", re.M)
OURS = re.compile(rb"^" + re.escape(WRITTEN) + rb"(/[^\n]*)$", re.M)
NOTE = re.compile(rb"^" + re.escape(CREATED) + rb"(\d+)\n", re.M)
# What `conda init` writes names the installation by one of these.
PREFIX = re.compile(
    rb"[\"'\s](/[^\"'\n]*?)/"
    rb"(?:etc/profile\.d/conda\.c?sh|etc/fish/conf\.d/conda\.fish|bin/(?:conda|activate)|condabin(?:/conda)?)[\"'\s:]"
)
# Before these, nothing has been done yet. A `\r` has one place to match only: with two, a long file takes for ever.
IDLE = re.compile(rb"(?:[ \t\r]*(?:#[^\n]*)?\n)*\Z")


def block(prefix: str, lines: Sequence[str], created: Optional[int] = None) -> bytes:
    """Our block; `created` is the number of folders that were made for its file, if the file was."""
    notes = [] if created is None else [CREATED + b"%d" % created]
    body = [line.encode("utf-8") for line in lines]
    return b"\n".join([START, WRITTEN + prefix.encode("utf-8"), *notes, *body, END, b""])


def inspect(content: Optional[bytes], prefix: str) -> Dict[str, Any]:
    """{block: absent|present|other|damaged, prefix: whose, or None, blocks: [{prefix, text, ours, leads}]}.

    `present` is one block, that condafleet wrote for `prefix`. What it has to say is a matter of the declaration.
    `leads`: nothing but comments stands before it.
    """
    content = content or b""
    found = list(BLOCK.finditer(content))
    if len(MARK.findall(content)) != 2 * len(found):
        return {"block": "damaged", "prefix": None, "blocks": []}
    blocks = [
        {
            "prefix": prefix_of(match.group()),
            "text": NOTE.sub(b"", match.group()).decode("utf-8", "replace"),
            "ours": OURS.search(match.group()) is not None,
            "leads": IDLE.match(content[: match.start()]) is not None,
        }
        for match in found
    ]
    if not found:
        return {"block": "absent", "prefix": None, "blocks": blocks}
    # Another installation's block is what matters, if there is one.
    named = next((one["prefix"] for one in blocks if one["prefix"] != prefix), prefix)
    own = len(blocks) == 1 and bool(blocks[0]["ours"]) and named == prefix
    return {"block": "present" if own else "other", "prefix": named, "blocks": blocks}


def prefix_of(text: bytes) -> Optional[str]:
    found = OURS.search(text) or PREFIX.search(text)
    return found.group(1).decode("utf-8", "replace") if found else None


def put(content: Optional[bytes], prefix: str, lines: Sequence[str], first: bool = False, folders: int = 0) -> bytes:
    """The content with our block: in the place of one that is there, else at the end, or `first`.

    `folders` is how many have to be made for a file that does not exist.
    """
    if content is None:
        return block(prefix, lines, folders)
    found = list(BLOCK.finditer(content))
    note = next((NOTE.search(match.group()) for match in found if NOTE.search(match.group())), None)
    text = block(prefix, lines, int(note.group(1)) if note else None)
    if found and (not first or IDLE.match(content[: found[0].start()])):
        place = found[0].start()
    else:
        place = 0 if first else end_of_lines(cut(content, found))
    rest = cut(content, found)
    return rest[:place] + text + rest[place:]


def end_of_lines(content: bytes) -> int:
    """Where the block goes that is to be read last.

    Before empty lines at the end, since `conda init --reverse` takes those that stand before a block. And before all
    where the last line has no end: what was added there could not be taken away again by conda.
    """
    rest = content[len(content.rstrip()) :]
    return len(content.rstrip()) + rest.index(b"\n") + 1 if content.strip() and b"\n" in rest else 0


def drop(content: bytes, prefix: str, ours_only: bool = False) -> bytes:
    """The content without the blocks of this installation, or without those that condafleet wrote for it."""
    return cut(
        content,
        [
            match
            for match in BLOCK.finditer(content)
            if prefix_of(match.group()) == prefix and (OURS.search(match.group()) or not ours_only)
        ],
    )


def made_folders(content: bytes, prefix: str) -> Optional[int]:
    """How many folders were made for this file; None where it was there before the block."""
    for match in BLOCK.finditer(content):
        note = NOTE.search(match.group())
        if note and prefix_of(match.group()) == prefix:
            return int(note.group(1))
    return None


def cut(content: bytes, matches: "List[re.Match[bytes]]") -> bytes:
    for match in reversed(matches):
        content = content[: match.start()] + content[match.end() :]
    return content
