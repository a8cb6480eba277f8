# SPDX-License-Identifier: Apache-2.0
"""URLs without what may be a secret in them: for locks, digests and messages. Pure."""

from __future__ import annotations

import re
from typing import Optional
from urllib.parse import urlsplit

# As far as a URL's form says what is its login: up to the last @ before a slash; and where a password holds a slash of
# its own, what stands behind the colon is no port.
_LOGIN = re.compile(r"(?<=://)(?:[^/\s\[:@]*:(?!\d*(?:[/?#\s]|$))[^/\s@]*/\S*|[^/\s]*)@")
# Whatever could be one, though it may be a path: for messages, where nothing is lost by it.
_PERHAPS = re.compile(r"(?<=://)\S*@")
_TOKEN = re.compile(r"/t/[^/\s]+(?=/)")
_NO_URL = ("file:", "/", "./", "../")


def without_secrets(url: str) -> str:
    """A channel's URL without login or conda token."""
    return _TOKEN.sub("", without_login(url))


def without_login(url: str) -> str:
    """A URL without user and password. A wheel's path may well hold /t/, which is no token there."""
    return _LOGIN.sub("", url)


def masked(text: str) -> str:
    """A text with URLs in it, without anything that may be a login or a conda token."""
    return _TOKEN.sub("", masked_logins(text))


def masked_logins(text: str) -> str:
    """A text with URLs in it, without anything that may be a login: here a path may hold /t/."""
    return _PERHAPS.sub("", text)


def secret_in(url: str, *, token: bool = True) -> Optional[str]:
    """What of a URL may be a secret, in words; a `token` is conda's /t/TOKEN/. Also of a malformed URL, since its own
    error would show it. Any @ counts: in a password it may stand behind a slash, and a path has %40 for it."""
    if url.startswith(_NO_URL):
        return None
    if "@" in url:
        return "a login or a token"
    return "a login or a token" if token and _TOKEN.search(url + "/") else None


def host_of(url: str) -> str:
    """The host, and the port if it names one, of a URL that may hold a login; HOST where that can't be told."""
    try:
        parts = urlsplit(masked(url))
        known = parts.port is None or parts.port > 0
    except ValueError:
        return "HOST"
    return parts.netloc if parts.netloc and known else "HOST"


def is_whole(url: str) -> bool:
    """Whether host and port of a URL can be read at all."""
    try:
        parts = urlsplit(url)
        return parts.port is None or parts.port > 0
    except ValueError:
        return False
