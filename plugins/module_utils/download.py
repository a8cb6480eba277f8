# SPDX-License-Identifier: Apache-2.0
"""Fetching one file whose sha256 is known: verified, resumed, retried, and clear about what went wrong."""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from typing import Any, BinaryIO, Callable, List, Mapping, Optional, Sequence
from urllib.parse import urlsplit

from ansible_collections.condafleet.core.plugins.module_utils import files
from ansible_collections.condafleet.core.plugins.module_utils.access import Access
from ansible_collections.condafleet.core.plugins.module_utils.download_errors import (
    DiskError,
    PassingError,
    judged,
    mask,
)
from ansible_collections.condafleet.core.plugins.module_utils.download_files import move, partial_dir, private_partials
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

__all__ = ["Access", "fetch", "fetch_any", "fetch_unverified", "mask", "partial_dir", "read"]

Progress = Callable[[int, Optional[int]], None]
Say = Callable[[str], None]

PIECE = 1 << 18
# A server that asks for longer is not waited for: a person should see that.
LONGEST_WAIT = 120.0
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EISDIR)


def fetch(
    url: str,
    destination: str,
    *,
    sha256: str,
    size: Optional[int] = None,
    access: Optional[Access] = None,
    progress: Optional[Progress] = None,
    say: Optional[Say] = None,
    mode: int = 0o644,
    part: Optional[str] = None,
    pause: Callable[[float], None] = time.sleep,
) -> bool:
    """Have the file with this sha256 at `destination`; True where it had to be fetched.

    One writer per destination: the partial file (`part`, or `<destination>.part`) is resumed by the next call.
    `say` hears of each wait. FleetError names the URL (credentials masked) and the cause.
    """
    access = access or Access()
    wanted = sha256.lower()
    if not re.fullmatch(r"[0-9a-f]{64}", wanted):
        raise FleetError(f"{mask(url)}: sha256 {sha256!r} is not 64 hexadecimal digits; nothing was fetched.")
    if os.path.isfile(destination) and files.sha256_file(destination) == wanted:
        return False
    part = part or destination + ".part"
    failures = 0
    while True:
        resumed = os.path.exists(part) and os.path.getsize(part) > 0
        try:
            _transfer(url, part, size, access, progress)
            found = files.sha256_file(part)
            if found == wanted:
                os.chmod(part, mode)
                move(part, destination)
                return True
            files.remove_quietly(part)
            if not resumed:
                raise FleetError(f"{mask(url)}: sha256 is {found}, expected {wanted}. The file was not used.")
            # What was left over from an earlier call did not belong to this file: once more from the start.
            continue
        except PassingError as error:
            failures += 1
            pause(_wait(url, error, failures, access, say))


def fetch_unverified(
    url: str,
    destination: str,
    *,
    access: Optional[Access] = None,
    progress: Optional[Progress] = None,
    say: Optional[Say] = None,
    pause: Callable[[float], None] = time.sleep,
) -> str:
    """Have whatever the URL gives at `destination`; its sha256, which nobody has vouched for. Never for what is run."""
    access = access or Access()
    part = destination + ".part"
    files.remove_quietly(part)
    failures = 0
    while True:
        try:
            _transfer(url, part, None, access, progress)
            sha256 = files.sha256_file(part)
            move(part, destination)
            return sha256
        except PassingError as error:
            failures += 1
            pause(_wait(url, error, failures, access, say))


def _wait(url: str, error: PassingError, failures: int, access: Access, say: Optional[Say]) -> float:
    """Seconds before the next try; FleetError where there is none."""
    if failures > access.retries:
        tries = f"after {failures} tries" if failures > 1 else "at the first try"
        raise FleetError(f"{mask(url)}: {error} ({tries})") from error
    wait = error.wait if error.wait is not None else min(2.0 ** (failures - 1), LONGEST_WAIT)
    if wait > LONGEST_WAIT:
        raise FleetError(f"{mask(url)}: {error}, and no more than {LONGEST_WAIT:g} s are waited") from error
    if say:
        say(f"{mask(url)}: {error}; waiting {wait:g} s before try {failures + 1} of {access.retries + 1}")
    return wait


def fetch_any(
    sources: Sequence[Mapping[str, str]],
    destination: str,
    *,
    sha256: str,
    size: Optional[int] = None,
    access: Optional[Access] = None,
    progress: Optional[Progress] = None,
    say: Optional[Say] = None,
    mode: int = 0o600,
    partials: Optional[str] = None,
    pause: Callable[[float], None] = time.sleep,
) -> Optional[str]:
    """Have the file at `destination` from the first of `sources` ({kind, url}) that gives it; the URL, None where
    it was there.

    What a broken download has left is taken up by the next call, whichever source that asks: `partials` is a folder
    that the caller holds; without it, a private one of this user. FleetError lists each URL with its cause.
    """
    with contextlib.ExitStack() as stack:
        folder = partials or stack.enter_context(private_partials(say))
        causes: List[str] = []
        for source in sources:
            url = source["url"]
            try:
                fetched = fetch(
                    url,
                    destination,
                    sha256=sha256,
                    size=size,
                    access=access,
                    progress=progress,
                    say=say,
                    mode=mode,
                    part=os.path.join(folder, sha256.lower()),
                    pause=pause,
                )
                return url if fetched else None
            except DiskError:
                raise
            except FleetError as error:
                causes.append(error.message.rstrip("."))
    name = os.path.basename(destination)
    if len(causes) == 1:
        raise FleetError(f"{name} could not be fetched: {causes[0]}.")
    listed = "; ".join(f"({number}) {cause}" for number, cause in enumerate(causes, 1))
    raise FleetError(f"{name} could not be fetched from any of {len(causes)} places: {listed}.")


def read(url: str, *, access: Optional[Access] = None, limit: int = 256 << 20) -> bytes:
    """The whole content of a small file, such as a manifest; one try, and no more than `limit` bytes."""
    access = access or Access(timeout=30)
    try:
        with _open(url, 0, access) as source:
            content: bytes = source.read(limit + 1)
    except PassingError as error:
        raise FleetError(f"{mask(url)}: {error}") from error
    except (OSError, http.client.HTTPException) as error:
        raise FleetError(f"{mask(url)}: {judged(url, error, access)}") from error
    if len(content) > limit:
        raise FleetError(f"{mask(url)}: larger than {limit} bytes; this is not the file that was asked for.")
    return content


def _transfer(url: str, part: str, size: Optional[int], access: Access, progress: Optional[Progress]) -> None:
    """Bring `part` to its end, from wherever it stands."""
    have = os.path.getsize(part) if os.path.exists(part) else 0
    if size is not None and have > size:
        files.remove_quietly(part)
        have = 0
    if size is not None and have == size and size > 0:
        return
    try:
        with _open(url, have, access) as source:
            resumed = have > 0 and (getattr(source, "status", None) == 206 or url.startswith("file:"))
            have = have if resumed else 0
            total = _total(url, source, have, size)
            with open(part, "ab" if resumed else "wb") as sink:
                have = _copy(url, source, sink, have, total, progress)
            if total is not None and have < total:
                raise PassingError(f"the connection ended after {have} of {total} bytes")
    except PassingError:
        raise
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS and not isinstance(error, urllib.error.URLError):
            raise DiskError(f"{part}: cannot be written: {error.strerror}") from error
        raise judged(url, error, access) from error


def _total(url: str, source: Any, have: int, size: Optional[int]) -> Optional[int]:
    """How long the file is. What the server says has to fit: there is no need to fetch gigabytes of something else.

    Whether the rest belongs to the same file is told by its sha256, for whichever source gave the beginning; an ETag
    would say so for one server only.
    """
    headers = getattr(source, "headers", None) or {}
    given = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range") or "")
    if given and int(given.group(1)) != have:
        raise FleetError(f"{mask(url)}: the server answered with another part of the file than was asked for.")
    announced = headers.get("Content-Length")
    length = int(announced) + have if announced and announced.isdigit() else None
    if given and given.group(2) != "*":
        length = int(given.group(2))
    if size is not None and length is not None and length != size:
        raise FleetError(f"{mask(url)}: the file there has {length} bytes, expected {size}. It was not used.")
    return size if size is not None else length


def _copy(url: str, source: Any, sink: BinaryIO, have: int, total: Optional[int], progress: Optional[Progress]) -> int:
    while True:
        piece = source.read(PIECE)
        if not piece:
            return have
        have += len(piece)
        if total is not None and have > total:
            raise FleetError(f"{mask(url)}: more than the expected {total} bytes came. The file was not used.")
        sink.write(piece)
        if progress:
            progress(have, total)


def _open(url: str, offset: int, access: Access) -> Any:
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
    headers = {"User-Agent": "condafleet"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        return access.open(url, headers)
    except urllib.error.HTTPError as error:
        if error.code == 416 and offset:
            # The partial file is as long as the remote one, or longer: its sha256 will tell.
            error.close()
            return _Empty()
        raise judged(url, error, access) from error
    except (OSError, http.client.HTTPException) as error:
        raise judged(url, error, access) from error


class _Empty:
    """Nothing more to read, in the place of an HTTP answer."""

    status = 206

    def read(self, _count: int = -1) -> bytes:
        return b""

    def __enter__(self) -> _Empty:
        return self

    def __exit__(self, *_: Any) -> None:
        return None
