# SPDX-License-Identifier: Apache-2.0
"""Credentials by host, as `environments_auth` declares them: their check, and which of them a URL gets. Pure.

No message holds any part of a credential.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, Mapping, Optional
from urllib.parse import urlsplit

from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError
from ansible_collections.condafleet.core.plugins.module_utils.url_secrets import host_of, is_whole, masked, secret_in

VARIABLE = "environments_auth"
ACCEPTED = "{HOST or HOST:PORT: {username, password} or {token}}"
FORMS = (["password", "username"], ["token"])
PORTS = {"https": 443, "http": 80}
_HOST = re.compile(r"^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$")

Hosts = Mapping[str, Mapping[str, str]]


def check_hosts(declared: Any) -> Dict[str, Dict[str, str]]:
    """The credentials by host, in lower case; InputError where they have no known form."""
    if declared in (None, "", {}):
        return {}
    if not isinstance(declared, Mapping):
        raise InputError(VARIABLE, "a %s" % type(declared).__name__, ACCEPTED, "correct it")
    found = {}
    for name, auth in declared.items():
        host = str(name).lower()
        if not _HOST.match(host):
            # It may well be a URL with a login in it.
            raise InputError(
                VARIABLE, "a key that is no host", "HOST or HOST:PORT, as in pypi.example.com:8443", "correct it"
            )
        keys = sorted(map(str, auth)) if isinstance(auth, Mapping) else []
        texts = [str(auth[key]) for key in auth] if keys in FORMS else []
        usable = texts and all(text and not re.search(r"[\r\n\0]", text) for text in texts)
        if not usable or ":" in str(auth.get("username", "")):
            raise InputError(
                "%s.%s" % (VARIABLE, host),
                "what was given",
                "{username, password} (no colon in the username) or {token}, each a text in one line",
                "correct it",
            )
        found[host] = {str(key): str(value) for key, value in auth.items()}
    return found


def auth_for(url: str, hosts: Hosts) -> Optional[Mapping[str, str]]:
    """The credentials for this URL. A host without a port stands for the port that is https's, or http's, own."""
    place = place_of(url)
    if not place:
        return None
    host, port, default = place
    return hosts.get("%s:%d" % (host, port)) or (hosts.get(host) if default else None)


def place_of(url: str) -> Any:
    """(host, port, whether it is the scheme's own port) of an http(s) URL, else None."""
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        return None
    host = "[%s]" % parts.hostname if ":" in parts.hostname else parts.hostname
    port = parts.port or PORTS[parts.scheme]
    return host.lower(), port, port == PORTS[parts.scheme]


def needed(urls: Iterable[str], hosts: Hosts) -> Dict[str, Dict[str, str]]:
    """Those of the credentials that one of the URLs gets, by HOST:PORT: what nobody needs goes nowhere."""
    found = {}
    for url in urls:
        auth = auth_for(url, hosts)
        if auth:
            found["%s:%d" % place_of(url)[:2]] = dict(auth)
    return found


def refuse_login(where: str, url: str) -> None:
    """InputError where a URL can't be read, or holds a user, a password or a token: it would reach locks and logs."""
    secret = secret_in(url)
    if secret:
        raise InputError(
            where,
            "%s with %s in it" % (masked("%s/" % url).rstrip("/") if "://" in url else "a URL", secret),
            "a URL without (an @ that belongs to its path is written %40)",
            "take it out, and give it in %s as {%s: {username: …, password: …}} or {token: …}"
            % (VARIABLE, host_of(url)),
        )
    if not is_whole(url):
        raise InputError(where, url, "a URL whose host and port can be read, as in https://HOST:8443/…", "correct it")
