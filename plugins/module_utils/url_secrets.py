# SPDX-License-Identifier: Apache-2.0
"""URLs without what may be a secret in them: for locks, digests and messages. Pure."""

from __future__ import annotations

import re

_LOGIN = re.compile(r"(?<=://)[^/@\s]+@")
_TOKEN = re.compile(r"/t/[^/\s]+(?=/)")


def without_secrets(url: str) -> str:
    """A channel's URL, or a text with some, without login or conda token."""
    return _TOKEN.sub("", without_login(url))


def without_login(url: str) -> str:
    """A URL without user and password. A wheel's path may well hold /t/, which is no token there."""
    return _LOGIN.sub("", url)
