# SPDX-License-Identifier: Apache-2.0
"""What has to change in a node's start-up files for a declaration, and what forbids it. Pure.

The declaration is the whole truth for its installation: where condafleet wrote a block and none is declared any more
(another scope, user, shell or start), the block is taken out.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.shell_markers import block
from ansible_collections.condafleet.core.plugins.module_utils.shell_text import leads, wanted

Change = Dict[str, Any]
Entry = Mapping[str, Any]


def declared_users(shells: Mapping[str, Any], declared: Mapping[str, Any]) -> List[str]:
    """Whose files the declaration is about."""
    if declared["scope"] == "system":
        return []
    if declared["scope"] == "group":
        return list((shells.get("group") or {}).get("members") or [])
    return list(declared.get("users") or [shells.get("user")])


def selected(shells: Mapping[str, Any], declared: Mapping[str, Any]) -> Iterator[Entry]:
    """The observed files that are in the declaration's scope and are read by one of its shells."""
    users = declared_users(shells, declared)
    for entry in shells["files"]:
        mine = entry["scope"] == "system" if declared["scope"] == "system" else entry["user"] in users
        if mine and any(shell in declared["shells"] for shell in entry["shells"]):
            yield entry


def refuse_shells(shells: Mapping[str, Any], declared: Mapping[str, Any]) -> Optional[str]:
    """Why the declared state can't be had on this node, in one message; None where it can."""
    if declared["scope"] != "system":
        for problem in shells.get("problems") or []:
            return str(problem)
    return next((why for entry, why in objections(shells, declared) if is_named(entry["user"], declared, shells)), None)


def left_out(shells: Mapping[str, Any], declared: Mapping[str, Any]) -> Dict[str, str]:
    """{user: why files of theirs stay as they are}: nobody named them, and one of them must not stop the node."""
    found: Dict[str, str] = {}
    for entry, why in objections(shells, declared):
        if not is_named(entry["user"], declared, shells):
            found.setdefault(entry["user"], why)
    return found


def is_named(user: Optional[str], declared: Mapping[str, Any], shells: Mapping[str, Any]) -> bool:
    """Whether the declaration is about this user by name, or about the system."""
    return not user or (declared["scope"] == "users" and user in declared_users(shells, declared))


def objections(shells: Mapping[str, Any], declared: Mapping[str, Any]) -> Iterator[Tuple[Entry, str]]:
    """What is in the way of the declaration, file by file."""
    chosen = {entry["path"] for entry in selected(shells, declared)}
    for entry in shells["files"]:
        why = conflict(entry, declared) if entry["path"] in chosen else None
        if why is None and change_of(entry, shells, declared, entry["path"] in chosen):
            why = entry["unwritable"]
        if why:
            yield entry, why


def conflict(entry: Entry, declared: Mapping[str, Any]) -> Optional[str]:
    """What stands in a file that is declared, and is not ours to change."""
    wish = wanted(entry, declared)
    if wish is None and not entry["blocks"] and entry["block"] != "damaged":
        return None
    if entry["problem"]:
        return str(entry["problem"])
    if entry["block"] == "damaged":
        return (
            f"{entry['path']}: has a marker of `conda initialize` without its counterpart. Accepted: both or none. "
            "Next: remove what is left of that block by hand. Nothing was changed."
        )
    foreign = entry["block"] == "other" and entry["prefix"] != declared["prefix"]
    if wish is not None and foreign and not declared.get("replace"):
        return (
            f"{entry['path']}: {described(entry)} {entry['prefix'] or 'another installation'}, "
            f"not of {declared['prefix']}. Next: set shell_init_replace: true to replace it, or remove it"
            f"{'' if entry['kind'] == 'program' else ' by `conda init --reverse` of that installation'}. "
            "Nothing was changed."
        )
    return None


def described(entry: Entry) -> str:
    return "is a link to the conda of" if entry["kind"] == "program" else "holds the `conda initialize` block of"


def plan_shells(shells: Mapping[str, Any], declared: Mapping[str, Any]) -> List[Change]:
    """What would change: {what: path, before: the block that is there, after}; empty where there is nothing to do."""
    return [change for _entry, change in changes_of(shells, declared)]


def changes_of(shells: Mapping[str, Any], declared: Mapping[str, Any]) -> Iterator[Tuple[Entry, Change]]:
    chosen = {entry["path"] for entry in selected(shells, declared)}
    out = left_out(shells, declared)
    # Who is left out keeps all as it is. Where blocks are taken out, all are that can be.
    kept = () if is_off(declared) else declared_users(shells, declared)
    for entry in shells["files"]:
        if entry["user"] in out and (entry["user"] in kept or entry["unwritable"]):
            continue
        change = change_of(entry, shells, declared, entry["path"] in chosen)
        if change:
            yield entry, change


def change_of(entry: Entry, shells: Mapping[str, Any], declared: Mapping[str, Any], chosen: bool) -> Optional[Change]:
    """What the declaration would change in one file; `chosen` where it is in its scope and read by its shells."""
    wish = wanted(entry, declared) if chosen else None
    if wish is not None:
        after = text_of(entry, declared["prefix"], wish)
        if stands(entry, declared, after):
            return None
        return {"what": entry["path"], "before": _texts(entry["blocks"]), "after": after}
    # A shell that is declared has no block of this installation but the declared ones. Elsewhere, what a user
    # did by `conda init` is the user's; a link that we did not make is the administrator's.
    everybody_s = chosen and is_off(declared) and entry["kind"] != "program"
    own = [one for one in entry["blocks"] if one["prefix"] == declared["prefix"] and (one["ours"] or everybody_s)]
    if own and (shells.get("superuser") or entry["user"] == shells.get("user") or chosen):
        return {"what": entry["path"], "before": _texts(own), "after": ""}
    return None


def is_off(declared: Mapping[str, Any]) -> bool:
    return declared.get("state", "present") != "present" or declared.get("mode") == "off"


def text_of(entry: Entry, prefix: str, lines: List[str]) -> str:
    """What is to stand there: our block, or where the link leads."""
    return lines[0] if entry["kind"] == "program" else block(prefix, lines).decode("utf-8")


def stands(entry: Entry, declared: Mapping[str, Any], text: str) -> bool:
    """Whether this is there already, to the byte, alone, and at a place where it is read."""
    blocks = entry["blocks"]
    if len(blocks) != 1 or blocks[0]["text"] != text:
        return False
    return bool(blocks[0]["leads"] or not leads(entry, declared))


def described_files(shells: Mapping[str, Any], declared: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The files that are to hold a block, or to lose one: {path, shells, user, changed}."""
    changed = {change["what"] for change in plan_shells(shells, declared)}
    out = left_out(shells, declared)
    held = {
        entry["path"]
        for entry in selected(shells, declared)
        if wanted(entry, declared) is not None and entry["user"] not in out
    }
    return [
        {"path": entry["path"], "shells": entry["shells"], "user": entry["user"], "changed": entry["path"] in changed}
        for entry in shells["files"]
        if entry["path"] in held | changed
    ]


def users_left(shells: Mapping[str, Any], prefix: str) -> List[str]:
    """The users in whose files condafleet's blocks of this installation stand, or may stand: a home that was noted
    and can't be looked at today is not forgotten.
    """
    found = {one["user"] for one in shells["skipped"] if one["noted"]}
    for entry in shells["files"]:
        hidden = entry["problem"] and entry["user"] in shells["noted"]
        if entry["user"] and (hidden or holds_ours(entry, prefix)):
            found.add(entry["user"])
    return sorted(found)


def holds_ours(entry: Entry, prefix: str) -> bool:
    return any(one["ours"] and one["prefix"] == prefix for one in entry["blocks"])


def skipped(shells: Mapping[str, Any], declared: Mapping[str, Any]) -> List[Dict[str, str]]:
    """[{user, why}]: whose files stay as they are, though the declaration is about them, or a block may be there."""
    reasons = {one["user"]: one["why"] for one in shells["skipped"]}
    kept = () if is_off(declared) else declared_users(shells, declared)
    for entry in shells["files"]:
        if entry["problem"] and entry["user"] in shells["noted"] and entry["user"] not in kept:
            reasons.setdefault(entry["user"], entry["problem"])
    return [{"user": user, "why": why} for user, why in {**reasons, **left_out(shells, declared)}.items()]


def _texts(blocks: List[Mapping[str, Any]]) -> str:
    return "".join(str(one["text"]) for one in blocks)
