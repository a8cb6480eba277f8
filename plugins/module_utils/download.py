# SPDX-License-Identifier: Apache-2.0
"""Fetching one file whose sha256 is known: verified, resumed, retried, and clear about what went wrong."""

from __future__ import annotations

import base64
import email.utils
import errno
import http.client
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from typing import Any, BinaryIO, Callable, Optional
from urllib.parse import unquote, urlsplit, urlunsplit

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

Progress = Callable[[int, Optional[int]], None]

PIECE = 1 << 18
LONGEST_WAIT = 120.0
# A network file system or a proxy answers these for a while and then recovers.
PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)


class PassingError(Exception):
    """A cause that may be gone at the next try. `wait` is what the server asked for, in seconds."""

    def __init__(self, cause: str, wait: Optional[float] = None) -> None:
        super().__init__(cause)
        self.wait = wait


def fetch(
    url: str,
    destination: str,
    *,
    sha256: str,
    size: Optional[int] = None,
    timeout: float = 60,
    retries: int = 4,
    progress: Optional[Progress] = None,
    mode: int = 0o644,
    pause: Callable[[float], None] = time.sleep,
) -> bool:
    """Have the file with this sha256 at `destination`; True where it had to be fetched.

    `timeout` is in seconds without a byte. One writer per destination: the partial file `<destination>.part` is
    resumed by the next call. FleetError names the URL (credentials masked) and the cause.
    """
    wanted = sha256.lower()
    if not re.fullmatch(r"[0-9a-f]{64}", wanted):
        raise FleetError(f"{mask(url)}: sha256 {sha256!r} is not 64 hexadecimal digits; nothing was fetched.")
    if os.path.isfile(destination) and files.sha256_file(destination) == wanted:
        return False
    part = destination + ".part"
    failures = 0
    while True:
        resumed = os.path.exists(part) and os.path.getsize(part) > 0
        try:
            _transfer(url, part, size, timeout, progress)
            found = files.sha256_file(part)
            if found == wanted:
                os.chmod(part, mode)
                os.replace(part, destination)
                return True
            files.remove_quietly(part)
            if not resumed:
                raise FleetError(f"{mask(url)}: sha256 is {found}, expected {wanted}. The file was not used.")
            # What was left over from an earlier call did not belong to this file: once more from the start.
            continue
        except PassingError as error:
            failures += 1
            if failures > retries:
                tries = f"after {failures} tries" if failures > 1 else "at the first try"
                raise FleetError(f"{mask(url)}: {error} ({tries})") from error
            wait = error.wait if error.wait is not None else 2.0 ** (failures - 1)
            pause(min(wait, LONGEST_WAIT))


def read(url: str, *, timeout: float = 30, limit: int = 256 << 20) -> bytes:
    """The whole content of a small file, such as a manifest; one try, and no more than `limit` bytes."""
    try:
        with _open(url, 0, timeout) as source:
            content: bytes = source.read(limit + 1)
    except PassingError as error:
        raise FleetError(f"{mask(url)}: {error}") from error
    except (OSError, http.client.HTTPException) as error:
        raise FleetError(f"{mask(url)}: {_cause(error)}") from error
    if len(content) > limit:
        raise FleetError(f"{mask(url)}: larger than {limit} bytes; this is not the file that was asked for.")
    return content


def mask(url: str) -> str:
    """The URL without what may be a secret: user and password, conda's /t/TOKEN/, the query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")
    netloc = "***@" + host[2] if host[1] else parts.netloc
    path = re.sub(r"/t/[^/]+", "/t/***", parts.path)
    return urlunsplit((parts.scheme, netloc, path, "***" if parts.query else "", ""))


def _transfer(url: str, part: str, size: Optional[int], timeout: float, progress: Optional[Progress]) -> None:
    """Bring `part` to its end, from wherever it stands."""
    have = os.path.getsize(part) if os.path.exists(part) else 0
    if size is not None and have > size:
        files.remove_quietly(part)
        have = 0
    if size is not None and have == size and size > 0:
        return
    try:
        with _open(url, have, timeout) as source:
            resumed = have > 0 and (getattr(source, "status", None) == 206 or url.startswith("file:"))
            have = have if resumed else 0
            announced = _length(source)
            total = size if size is not None else (have + announced if announced is not None else None)
            with open(part, "ab" if resumed else "wb") as sink:
                have = _copy(source, sink, have, total, progress)
            if total is not None and have < total:
                raise PassingError(f"the connection ended after {have} of {total} bytes")
    except PassingError:
        raise
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise FleetError(f"{part}: cannot be written: {error.strerror}") from error
        raise _judged(url, error) from error


def _copy(source: Any, sink: BinaryIO, have: int, total: Optional[int], progress: Optional[Progress]) -> int:
    while True:
        piece = source.read(PIECE)
        if not piece:
            return have
        sink.write(piece)
        have += len(piece)
        if progress:
            progress(have, total)


def _length(source: Any) -> Optional[int]:
    headers = getattr(source, "headers", None)
    value = headers.get("Content-Length") if headers else None
    return int(value) if value and value.isdigit() else None


def _open(url: str, offset: int, timeout: float) -> Any:
    """An open stream of the URL from `offset` on (or from its start, where the server can't do that)."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        # Opened directly: urllib's own handler knows neither offsets nor clear errors.
        try:
            stream = open(urllib.request.url2pathname(parts.path), "rb")  # noqa: SIM115 - the caller closes it
        except OSError as error:
            raise FleetError(f"{mask(url)}: {error.strerror}") from error
        stream.seek(offset)
        return stream
    if parts.scheme not in ("http", "https"):
        raise FleetError(f"{mask(url)}: only http, https and file URLs can be fetched.")
    user, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(urlunsplit((parts.scheme, host, parts.path or "/", parts.query, "")))
    request.add_header("User-Agent", "condafleet")
    if at:
        token = base64.b64encode(unquote(user).encode("utf-8")).decode("ascii")
        # Unredirected: a password is not handed to another host.
        request.add_unredirected_header("Authorization", "Basic " + token)
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    try:
        return urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code == 416 and offset:
            # The partial file is as long as the remote one, or longer: its sha256 will tell.
            error.close()
            return _Empty()
        raise _judged(url, error) from error
    except (OSError, http.client.HTTPException) as error:
        raise _judged(url, error) from error


class _Empty:
    """Nothing more to read, in the place of an HTTP answer."""

    status = 206

    def read(self, _count: int = -1) -> bytes:
        return b""

    def __enter__(self) -> _Empty:
        return self

    def __exit__(self, *_: Any) -> None:
        return None


def _judged(url: str, error: BaseException) -> Exception:
    """FleetError for what no repetition mends, PassingError for the rest."""
    cause = _cause(error)
    reason = getattr(error, "reason", None)
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        if error.code in PASSING_STATUS:
            return PassingError(cause, _retry_after(error.headers.get("Retry-After") if error.headers else None))
        return FleetError(f"{mask(url)}: {cause}")
    if isinstance(reason, ssl.SSLCertVerificationError) or isinstance(error, ssl.SSLCertVerificationError):
        return FleetError(f"{mask(url)}: {cause}")
    if isinstance(error, (urllib.error.URLError, OSError, http.client.HTTPException)):
        return PassingError(cause)
    return FleetError(f"{mask(url)}: {cause}")


def _cause(error: BaseException) -> str:
    if isinstance(error, urllib.error.HTTPError):
        meaning = {
            401: "credentials are missing or wrong",
            403: "access is refused",
            404: "there is no such file",
            407: "the proxy wants credentials",
            429: "too many requests",
        }.get(error.code, "the server could not answer" if error.code >= 500 else "the server refused")
        return f"HTTP {error.code}: {meaning}"
    reason = getattr(error, "reason", None)
    inner = reason if isinstance(reason, BaseException) else error
    if isinstance(inner, socket.gaierror):
        return f"DNS: the host name could not be resolved ({inner.strerror})"
    if isinstance(inner, ssl.SSLError):
        return f"TLS: {getattr(inner, 'verify_message', '') or inner.reason or inner}"
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
