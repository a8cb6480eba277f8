# SPDX-License-Identifier: Apache-2.0
"""The block that makes `conda` known in a shell's start-up file, and the edits of such files. Pure, in bytes.

The markers are conda's own, so that `conda init --reverse` and its users find the block. What stands between them only
sources a static file (5 ms), where conda's own block starts Python (0.2 to 1.9 s in every shell).
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Mapping, Optional

START = b"# >>> conda initialize >>>"
END = b"# <<< conda initialize <<<"
# Notes in our block say how to undo it to the byte.
CREATED = b"# condafleet: this file was made for this block"
JOINED = b"# condafleet: the line above had no end"

BLOCK = re.compile(
    rb"^" + re.escape(START) + rb"[^\n]*\n(?:.*?\n)??" + re.escape(END) + rb"[^\n]*(?:\n|\Z)", re.M | re.S
)
MARK = re.compile(rb"^(?:" + re.escape(START) + rb"|" + re.escape(END) + rb")", re.M)
# Both our own block and what `conda init` writes name the installation by one of these.
PREFIX = re.compile(rb"[\"'\s](/[^\"'\n]*?)/(?:etc/profile\.d/conda\.sh|bin/conda|condabin/conda|bin/activate)[\"'\s]")

Change = Dict[str, Any]


def block(prefix: str, note: bytes = b"") -> bytes:
    """Our block for an installation: POSIX shell, silent, and sound under `set -eu`."""
    script = (prefix + "/etc/profile.d/conda.sh").encode("utf-8")
    lines = [START, b"# Written by condafleet (role shell_init); `conda init` may replace it."]
    lines += [note] if note else []
    lines += [b'if [ -f "%s" ]; then' % script, b'    . "%s"' % script, b"fi", END, b""]
    return b"\n".join(lines)


def inspect(content: Optional[bytes], prefix: str) -> Dict[str, Any]:
    """{block: absent|present|other|damaged, prefix: the installation that it is of, or None, blocks: [{prefix, text}]}.

    `present` is our block for `prefix`, to the byte, and no second one.
    """
    found = list(BLOCK.finditer(content or b""))
    if len(MARK.findall(content or b"")) != 2 * len(found):
        return {"block": "damaged", "prefix": None, "blocks": []}
    blocks = [{"prefix": prefix_of(match.group()), "text": match.group().decode("utf-8", "replace")} for match in found]
    if not found:
        return {"block": "absent", "prefix": None, "blocks": blocks}
    exact = len(found) == 1 and found[0].group() == block(prefix, note_of(found[0].group()))
    # Another installation's block is what matters, if there is one.
    named = next((one["prefix"] for one in blocks if one["prefix"] != prefix), prefix)
    return {"block": "present" if exact else "other", "prefix": named, "blocks": blocks}


def note_of(text: bytes) -> bytes:
    return next((note for note in (CREATED, JOINED) if note in text.split(b"\n")), b"")


def prefix_of(text: bytes) -> Optional[str]:
    found = PREFIX.search(text)
    return found.group(1).decode("utf-8", "replace") if found else None


def put(content: Optional[bytes], prefix: str) -> bytes:
    """The content with our block: in the place of the first one that is there, else at the end."""
    if content is None:
        return block(prefix, CREATED)
    found = list(BLOCK.finditer(content))
    if found:
        first = found[0]
        rest = _without(content[first.end() :], found[1:], first.end())
        return content[: first.start()] + block(prefix, note_of(first.group())) + rest
    if content and not content.endswith(b"\n"):
        return content + b"\n" + block(prefix, JOINED)
    return content + block(prefix)


def drop(content: bytes, prefix: str) -> Optional[bytes]:
    """The content without the blocks of this installation; None where the file was made for the block alone."""
    result = content
    created = False
    for match in reversed([match for match in BLOCK.finditer(content) if prefix_of(match.group()) == prefix]):
        note = note_of(match.group())
        before, after = result[: match.start()], result[match.end() :]
        created = created or note == CREATED
        if note == JOINED and not after and before.endswith(b"\n"):
            before = before[:-1]
        result = before + after
    return None if created and not result else result


def _without(content: bytes, matches: List["re.Match[bytes]"], offset: int) -> bytes:
    for match in reversed(matches):
        content = content[: match.start() - offset] + content[match.end() - offset :]
    return content


def selected(shells: Mapping[str, Any], declared: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The observed files that the declaration is about."""
    users = declared.get("users") or [shells.get("user")]
    for entry in shells["files"]:
        wanted = entry["shell"] in declared["shells"] and entry["scope"] == declared["scope"]
        if wanted and (entry["scope"] == "system" or entry["user"] in users):
            yield entry


def refuse_shells(shells: Mapping[str, Any], declared: Mapping[str, Any]) -> Optional[str]:
    """Why the declared state can't be had on this node, in one message; None where it can."""
    if declared["scope"] == "users":
        for problem in shells.get("problems") or []:
            return str(problem)
    for entry in selected(shells, declared):
        if entry["problem"]:
            return str(entry["problem"])
        if entry["block"] == "damaged":
            return (
                f"{entry['path']}: has a marker of `conda initialize` without its counterpart. Accepted: both or none. "
                "Next: remove what is left of that block by hand. Nothing was changed."
            )
        foreign = entry["block"] == "other" and entry["prefix"] != declared["prefix"]
        if foreign and declared.get("state", "present") == "present" and not declared.get("replace"):
            return (
                f"{entry['path']}: holds the `conda initialize` block of {entry['prefix'] or 'another installation'}, "
                f"not of {declared['prefix']}. Next: set shell_init_replace: true to replace it, or remove it by "
                "`conda init --reverse` of that installation. Nothing was changed."
            )
    return None


def plan_shells(shells: Mapping[str, Any], declared: Mapping[str, Any]) -> List[Change]:
    """What would change: {what: path, before: the block that is there, after}; empty where there is nothing to do."""
    changes: List[Change] = []
    ours = block(declared["prefix"]).decode("utf-8")
    for entry in selected(shells, declared):
        if declared.get("state", "present") == "present":
            if entry["block"] != "present" or entry["prefix"] != declared["prefix"]:
                changes.append({"what": entry["path"], "before": _texts(entry["blocks"]), "after": ours})
        else:
            own = [one for one in entry["blocks"] if one["prefix"] == declared["prefix"]]
            if own:
                changes.append({"what": entry["path"], "before": _texts(own), "after": ""})
    return changes


def _texts(blocks: List[Mapping[str, Any]]) -> str:
    return "".join(str(one["text"]) for one in blocks)
