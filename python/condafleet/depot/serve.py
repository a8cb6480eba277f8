"""Serve a depot over HTTP: for demos, tests and small fleets. A large fleet puts nginx before the same folder."""

from __future__ import annotations

import os
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from condafleet.depot import manifest
from condafleet.errors import DepotError

TYPES = {".html": "text/html; charset=utf-8", ".json": "application/json"}
IDLE_LIMIT = 60
"""Seconds after which a silent connection is closed."""
BLOCK = 1 << 20


class UnsatisfiableError(Exception):
    """The range that was asked for lies outside the file."""


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte of a Range header with one range, or None when the whole file is to be sent.

    Raises UnsatisfiableError when no byte of a file of SIZE bytes is in the range.
    """
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if not match or match.group() == "bytes=-":
        return None  # RFC 9110: what is not understood is ignored
    first, last = match.groups()
    if not first:
        start, end = max(size - int(last), 0), size - 1
        if not int(last):
            raise UnsatisfiableError
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None
    if start >= size:
        raise UnsatisfiableError
    return start, end


class _Handler(BaseHTTPRequestHandler):
    """GET and HEAD of files inside the depot, with ranges; nothing is listed and nothing outside is reached."""

    protocol_version = "HTTP/1.1"
    server_version = "condafleet-depot"
    sys_version = ""
    timeout = IDLE_LIMIT

    def __init__(self, *arguments: object, root: Path) -> None:
        self.root = root
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, *arguments: object) -> None:
        """Stay silent: a library does not print."""

    def _answer(self, *, body: bool) -> None:
        path = self._file()
        if path is None:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        try:
            with path.open("rb") as stream:
                self._send(path, stream, body=body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except OSError:
            self._refuse(HTTPStatus.FORBIDDEN)

    def _file(self) -> Path | None:
        """The file asked for, or None. A folder stands for its index.html and for nothing else."""
        asked = unquote(urlsplit(self.path).path)
        if "\0" in asked:
            return None
        path = (self.root / asked.lstrip("/")).resolve()
        if path != self.root and self.root not in path.parents:
            return None
        if path.is_dir():
            path = path / "index.html"
        return path if path.is_file() else None

    def _send(self, path: Path, stream: BinaryIO, *, body: bool) -> None:
        status = os.fstat(stream.fileno())
        tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        wanted = self.headers.get("Range", "")
        if self.headers.get("If-Range", tag) != tag:
            wanted = ""  # the file changed since the first part was fetched: send all of it
        try:
            part = parse_range(wanted, status.st_size)
        except UnsatisfiableError:
            self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, ("Content-Range", f"bytes */{status.st_size}"))
            return
        start, end = part or (0, status.st_size - 1)
        self.send_response(HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK)
        if part:
            self.send_header("Content-Range", f"bytes {start}-{end}/{status.st_size}")
        self.send_header("Content-Type", TYPES.get(path.suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(end - start + 1))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", tag)
        self.send_header("Last-Modified", formatdate(status.st_mtime, usegmt=True))
        self.end_headers()
        if not body:
            return
        if not part:
            shutil.copyfileobj(stream, self.wfile, BLOCK)
            return
        stream.seek(start)
        left = end - start + 1
        while left and (block := stream.read(min(BLOCK, left))):
            self.wfile.write(block)
            left -= len(block)

    def _refuse(self, status: HTTPStatus, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # a fleet asks all at once


class _Server6(_Server):
    address_family = socket.AF_INET6


def _start(directory: Path, host: str, port: int) -> tuple[_Server, str]:
    directory = Path(directory).resolve()
    manifest.read(directory)  # fails early, and names the next step
    try:
        server = (_Server6 if ":" in host else _Server)((host, port), partial(_Handler, root=directory))
    except OSError as problem:
        raise DepotError(
            f"The depot cannot be served at {host}:{port}: {problem.strerror or problem}. "
            "Next step: name a free port (0 takes any) and an address of this machine."
        ) from None
    shown = f"[{host}]" if ":" in host else host
    return server, f"http://{shown}:{server.server_address[1]}"


def serve(
    directory: Path, *, host: str = "127.0.0.1", port: int = 0, ready: Callable[[str], None] | None = None
) -> None:
    """Serve the depot in DIRECTORY until interrupted (KeyboardInterrupt), then return.

    READY gets the base URL once requests are answered; port 0 takes a free one. Anyone who reaches HOST can read the
    depot and nothing else: what is executed from it is trusted by pinned hashes. Raises DepotError when there is no
    depot or the address cannot be had.
    """
    server, url = _start(directory, host, port)
    try:
        if ready:
            ready(url)
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


@contextmanager
def served(directory: Path, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve the depot in DIRECTORY while the block runs; yields its base URL. Raises DepotError as `serve` does."""
    server, url = _start(directory, host, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
