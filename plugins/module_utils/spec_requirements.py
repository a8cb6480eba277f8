# SPDX-License-Identifier: Apache-2.0
"""A requirements.txt as a spec: what it asks for, what constrains it, and the hashes that its wheels must have. Pure.

Whoever calls hands in how a file is read, since one may name others.
"""

from __future__ import annotations

import os
import re
from typing import Any, Callable, Dict, Iterator, List, Optional, Set, Tuple

from ansible_collections.condafleet.core.plugins.module_utils.errors import SpecError
from ansible_collections.condafleet.core.plugins.module_utils.projects import normal_name
from ansible_collections.condafleet.core.plugins.module_utils.url_secrets import masked

Read = Callable[[str], str]

_NAME = re.compile(r"^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_COMMENT = re.compile(r"(^|\s)#.*$")
_OPTION = re.compile(r"^(--[a-z-]+|-[a-z])(?:\s*=\s*|\s+)?(.*)$")
_HASH = re.compile(r"\s--hash(?:=|\s+)(\S+)")
_SHA256 = re.compile(r"^sha256:[0-9a-f]{64}$")
_INCLUDES = {"-r": "pip", "--requirement": "pip", "-c": "constraints", "--constraint": "constraints"}
# What is done anyway: wheels only, and hashes for all as soon as one has any.
_DONE_ANYWAY = ("--only-binary", "--prefer-binary", "--require-hashes")
_INDEX_OPTIONS = ("-i", "--index-url", "--extra-index-url", "--no-index", "-f", "--find-links", "--trusted-host")
_DEEPEST = 20


def parse_requirements(environment: str, path: str, read: Read) -> Dict[str, Any]:
    """`{pip: [..], constraints: [..], hashes: {project: [sha256..]}}` of a file with all that it names by -r and -c.

    The order of lines, comments and continued lines make no difference. SpecError names file and line.
    """
    found: Dict[str, Any] = {"pip": set(), "constraints": set(), "hashes": {}}
    _take(found, "pip", os.path.normpath(path), read, "environments_list: %s" % environment, ())
    return {
        "pip": sorted(found["pip"]),
        "constraints": sorted(found["constraints"]),
        "hashes": {name: sorted(hashes) for name, hashes in sorted(found["hashes"].items())},
    }


def _take(found: Dict[str, Any], part: str, path: str, read: Read, where: str, above: Tuple[str, ...]) -> None:
    if path in above or len(above) > _DEEPEST:
        raise SpecError(
            "%s: %s names itself, by way of %s. Accepted: files that end. Next: take one of the -r or -c lines out."
            % (where, path, " → ".join([*above, path]))
        )
    for number, line in _lines(read(path)):
        place = "%s: %s, line %d" % (where, path, number)
        if line.startswith("-"):
            inner = _included(line, place)
            if inner:
                below = os.path.normpath(os.path.join(os.path.dirname(path), inner[1]))
                # What a file of constraints names is a constraint too, whichever way it names it.
                chosen = "constraints" if part == "constraints" else inner[0]
                _take(found, chosen, below, read, where, (*above, path))
            continue
        name, text, hashes = _requirement(line, place)
        found[part].add(text)
        if hashes:
            found["hashes"].setdefault(name, set()).update(hashes)


def _lines(text: str) -> Iterator[Tuple[int, str]]:
    """Logical lines with the number of their first physical one: continued lines joined, comments and blanks gone."""
    pending: List[str] = []
    start = 0
    for number, line in enumerate([*text.replace("\r\n", "\n").lstrip("\ufeff").split("\n"), ""], 1):
        start = start if pending else number
        # As pip does: a comment is over at the end of its own line, also where that ends in a backslash.
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            pending.append(line[:-1] + " ")
            continue
        whole = "".join([*pending, "" if comment and pending else line])
        pending = []
        kept = _COMMENT.sub("", whole).strip()
        if kept:
            yield start, " ".join(kept.split())


def _included(line: str, place: str) -> Optional[Tuple[str, str]]:
    """The part and path that a -r or -c line names, None for an option that asks for nothing more."""
    parts = _OPTION.match(line)
    option, value = (parts.group(1), parts.group(2).strip()) if parts else (line, "")
    if option in _INCLUDES and value and "://" not in value:
        return _INCLUDES[option], value
    if option in _DONE_ANYWAY:
        return None
    if option in _INDEX_OPTIONS:
        wrong, following = "an index option", "take it out, and name the index in environments_indexes, or in indexes "
        following += "of this environment (its login in environments_auth)"
    elif option in ("-e", "--editable"):
        wrong, following = "an editable project", "build a wheel of it, put it on an index, and name that in indexes"
    elif option == "--pre":
        wrong, following = "an option", "name the pre-release itself, as in 'torch==2.9.0rc1'"
    else:
        wrong, following = "an option", "take it out"
    raise SpecError(
        "%s: %r is %s. Accepted: projects with versions, -r FILE, -c FILE and --hash=sha256:…. Next: %s."
        % (place, masked(option), wrong, following)
    )


def _requirement(line: str, place: str) -> Tuple[str, str, Set[str]]:
    """Name, requirement without its hashes, and the hashes."""
    given = _HASH.findall(" " + line)
    text = _HASH.sub("", " " + line).strip()
    name = _NAME.match(text)
    beyond = text.split(";", 1)[0]
    if not name or "://" in beyond or "@" in beyond or "/" in beyond or beyond.endswith((".whl", ".zip", ".gz")):
        raise SpecError(
            "%s: %r is a URL, a repository or a path. Accepted: projects with versions. Next: put a wheel of it on an "
            "index, name that in indexes of this environment, and ask for the project by its name."
            % (place, masked(text.split("?")[0]))
        )
    if " --" in text:
        raise SpecError(
            "%s: %r is an option. Accepted: --hash=sha256:…. Next: take it out."
            % (place, " --" + text.split(" --", 1)[1].split("=")[0].split()[0])
        )
    hashes = {one.split(":", 1)[1] for one in given if _SHA256.match(one)}
    if given and not hashes:
        raise SpecError(
            "%s: %s has no hash of an accepted kind. Accepted: --hash=sha256: and 64 hexadecimal digits. Next: write "
            "the file again with such." % (place, name.group(0))
        )
    return normal_name(name.group(0)), text, hashes
