"""Depots as their readers meet them: manifest, verification, HTTP, contents."""

from __future__ import annotations

import hashlib
import http.client
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from condafleet.depot import contents, manifest, open_depot, serve, served, verify
from condafleet.depot.serve import UnsatisfiableError, parse_range
from condafleet.errors import DepotError

from .conftest import seal, write

IMAGES = "datasets/mnist/train-images-idx3-ubyte"


# -- verify ---------------------------------------------------------------------------------------------------------


def test_a_sound_depot_verifies(depot: Path) -> None:
    told: list[str] = []
    result = verify(depot, expected_sha256=seal(depot), progress=told.append)
    assert result.ok
    assert result.findings == ()
    assert result.files == len(manifest.list_files(depot))
    assert told[-1].startswith(f"verified {result.files} files")


def test_every_kind_of_damage_is_named(depot: Path) -> None:
    (depot / IMAGES).write_bytes(b"X" + (depot / IMAGES).read_bytes()[1:])
    (depot / "channel/linux-64/repodata.json").write_bytes(b"{")
    (depot / "installers/Condafleet-24.7.1-0-Linux-x86_64.sh").unlink()
    write(depot / "wheels/extra.whl", b"")
    metadata = depot / "wheels/tiny-1.0-py3-none-any.whl.metadata"
    metadata.unlink()
    metadata.symlink_to("/etc/passwd")
    found = {finding.path: (finding.problem, finding.detail) for finding in verify(depot).findings}
    assert found[IMAGES][0] == "damaged"
    assert found[IMAGES][1].startswith("sha256 is ")
    assert found["channel/linux-64/repodata.json"] == ("damaged", "1 bytes, listed are 3")
    assert found["installers/Condafleet-24.7.1-0-Linux-x86_64.sh"] == ("missing", "not there")
    assert found["wheels/extra.whl"] == ("unexpected", "not in the manifest")
    assert found["wheels/tiny-1.0-py3-none-any.whl.metadata"][0] == "unexpected"
    assert len(found) == 5


def test_another_manifest_than_the_pinned_one_is_a_finding(depot: Path) -> None:
    pinned = seal(depot)
    write(depot / "wheels/tiny-1.0-py3-none-any.whl", b"swapped together with the manifest")
    seal(depot)
    assert verify(depot).ok
    [finding] = verify(depot, expected_sha256=pinned).findings
    assert (finding.path, finding.problem) == ("manifest.json", "manifest")


@pytest.mark.parametrize(
    ("body", "said"),
    [(None, "cannot be read"), (b"{", "damaged or of an unknown kind"), (b'{"schema_version": 2}', "schema_version")],
)
def test_without_a_manifest_there_is_no_depot(tmp_path: Path, body: bytes | None, said: str) -> None:
    if body is not None:
        (tmp_path / "manifest.json").write_bytes(body)
    with pytest.raises(DepotError, match=said) as caught:
        verify(tmp_path)
    assert "Next step: " in caught.value.message


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a//b", "a/./b", ""])
def test_a_manifest_cannot_name_files_outside(depot: Path, path: str) -> None:
    seal(depot, files={path: {"sha256": "0" * 64, "size": 1}})
    with pytest.raises(DepotError, match="damaged or of an unknown kind"):
        manifest.read(depot)


# -- open_depot ------------------------------------------------------------------------------------------------------


def test_a_depot_opens_from_path_file_url_and_http(depot: Path) -> None:
    digest = seal(depot)
    with served(depot) as url:
        for place in (str(depot), f"{depot}/", f"{depot}/manifest.json", depot.as_uri(), url, f"{url}/manifest.json"):
            opened = open_depot(place, expected_sha256=digest)
            assert opened.sha256 == digest
            assert opened.platform == "linux-64"
            assert not opened.location.endswith(("/", "manifest.json"))


def test_a_depot_that_is_not_the_pinned_one_is_refused(depot: Path) -> None:
    with pytest.raises(
        DepotError, match=r"is not the expected one: its manifest has sha256 [0-9a-f]{64}, pinned is 00"
    ):
        open_depot(str(depot), expected_sha256="00" * 32)


def test_out_of_reach_says_where_and_why(depot: Path, tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, not listening: refused
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(DepotError, match=rf"The depot {url} is out of reach: ConnectError"):
            open_depot(url)
    (depot / "empty").mkdir()
    with served(depot) as url, pytest.raises(DepotError, match="the server answers 404"):
        open_depot(f"{url}/empty")
    with pytest.raises(DepotError, match="No such file"):
        open_depot((tmp_path / "absent").as_uri())
    with pytest.raises(DepotError, match="ftp://host/depot is no place for a depot"):
        open_depot("ftp://host/depot")


def test_a_silent_server_meets_the_time_limit() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(DepotError, match="ReadTimeout"):
            open_depot(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.2)


# -- serve -----------------------------------------------------------------------------------------------------------


def test_files_are_served_whole_and_in_parts(depot: Path) -> None:
    whole = (depot / IMAGES).read_bytes()
    with served(depot) as url, httpx.Client(base_url=url) as client:
        answer = client.get(f"/{IMAGES}")
        assert (answer.status_code, answer.content) == (200, whole)
        assert answer.headers["Content-Length"] == str(len(whole))
        head = client.head(f"/{IMAGES}")
        assert (head.status_code, head.headers["Content-Length"], head.content) == (200, str(len(whole)), b"")
        part = client.get(f"/{IMAGES}", headers={"Range": "bytes=100-199"})
        assert (part.status_code, part.content) == (206, whole[100:200])
        assert part.headers["Content-Range"] == f"bytes 100-199/{len(whole)}"
        rest = client.get(f"/{IMAGES}", headers={"Range": "bytes=10000-", "If-Range": answer.headers["ETag"]})
        assert (rest.status_code, rest.content) == (206, whole[10000:])
        changed = client.get(f"/{IMAGES}", headers={"Range": "bytes=10000-", "If-Range": '"older"'})
        assert (changed.status_code, changed.content) == (200, whole)
        beyond = client.get(f"/{IMAGES}", headers={"Range": "bytes=99999999-"})
        assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(whole)}")


def test_index_pages_are_served_and_nothing_is_listed(depot: Path) -> None:
    with served(depot) as url, httpx.Client(base_url=url) as client:
        page = client.get("/simple/tiny/")
        assert page.status_code == 200
        assert page.headers["Content-Type"].startswith("text/html")
        assert client.get("/").status_code == 404
        assert client.get("/wheels/").status_code == 404
        assert client.get("/manifest.json").headers["Content-Type"] == "application/json"
        assert client.post("/manifest.json").status_code == 501


@pytest.mark.parametrize(
    "path", ["/../secret", "/%2e%2e/secret", "/wheels/../../secret", "//../secret", "/link", "/%00"]
)
def test_nothing_outside_the_depot_is_served(depot: Path, path: str) -> None:
    write(depot.parent / "secret", b"secret")
    (depot / "link").symlink_to(depot.parent / "secret")
    with served(depot) as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
        connection.request("GET", path)  # httpx would tidy the path up
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (404, b"")
        connection.close()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("bytes=0-0", (0, 0)),
        ("bytes=5-", (5, 9)),
        ("bytes=5-99", (5, 9)),
        ("bytes=-3", (7, 9)),
        ("bytes=-99", (0, 9)),
        ("bytes=-", None),
        ("bytes=5-2", None),
        ("bytes=0-1,3-4", None),
        ("lines=1-2", None),
    ],
)
def test_ranges(header: str, expected: tuple[int, int] | None) -> None:
    assert parse_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=-0"])
def test_ranges_without_a_byte(header: str) -> None:
    with pytest.raises(UnsatisfiableError):
        parse_range(header, 10)


def test_serve_reports_its_address_and_blocks(depot: Path) -> None:
    ready = threading.Event()
    url: list[str] = []

    def note(address: str) -> None:
        url.append(address)
        ready.set()

    threading.Thread(target=serve, args=(depot,), kwargs={"ready": note}, daemon=True).start()
    assert ready.wait(5)
    assert url[0].startswith("http://127.0.0.1:")
    assert httpx.get(f"{url[0]}/manifest.json").status_code == 200


def test_serve_returns_when_interrupted(depot: Path) -> None:
    def interrupt(url: str) -> None:
        raise KeyboardInterrupt

    serve(depot, ready=interrupt)


def test_serving_needs_a_depot_and_a_free_port(depot: Path, tmp_path: Path) -> None:
    with pytest.raises(DepotError, match="No depot in"), served(tmp_path / "absent"):
        pass
    with served(depot) as url:
        port = urlsplit(url).port
        assert port
        with pytest.raises(DepotError, match=f"cannot be served at 127.0.0.1:{port}: Address already in use"):
            serve(depot, port=port)


# -- contents --------------------------------------------------------------------------------------------------------


def test_contents_lists_what_is_of_use(depot: Path) -> None:
    listed = contents(depot)
    assert [(item.name, item.version, item.build) for item in listed.conda_packages] == [("tiny", "1.0", "py311_0")]
    assert [(item.name, item.version) for item in listed.wheels] == [("tiny", "1.0"), ("uv", "0.1")]
    assert [(item.name, item.size, item.path) for item in listed.datasets] == [("mnist", 10240, "datasets/mnist")]
    assert [one.conda_version for one in listed.installers] == ["24.7.1"]
    assert listed.manifest_sha256 == hashlib.sha256((depot / "manifest.json").read_bytes()).hexdigest()
