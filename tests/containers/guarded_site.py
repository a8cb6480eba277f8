#!/usr/bin/env python3
"""A site as many are: an HTTPS mirror with a private CA that asks who you are, and a forward proxy as the way to it.

    guarded_site.py up FOLDER --host ADDRESS --files DIR
    guarded_site.py down FOLDER

FOLDER/site.json says where both are, and what they ask for. What they see goes, a line of JSON each, into
FOLDER/mirror.log ({path, range, status, sent, login, client}) and FOLDER/proxy.log ({method, target, bytes}).
In Python:

    with GuardedSite(folder, "127.0.0.1", files) as site: ...

The mirror has DIR below /open/, /basic/ (user and password), /token/ (bearer), /busy/ (429 once a file, Retry-After 1),
/refusing/ (always 429, Retry-After 9999), /cut/ (the first answer for a file ends half-way), /moved/ (leads to the
mirror's second name, /basic/ there) and /forbidden/.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import datetime
import http.server
import ipaddress
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path
from types import TracebackType
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

sys.path.insert(0, str(Path(__file__).parent))
from fleet import started_at

USER, PASSWORD, TOKEN = "fleetreader", "Tr0ub4dor-mirror-pw", "tok-5f3759df-mirror"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
BEARER = f"Bearer {TOKEN}"
PIECE = 1 << 16


class Log:
    """One JSON object a line, whole lines only, also from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.guard = threading.Lock()
        path.write_text("", encoding="utf-8")

    def __call__(self, **record: Any) -> None:
        with self.guard, self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")

    def read(self, least: int = 0) -> list[dict[str, Any]]:
        """The records; `least` of them, which may come a moment after the client has its answer."""
        deadline = time.monotonic() + 5
        while True:
            found = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
            if len(found) >= least or time.monotonic() > deadline:
                return found
            time.sleep(0.02)


class Mirror(http.server.ThreadingHTTPServer):
    """Serves `files` over TLS, by the rules that the first part of a path stands for."""

    daemon_threads = True

    def __init__(self, host: str, files: Path, log: Log, certificate: Path) -> None:
        super().__init__((host, 0), MirrorHandler)
        self.files = files.resolve()
        self.log = log
        self.seen: set[str] = set()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # The handshake belongs into the thread of its connection.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def first(self, path: str) -> bool:
        known = path in self.seen
        self.seen.add(path)
        return not known

    def handle_error(self, *_: object) -> None:
        """Clients that do not trust the certificate are part of the tests."""


class MirrorHandler(http.server.BaseHTTPRequestHandler):
    """One request."""

    server: Mirror
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, *_: object) -> None:
        """Written by _end instead."""

    def _answer(self, *, body: bool) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        _empty, rule, rest = ([*path.split("/", 2), "", ""])[:3]
        given = self.headers.get("Authorization", "")
        refused = {
            "basic": 401 if given != BASIC else 0,
            "token": 401 if given != BEARER else 0,
            "forbidden": 403,
            "refusing": 429,
            "busy": 429 if rule == "busy" and self.server.first(path) else 0,
            "open": 0,
            "cut": 0,
            "moved": 302,
        }.get(rule, 404)
        if refused:
            self._end(refused, rest, given)
            return
        place = (self.server.files / rest).resolve()
        if place.is_dir():
            place = place / "index.html"
        if not place.is_relative_to(self.server.files) or not place.is_file():
            self._end(404, rest, given)
            return
        self._send(place, given, cut=rule == "cut" and self.server.first(path), body=body)

    def _end(self, status: int, rest: str, given: str) -> None:
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "9999" if "/refusing/" in self.path else "1")
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="mirror"')
        if status == 302:
            port = self.server.server_address[1]
            self.send_header("Location", f"https://localhost:{port}/open/{rest}")
        self.send_header("Content-Length", "0")
        self.end_headers()
        self._log(status, 0, given)

    def _send(self, place: Path, given: str, *, cut: bool, body: bool) -> None:
        size = place.stat().st_size
        asked = self.headers.get("Range", "")
        start = int(asked[6:].split("-")[0]) if asked.startswith("bytes=") else 0
        self.send_response(206 if start else 200)
        kind = "text/html" if place.suffix == ".html" else "application/octet-stream"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.end_headers()
        sent, limit = 0, (size - start) // 2 if cut else size - start
        with place.open("rb") as stream, contextlib.suppress(OSError):
            stream.seek(start)
            while body and sent < limit:
                piece = stream.read(min(PIECE, limit - sent))
                self.wfile.write(piece)
                sent += len(piece)
        self._log(206 if start else 200, sent, given)
        if cut:
            self.close_connection = True

    def _log(self, status: int, sent: int, given: str) -> None:
        login = {BASIC: "basic", BEARER: "token", "": None}.get(given, "wrong")
        self.server.log(
            path=self.path, range=self.headers.get("Range"), status=status, sent=sent, login=login,
            host=self.headers.get("Host"), client=self.client_address[0], agent=self.headers.get("User-Agent"),
        )  # fmt: skip


class Proxy:
    """CONNECT and absolute URLs, as HTTP/1.1 has them; every use is counted with its bytes."""

    def __init__(self, log: Log) -> None:
        self.log = log

    async def start(self, host: str) -> int:
        self.server = await asyncio.start_server(self._serve, host, 0)
        return int(self.server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, _version = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
            await (self._tunnel if method == "CONNECT" else self._forward)(method, target, head, reader, writer)
        writer.close()

    async def _tunnel(
        self, method: str, target: str, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        host, _colon, port = target.rpartition(":")
        try:
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            await self._refuse(method, target, writer)
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        passed = await self._both(reader, writer, far_reader, far_writer)
        self.log(method=method, target=target, bytes=passed)

    async def _forward(
        self, method: str, target: str, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        parts = urllib.parse.urlsplit(target)
        try:
            far_reader, far_writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
        except OSError:
            await self._refuse(method, target, writer)
            return
        path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        lines = head.split(b"\r\n")
        kept = [line for line in lines[1:-2] if not line.lower().startswith((b"connection:", b"proxy-"))]
        # One request a connection: a proxy that keeps none open needs to know nothing of where a body ends.
        start = f"{method} {path} HTTP/1.1".encode("ascii")
        far_writer.write(b"\r\n".join([start, *kept, b"Connection: close", b"", b""]))
        passed = await self._both(reader, writer, far_reader, far_writer)
        self.log(method=method, target=target, bytes=passed)

    async def _refuse(self, method: str, target: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        self.log(method=method, target=target, bytes=0)

    async def _both(self, reader: Any, writer: Any, far_reader: Any, far_writer: Any) -> int:
        towards = asyncio.create_task(self._copy(reader, far_writer))
        back = await self._copy(far_reader, writer)
        towards.cancel()
        return back

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> int:
        passed = 0
        with contextlib.suppress(OSError):
            while piece := await source.read(PIECE):
                sink.write(piece)
                await sink.drain()
                passed += len(piece)
        with contextlib.suppress(OSError):
            sink.close()
        return passed


class GuardedSite:
    """Both, in threads of this process, until `close`."""

    def __init__(self, folder: Path, host: str, files: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.mirror_log, self.proxy_log = Log(folder / "mirror.log"), Log(folder / "proxy.log")
        self.ca = folder / "ca.pem"
        certificate = folder / "mirror.pem"
        make_certificates(self.ca, certificate, [host, "127.0.0.1", "localhost"])
        self.mirror = Mirror(host, files, self.mirror_log, certificate)
        self.url = f"https://{host}:{self.mirror.server_address[1]}"
        self.loop = asyncio.new_event_loop()
        port = self.loop.run_until_complete(Proxy(self.proxy_log).start(host))
        self.proxy_url = f"http://{host}:{port}"
        self.threads = [
            threading.Thread(target=self.mirror.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True),
            threading.Thread(target=self.loop.run_forever, daemon=True),
        ]
        for thread in self.threads:
            thread.start()

    def close(self) -> None:
        self.mirror.shutdown()
        self.mirror.server_close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        for thread in self.threads:
            thread.join(5)

    def __enter__(self) -> GuardedSite:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def make_certificates(ca_path: Path, server_path: Path, names: list[str]) -> None:
    """A CA of our own, and a server's certificate by it with its key; both last a day."""
    now = datetime.datetime.now(datetime.UTC)
    ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A site's own CA")])

    def builder(subject: x509.Name, key: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    signing = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    ca = (
        builder(ca_name, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(signing, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    alternatives: list[x509.GeneralName] = []
    for name in dict.fromkeys(names):
        try:
            alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            alternatives.append(x509.DNSName(name))
    server = (
        builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]), server_key)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    text = serialization.Encoding.PEM
    ca_path.write_bytes(ca.public_bytes(text))
    key = server_key.private_bytes(text, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    server_path.write_bytes(key + server.public_bytes(text))
    server_path.chmod(0o600)


def up(folder: Path, host: str, files: Path) -> None:
    """Run both in a process of their own, until `down`."""
    command = [sys.executable, __file__, "serve", str(folder), "--host", host, "--files", str(files)]
    folder.mkdir(parents=True, exist_ok=True)
    said = folder / "site.json"
    said.unlink(missing_ok=True)
    with (folder / "output.log").open("w", encoding="utf-8") as heard:
        running = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=heard, stderr=heard, start_new_session=True
        )
    for _ in range(100):
        if said.exists():
            return
        if running.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit(f"the site did not start: {(folder / 'output.log').read_text(encoding='utf-8')}")


def down(folder: Path) -> None:
    """End the process that `up` started, and no other that was given its number since."""
    said = folder / "site.json"
    if said.exists():
        known = json.loads(said.read_text(encoding="utf-8"))
        if started_at(known["pid"]) == known["started"]:
            os.kill(known["pid"], signal.SIGTERM)
        said.unlink()


def serve(folder: Path, host: str, files: Path) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    with GuardedSite(folder, host, files) as site:
        netrc = folder / "netrc"
        netrc.touch(mode=0o600)
        netrc.write_text(f"machine {host} login {USER} password {PASSWORD}\n", encoding="utf-8")
        said = {
            "mirror": site.url, "proxy": site.proxy_url, "ca": str(site.ca), "netrc": str(netrc), "user": USER,
            "password": PASSWORD, "token": TOKEN, "pid": os.getpid(), "started": started_at(os.getpid()),
        }  # fmt: skip
        part = folder / ".site.json"
        part.write_text(json.dumps(said) + "\n", encoding="utf-8")
        part.replace(folder / "site.json")
        signal.sigwait([signal.SIGTERM, signal.SIGINT])


def main() -> None:
    parser = argparse.ArgumentParser(description="An HTTPS mirror with a private CA, and a forward proxy")
    parser.add_argument("verb", choices=["up", "down", "serve"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host")
    parser.add_argument("--files", type=Path)
    options = parser.parse_args()
    if options.verb == "down":
        down(options.folder)
    elif options.host and options.files:
        (up if options.verb == "up" else serve)(options.folder, options.host, options.files)
    else:
        parser.error("--host and --files are needed")


if __name__ == "__main__":
    main()
