# SPDX-License-Identifier: Apache-2.0
"""An explicit list as a spec: the conda packages themselves, by URL, as `conda list --explicit` writes them. Pure."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Sequence

from ansible_collections.condafleet.core.plugins.module_utils.errors import SpecError
from ansible_collections.condafleet.core.plugins.module_utils.url_secrets import host_of, masked, secret_in

MARK = "@EXPLICIT"
_SUBDIR = re.compile(r"^(noarch|[a-z]+-[a-z0-9_]+)$")
_ENTRY = re.compile(
    r"^(?P<channel>(?:https?|file)://\S+)/(?P<subdir>[^/\s]+)/(?P<filename>[^/\s#]+?)(?P<ending>\.conda|\.tar\.bz2)"
    r"(?:#(?:(?:md5:)?(?P<md5>[0-9a-f]{32})|(?:sha256:)?(?P<sha256>[0-9a-f]{64})))?$"
)


def is_explicit(text: str) -> bool:
    return any(line.strip() == MARK for line in text.splitlines())


def lines_of(text: str) -> List[str]:
    """The entries of a list, without comments, blanks and the mark."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#") and line != MARK]


def normal_entries(environment: str, entries: Sequence[Any]) -> List[str]:
    """The entries sorted, each `URL` or `URL#md5:…` or `URL#sha256:…`, each package once."""
    found: Dict[str, str] = {}
    for entry in entries:
        parts = parse_entry(environment, entry)
        stem = "%s/%s" % (parts["subdir"], parts["name"])
        text = "%s/%s/%s" % (parts["channel"], parts["subdir"], parts["filename"])
        text += "#sha256:" + parts["sha256"] if parts["sha256"] else "#md5:" + parts["md5"] if parts["md5"] else ""
        if found.get(stem, text) != text:
            raise SpecError(
                "environments_list: %s: the explicit list has %s twice. Accepted: each package once. Next: drop one."
                % (environment, parts["name"])
            )
        found[stem] = text
    return sorted(found.values())


def parse_entry(environment: str, entry: Any) -> Dict[str, str]:
    """{channel, subdir, filename, name, version, build, md5, sha256}; the hashes are empty where none is given."""
    where = "environments_list: %s: explicit list" % environment
    text = entry.strip() if isinstance(entry, str) else ""
    parts = _ENTRY.match(text)
    if not parts or not _SUBDIR.match(parts.group("subdir")):
        raise SpecError(
            "%s: %r is not accepted. Accepted: URLs of conda packages (…/linux-64/NAME-VERSION-BUILD.conda), each with "
            "#md5 or #sha256 behind it, as `conda list --explicit --md5` writes them. Next: write the list again."
            % (where, masked(str(entry)))
        )
    channel = parts.group("channel")
    if secret_in(channel):
        raise SpecError(
            "%s: the URL of %s has a login or a token in it. Accepted: URLs without. Next: take it out, and give it in "
            "environments_auth as {%s: {token: …}} or {username, password}."
            % (where, parts.group("filename"), host_of(channel))
        )
    pieces = parts.group("filename").rsplit("-", 2)
    if len(pieces) != 3 or not all(pieces):
        raise SpecError(
            "%s: %r is no conda package. Accepted: NAME-VERSION-BUILD.conda or .tar.bz2. Next: write the list again."
            % (where, parts.group("filename") + parts.group("ending"))
        )
    return {
        "channel": channel,
        "subdir": parts.group("subdir"),
        "filename": parts.group("filename") + parts.group("ending"),
        "name": pieces[0],
        "version": pieces[1],
        "build": pieces[2],
        "md5": parts.group("md5") or "",
        "sha256": parts.group("sha256") or "",
    }
