# SPDX-License-Identifier: Apache-2.0
"""Checks of declared paths and accounts, before any node is touched. Pure."""

from __future__ import annotations

import posixpath
import re
from typing import Any, Optional, Tuple
from urllib.parse import urlsplit

from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError

# What a kernel reads of a script's first line, `#!` included; conda works to the same limit.
SHEBANG_LIMIT = 127
LONGEST_PROGRAM = "/bin/python3.12"
# Where an installation would take a place that belongs to the system or to everybody.
SYSTEM = re.compile(
    r"/(bin|boot|dev|etc|home|lib|lib64|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var)?"
    r"|/usr/(bin|lib|lib64|local|sbin|share)|/var/(lib|tmp)"
)
VOLATILE = ("/proc/", "/sys/", "/dev/", "/etc/", "/boot/")
ELSEWHERE = "serve the file where the nodes may read it, for example from a depot"
ACCOUNT = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.@-]*\$?$")


def check_prefix(variable: str, value: Any, below: int = 0) -> str:
    """The path, normalised; InputError where no installation can or should stand there.

    `below` is the number of bytes that are added to the path before a program's own name.
    """
    accepted = "an absolute path of letters, digits and . _ - + @ between slashes, such as /opt/miniconda3"
    if not isinstance(value, str) or not re.fullmatch(r"(/[A-Za-z0-9._+@-]+)+/?", value):
        raise InputError(variable, value, accepted, "choose such a path (conda cannot work below a path with spaces)")
    path = posixpath.normpath(value)
    if path != value.rstrip("/"):
        raise InputError(variable, value, accepted + ", without . and .. parts", f"write {path}")
    if SYSTEM.fullmatch(path) or path.startswith(VOLATILE):
        raise InputError(variable, value, "a folder of its own", f"choose one such as {proposal(path)}")
    longest = SHEBANG_LIMIT - len("#!") - len(LONGEST_PROGRAM) - below
    if len(path) > longest:
        raise InputError(
            variable,
            f"{value} ({len(path)} bytes)",
            f"at most {longest} bytes, since scripts start with the path of their Python below it, "
            f"and a kernel reads {SHEBANG_LIMIT} bytes of that line",
            f"shorten it by {len(path) - longest} bytes",
        )
    return path


def proposal(path: str) -> str:
    """A place near a system folder that an installation may have."""
    base = path if path in ("/opt", "/srv", "/usr/local", "/home") else "/opt"
    return base + "/miniconda3"


def check_account(variable: str, value: Any) -> Optional[str]:
    """A user's or group's name, or None where none is declared."""
    if value in (None, ""):
        return None
    if not isinstance(value, str) or not ACCOUNT.match(value):
        raise InputError(variable, value, "the name of an account, such as root", "correct it")
    return value


def check_mode(variable: str, value: Any) -> str:
    """A folder's mode as four octal digits; users must at least be able to pass."""
    text = value if isinstance(value, str) else ""
    # Setgid (2755) lets what is made below belong to the folder's group; setuid and sticky have no use here.
    if not re.fullmatch(r"[02]?[0-7]{3}", text):
        raise InputError(
            variable, value, 'three or four octal digits in quotes, such as "0755"', "quote it (YAML would reckon it)"
        )
    if not int(text, 8) & 0o500 == 0o500:
        raise InputError(variable, value, "a mode that lets the owner read and enter the folder", 'write "0755"')
    return text.rjust(4, "0")


def check_umask(variable: str, value: Any) -> str:
    """A umask as four octal digits; the owner must keep all rights."""
    text = value if isinstance(value, str) else ""
    if not re.fullmatch(r"0{0,2}[0-7]{2}", text):
        raise InputError(
            variable, value, 'octal digits in quotes that leave the owner all rights, such as "0022"', "correct it"
        )
    return text.rjust(4, "0")


def check_url(variable: str, value: Any, next_step: str, instead: str = ELSEWHERE) -> str:
    """A URL that files can be fetched from, without anything secret: it is shown, and stored in receipts and results.

    `instead` is the next step for whoever has put a secret into it.
    """
    form = "file:///PATH, http://HOST/PATH or https://HOST/PATH"
    if not isinstance(value, str):
        raise InputError(variable, value, form, next_step)
    whole, host = _parts(value)
    secret = _secret_in(value, whole)
    if secret:
        raise InputError(
            variable,
            f"a URL with {secret}" + (f" (host {host})" if host else ""),
            "a URL without credentials, since it is shown and stored, and without ? and #",
            instead,
        )
    if not whole:
        raise InputError(variable, value, form, next_step)
    return value


def _secret_in(url: str, whole: bool) -> Optional[str]:
    """What of a URL may be a secret, in words. Also of a malformed one, since the error would show it."""
    if whole and url.startswith("file:"):
        return "a query" if re.search(r"[?#]", url) else None
    if "@" in (urlsplit(url).netloc if whole else url):
        return "a password"
    if re.search(r"/t/[^/?#]", url):
        # As conda's channels have it: /t/TOKEN/.
        return "a token"
    return "a query" if re.search(r"[?#]", url) else None


def _parts(url: str) -> Tuple[bool, Optional[str]]:
    """(whether it is a URL of an accepted form, its host)."""
    try:
        parts = urlsplit(url)
        # A port that is none is found out here.
        known = parts.port is None or parts.port > 0
    except ValueError:
        return False, None
    return known and re.fullmatch(r"(file:///|https?://[^/\s])\S*", url) is not None, parts.hostname
