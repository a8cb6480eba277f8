# SPDX-License-Identifier: Apache-2.0
"""The check of where wheels come from, and of the python for specs that name none. Pure."""

from __future__ import annotations

import re
from typing import Any, List
from urllib.parse import urlsplit

from ansible_collections.condafleet.core.plugins.module_utils.declare_values import list_of
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError
from ansible_collections.condafleet.core.plugins.module_utils.host_auth import refuse_login

CHANNELS_ACCEPTED = "names or URLs of conda channels"
INDEX_ACCEPTED = "URLs of Python indexes (PEP 503), http(s)://HOST/… or file:///…"
PYTHON_ACCEPTED = 'a version or range in quotes, such as "3.12" or ">=3.10,<3.14"'
_CLAUSE = re.compile(r"^(~=|==|!=|>=|<=|>|<)?\s*3(\.\d+){0,2}(\.\*)?$")


def check_indexes(where: str, value: Any) -> List[str]:
    """The indexes in their order, each once."""
    found = []
    for url in list_of(where, value, "a list of " + INDEX_ACCEPTED):
        if not isinstance(url, str):
            raise InputError(where, url, INDEX_ACCEPTED, "correct it")
        # First, because what follows would show the URL.
        refuse_login(where, url)
        if re.search(r"\s", url):
            raise InputError(where, url, INDEX_ACCEPTED, "correct it")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https", "file") or (parts.scheme != "file" and not parts.hostname):
            raise InputError(where, url, INDEX_ACCEPTED, "correct it")
        if parts.query or parts.fragment:
            shown = "%s://%s%s with a query or fragment" % (parts.scheme, parts.netloc, parts.path)
            raise InputError(where, shown, INDEX_ACCEPTED, "leave it out; a token goes into environments_auth")
        found.append(url.rstrip("/"))
    return list(dict.fromkeys(found))


def check_channels(where: str, value: Any) -> List[str]:
    """The channels in their order. A text is one, or several with commas between, as `-e` gives them."""
    given = value.split(",") if isinstance(value, str) else list_of(where, value, "a list of " + CHANNELS_ACCEPTED)
    for channel in given:
        if not isinstance(channel, str) or not channel.strip():
            raise InputError(where, channel, CHANNELS_ACCEPTED, "correct it")
        refuse_login(where, channel)
    return [str(channel).strip() for channel in given]


def check_python(where: str, value: Any) -> str:
    """The range as conda writes it. A number is refused: YAML makes 3.1 of an unquoted 3.10."""
    clauses = [clause.strip() for clause in value.split(",")] if isinstance(value, str) else []
    if not clauses or not all(_CLAUSE.match(clause) for clause in clauses):
        raise InputError(where, value, PYTHON_ACCEPTED, "correct it")
    return ",".join(clause.replace(" ", "") for clause in clauses)
