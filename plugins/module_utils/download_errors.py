# SPDX-License-Identifier: Apache-2.0
"""What went wrong with a download, in words, and whether it may be gone at the next try."""

from __future__ import annotations

import email.utils
import http.client
import re
import socket
import ssl
import time
import urllib.error
from typing import Optional
from urllib.parse import urlsplit, urlunsplit

from ansible_collections.condafleet.core.plugins.module_utils.access import Access
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

# A network file system or a proxy answers these for a while and then recovers.
PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)
MEANING = {
    401: "credentials are missing or wrong",
    403: "access is refused",
    404: "there is no such file",
    407: "the proxy wants credentials",
    429: "too many requests",
}


class PassingError(Exception):
    """A cause that may be gone at the next try. `wait` is what the server asked for, in seconds."""

    def __init__(self, cause: str, wait: Optional[float] = None) -> None:
        super().__init__(cause)
        self.wait = wait


class DiskError(FleetError):
    """The trouble is on this machine: no other source helps."""


def mask(url: str) -> str:
    """The URL without what may be a secret: user and password, conda's /t/TOKEN/, the query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")
    netloc = "***@" + host[2] if host[1] else parts.netloc
    path = re.sub(r"/t/[^/]+", "/t/***", parts.path)
    return urlunsplit((parts.scheme, netloc, path, "***" if parts.query else "", ""))


def judged(url: str, error: BaseException, access: Access) -> Exception:
    """FleetError for what no repetition mends, PassingError for the rest."""
    reason = getattr(error, "reason", None)
    if isinstance(error, urllib.error.HTTPError):
        said = error.headers.get("Retry-After") if error.headers else None
        wait = _retry_after(said)
        cause = _status(error.code) + (f", Retry-After {wait:g} s" if wait is not None else "")
        error.close()
        return PassingError(cause, wait) if error.code in PASSING_STATUS else FleetError(f"{mask(url)}: {cause}")
    inner = reason if isinstance(reason, BaseException) else error
    cause = _cause(inner)
    proxy = access.proxy_for(url)
    refused = re.match(r"Tunnel connection failed: (\d+)", str(inner))
    if proxy and refused:
        code = int(refused.group(1))
        told = (
            "it wants credentials"
            if code == 407
            else "it does not let this through"
            if code < 500
            else "it could not reach the host"
        )
        cause = f"proxy {mask(proxy)}: HTTP {code}: {told}"
        return PassingError(cause) if code in PASSING_STATUS else FleetError(f"{mask(url)}: {cause}")
    if proxy and not isinstance(inner, ssl.SSLError):
        # Whatever is wrong before an answer comes is between this machine and the proxy.
        cause = f"proxy {mask(proxy)}: {cause}"
    if isinstance(inner, ssl.SSLCertVerificationError) or not isinstance(inner, (OSError, http.client.HTTPException)):
        return FleetError(f"{mask(url)}: {cause}")
    return PassingError(cause)


def _status(code: int) -> str:
    meaning = MEANING.get(code, "the server could not answer" if code >= 500 else "the server refused")
    return f"HTTP {code}: {meaning}"


def _cause(inner: BaseException) -> str:
    if isinstance(inner, socket.gaierror):
        return f"DNS: the host name could not be resolved ({inner.strerror})"
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"TLS: the server's certificate is not trusted ({inner.verify_message})"
    if isinstance(inner, ssl.SSLError):
        return f"TLS: {inner.reason or inner}"
    if isinstance(inner, (socket.timeout, TimeoutError)):
        return "no byte arrived within the time limit"
    if isinstance(inner, http.client.IncompleteRead):
        return "the connection ended too early"
    if isinstance(inner, OSError) and inner.strerror:
        return f"connection: {inner.strerror}"
    return f"{type(inner).__name__}: {inner}"


def _retry_after(value: Optional[str]) -> Optional[float]:
    """Seconds that a Retry-After header asks for; it may be a number or a date."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return max(0.0, moment.timestamp() - time.time())
