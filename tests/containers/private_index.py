"""A Python index (PEP 503) or a conda channel that asks who you are, and notes who asked for what."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import threading
import zipfile
from collections.abc import Iterable, Mapping
from types import TracebackType

USER, PASSWORD, TOKEN = "fleet-reader", "pw-7Kq2-index", "tok-91c4-channel"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
BEARER = f"Bearer {TOKEN}"
SECRETS = (PASSWORD, TOKEN, BASIC.removeprefix("Basic "))


def wheel(name: str, version: str, requires: Iterable[str] = ()) -> tuple[str, bytes]:
    """File name and content of a wheel that holds one empty module."""
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {entry}" for entry in requires]
    members = {
        f"{name}.py": "",
        f"{info}/METADATA": "\n".join(lines) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{path},,\n" for path in (*members, f"{info}/RECORD")]
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in {**members, f"{info}/RECORD": "".join(rows)}.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return f"{name}-{version}-py3-none-any.whl", made.getvalue()


class Site:
    """Serves `pages` on the loopback address, to whoever sends one of the `accepted` headers; to all, without any.

    `asked` lists (path, Authorization header, status).
    """

    def __init__(self, pages: Mapping[str, bytes], accepted: Iterable[str] = (), refusal: int = 401) -> None:
        self.pages, self.accepted = dict(pages), tuple(accepted)
        self.refusal = refusal
        self.redirects: dict[str, str] = {}
        self.asked: list[tuple[str, str | None, int]] = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                said = self.headers.get("Authorization")
                body = site.pages.get(self.path)
                welcome = not site.accepted or said in site.accepted
                status = site.refusal if not welcome else 404 if body is None else 200
                site.asked.append((self.path, said, status))
                content = body if status == 200 and body is not None else b""
                if status == 404 and self.path in site.redirects:
                    status = 302
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", site.redirects[self.path])
                if status == 401:
                    self.send_header("WWW-Authenticate", "Basic")
                self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}"

    def add_wheel(self, name: str, version: str, requires: Iterable[str] = ()) -> str:
        """Put a wheel onto the index at /simple; its sha256."""
        filename, content = wheel(name, version, requires)
        sha256 = hashlib.sha256(content).hexdigest()
        self.pages[f"/files/{filename}"] = content
        page = f"/simple/{name}/"
        self.pages[page] = self.pages.get(page, b"") + f'<a href="/files/{filename}#sha256={sha256}">x</a>\n'.encode()
        return sha256

    def __enter__(self) -> Site:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()
