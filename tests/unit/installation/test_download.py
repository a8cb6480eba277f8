"""Fetching: verified, resumed, retried, and clear about the cause. Real sockets on the loopback."""

from __future__ import annotations

import hashlib
import http.server
import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import download, download_files
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

CONTENT = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Answers with what `script` says, one entry a request, and then with the whole file."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[str] = []
        self.retry_after = 7
        self.seen: list[dict[str, str]] = []

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is part of some tests."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file.bin"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        self.server.seen.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
        step = self.server.script.pop(0) if self.server.script else "whole"
        if step.isdigit():
            self.send_response(int(step))
            if step == "429":
                self.send_header("Retry-After", str(self.server.retry_after))
            self.end_headers()
            return
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        if step == "norange":
            start = 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        if step == "stall":
            self.server.release.wait(10)
            return
        self.wfile.write(CONTENT[start : start + 1000] if step == "cut" else CONTENT[start:])

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    instance = Server()
    instance.release = threading.Event()
    thread = threading.Thread(target=instance.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield instance
    instance.release.set()
    instance.shutdown()
    instance.server_close()
    thread.join()


def fetch(url: str, path: Path, retries: int = 4, timeout: float = 60, **options: object) -> tuple[bool, list[float]]:
    waits: list[float] = []
    access = download.Access(retries=retries, timeout=timeout)
    given = {"sha256": SHA256, "access": access, **options}
    return download.fetch(url, str(path), pause=waits.append, **given), waits


def test_a_file_is_fetched_once_and_then_recognised(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert fetch(server.url, path) == (True, [])
    assert path.read_bytes() == CONTENT
    assert fetch(server.url, path) == (False, [])
    assert len(server.seen) == 1


def test_a_damaged_file_in_place_is_replaced(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"damaged")
    assert fetch(server.url, path)[0]
    assert path.read_bytes() == CONTENT


def test_a_cut_connection_is_resumed_where_it_ended(server: Server, tmp_path: Path) -> None:
    server.script = ["cut"]
    assert fetch(server.url, tmp_path / "x") == (True, [1.0])
    assert server.seen[1]["range"] == "bytes=1000-"


def test_a_server_that_ignores_the_range_is_read_from_the_start(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(CONTENT[:500])
    server.script = ["norange"]
    # 206 is what a resumed answer says; 200 means: all of it again.
    assert fetch(server.url, tmp_path / "x")[0]


def test_a_partial_file_of_something_else_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(b"something else")
    assert fetch(server.url, tmp_path / "x")[0]
    assert len(server.seen) == 2


def test_too_many_requests_waits_as_long_as_the_server_asks(server: Server, tmp_path: Path) -> None:
    server.script = ["429", "503"]
    said: list[str] = []
    assert fetch(server.url, tmp_path / "x", say=said.append) == (True, [7.0, 2.0])
    assert "HTTP 429: too many requests, Retry-After 7 s; waiting 7 s before try 2 of 5" in said[0]
    assert "HTTP 503" in said[1]


def test_a_server_that_asks_for_too_long_is_not_waited_for(server: Server, tmp_path: Path) -> None:
    server.script, server.retry_after = ["429"], 3600
    with pytest.raises(FleetError, match="429: too many requests, Retry-After 3600 s, and no more than 120 s"):
        fetch(server.url, tmp_path / "x")
    assert len(server.seen) == 1


def test_a_file_of_another_length_is_not_even_read(server: Server, tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=f"the file there has {len(CONTENT)} bytes, expected 5"):
        fetch(server.url, tmp_path / "x", size=5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "words"), [("401", "credentials"), ("403", "refused"), ("404", "no such file"), ("500", "3 tries")]
)
def test_what_cannot_be_mended_names_the_cause(server: Server, tmp_path: Path, status: str, words: str) -> None:
    server.script = [status] * 9
    with pytest.raises(FleetError, match=f"HTTP {status}.*{words}"):
        fetch(server.url, tmp_path / "x", retries=2)
    assert not (tmp_path / "x").exists()


def test_a_wrong_sha256_is_told_with_both_and_nothing_is_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=f"sha256 is {SHA256}, expected {'0' * 64}"):
        fetch(server.url, tmp_path / "x", sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_silence_ends_at_the_time_limit(server: Server, tmp_path: Path) -> None:
    server.script = ["stall"]
    with pytest.raises(FleetError, match="no byte arrived within the time limit"):
        fetch(server.url, tmp_path / "x", timeout=0.2, retries=0)


def test_a_refused_connection_is_named(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(FleetError, match="connection: Connection refused"):
        fetch(f"http://127.0.0.1:{port}/x", tmp_path / "x", retries=0)


def test_a_password_is_sent_but_never_told(server: Server, tmp_path: Path) -> None:
    server.script = ["403"]
    url = server.url.replace("http://", "http://user:se%40cret@") + "?token=hidden"
    with pytest.raises(FleetError) as caught:
        fetch(url, tmp_path / "x")
    assert server.seen[0]["authorization"] == "Basic dXNlcjpzZUBjcmV0"
    assert "cret" not in caught.value.message
    assert "hidden" not in caught.value.message


def test_mask_covers_conda_tokens() -> None:
    assert download.mask("https://u:p@h:8080/t/abc-123/main/x?y=1") == "https://***@h:8080/t/***/main/x?***"


def test_file_urls_are_read_with_spaces_and_resumed(tmp_path: Path) -> None:
    source = tmp_path / "with space.bin"
    source.write_bytes(CONTENT)
    (tmp_path / "x.part").write_bytes(CONTENT[:77])
    told: list[tuple[int, int | None]] = []
    assert download.fetch(
        source.as_uri(), str(tmp_path / "x"), sha256=SHA256, size=len(CONTENT), progress=lambda *a: told.append(a)
    )
    assert told[-1] == (len(CONTENT), len(CONTENT))
    with pytest.raises(FleetError, match="No such file"):
        fetch((tmp_path / "missing").as_uri(), tmp_path / "y")


def test_other_schemes_and_sha256_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="only http, https and file"):
        fetch("ftp://h/x", tmp_path / "x")
    with pytest.raises(FleetError, match="not 64 hexadecimal digits"):
        fetch("http://h/x", tmp_path / "x", sha256="abc")


def test_read_has_a_limit(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"12345")
    assert download.read((tmp_path / "m").as_uri()) == b"12345"
    with pytest.raises(FleetError, match="larger than 4 bytes"):
        download.read((tmp_path / "m").as_uri(), limit=4)


class TestSeveralSources:
    """One file, wherever it can be had."""

    def fetch(self, sources: list[str], path: Path, **options: object) -> str | None:
        listed = [{"kind": "mirror", "url": url} for url in sources]
        access = download.Access(retries=0, timeout=5)
        return download.fetch_any(
            listed, str(path), sha256=SHA256, access=access, partials=str(path.parent), pause=lambda _: None, **options
        )

    def test_the_first_that_gives_it_is_told(self, server: Server, tmp_path: Path) -> None:
        server.script = ["404"]
        first, second = server.url + "1", server.url + "2"
        assert self.fetch([first, second], tmp_path / "x") == second
        assert (tmp_path / "x").read_bytes() == CONTENT
        assert self.fetch([first], tmp_path / "x") is None
        assert [entry["path"] for entry in server.seen] == ["/file.bin1", "/file.bin2"]

    def test_every_cause_is_told_with_its_url(self, server: Server, tmp_path: Path) -> None:
        server.script = ["403", "429"]
        nowhere = "http://nowhere.invalid/file.bin"
        with pytest.raises(FleetError) as caught:
            self.fetch([server.url, nowhere, server.url], tmp_path / "x.sh")
        told = caught.value.message
        assert told.startswith("x.sh could not be fetched from any of 3 places: (1) " + server.url + ": HTTP 403")
        assert f"(2) {nowhere}: DNS: the host name could not be resolved" in told
        assert "(3) " + server.url + ": HTTP 429: too many requests, Retry-After 7 s" in told

    def test_a_second_source_goes_on_where_the_first_broke_off(self, server: Server, tmp_path: Path) -> None:
        server.script = ["cut"]
        assert self.fetch([server.url + "1", server.url + "2"], tmp_path / "x") == server.url + "2"
        assert server.seen[1]["range"] == "bytes=1000-"

    def test_a_full_disk_is_no_source_s_fault(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / SHA256).mkdir()
        with pytest.raises(FleetError, match="cannot be written"):
            self.fetch([server.url, server.url], tmp_path / "x")
        assert len(server.seen) == 1


class TestPrivatePlace:
    """What a broken download leaves is found by the next run, and by nobody else."""

    @pytest.fixture(autouse=True)
    def _parent(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(download_files, "PARENTS", (str(tmp_path),))

    def test_is_taken_up_by_the_next_call_and_removed_after_success(self, server: Server, tmp_path: Path) -> None:
        server.script = ["cut"]
        listed = [{"kind": "url", "url": server.url}]
        where = {"sha256": SHA256, "access": download.Access(retries=0)}
        with pytest.raises(FleetError, match="1000 of"):
            download.fetch_any(listed, str(tmp_path / "one"), **where)
        folder = tmp_path / f"condafleet-{os.geteuid()}"
        assert [entry.name for entry in folder.iterdir()] == [SHA256]
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert download.fetch_any(listed, str(tmp_path / "two"), **where) == server.url
        assert server.seen[-1]["range"] == "bytes=1000-"
        assert not folder.exists()

    def test_a_link_that_somebody_put_there_is_refused(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / f"condafleet-{os.geteuid()}").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(FleetError, match="somebody else has put it there"):
            download.fetch_any([{"kind": "url", "url": server.url}], str(tmp_path / "x"), sha256=SHA256)
        assert server.seen == []

    def test_a_folder_that_is_too_open_is_closed(self, tmp_path: Path) -> None:
        (tmp_path / f"condafleet-{os.geteuid()}").mkdir(mode=0o755)
        assert stat.S_IMODE(Path(download.partial_dir()).stat().st_mode) == 0o700
