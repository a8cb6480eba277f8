"""Proxies, a private CA and credentials, against a real TLS mirror and a real proxy on the loopback."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import access as access_module
from ansible_collections.condafleet.core.plugins.module_utils import download
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

sys.path.insert(0, str(Path(__file__).parents[2] / "containers"))
from guarded_site import PASSWORD, TOKEN, USER, GuardedSite

CONTENT = bytes(range(256)) * 2048
SHA256 = hashlib.sha256(CONTENT).hexdigest()
BASIC = {"username": USER, "password": PASSWORD}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GuardedSite]:
    """A site for each test: a log is written a moment after the answer, which may be in the middle of the next test."""
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY", "no_proxy", "NO_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    files = tmp_path / "files"
    files.mkdir()
    (files / "file.bin").write_bytes(CONTENT)
    with GuardedSite(tmp_path / "site", "127.0.0.1", files) as running:
        yield running


def get(site: GuardedSite, where: str, path: Path, auth: dict[str, str] | None = None, **declared: Any) -> bool:
    asked = {"retries": 0, "timeout": 5, "ca": site.ca.read_text(), **declared}
    access = download.Access.of(asked, auth, f"{site.url}/{where.split('/')[0]}/")
    return download.fetch(f"{site.url}/{where}", str(path), sha256=SHA256, access=access, pause=lambda _: None)


def test_a_private_ca_is_needed_and_enough(site: GuardedSite, tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"open/file.bin: TLS: the server's certificate is not trusted \(.*issuer"):
        get(site, "open/file.bin", tmp_path / "x", ca=None)
    assert get(site, "open/file.bin", tmp_path / "x")
    assert site.mirror_log.read(1)[0]["login"] is None


@pytest.mark.parametrize(
    ("where", "auth", "seen"),
    [("basic", BASIC, "basic"), ("token", {"token": TOKEN}, "token"), ("open", BASIC, "basic")],
)
def test_credentials_are_sent_below_the_mirror(
    site: GuardedSite, tmp_path: Path, where: str, auth: dict[str, str], seen: str
) -> None:
    assert get(site, f"{where}/file.bin", tmp_path / "x", auth)
    assert [(one["status"], one["login"]) for one in site.mirror_log.read(1)] == [(200, seen)]


def test_a_netrc_file_holds_them_for_its_host(site: GuardedSite, tmp_path: Path) -> None:
    place = tmp_path / "netrc"
    place.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    assert get(site, "basic/file.bin", tmp_path / "x", {"netrc": str(place)})
    place.write_text(f"machine other.example login {USER} password {PASSWORD}\n")
    with pytest.raises(FleetError, match=r"netrc .*: it has no login and password for 127\.0\.0\.1"):
        get(site, "basic/file.bin", tmp_path / "y", {"netrc": str(place)})
    place.write_text(f"{PASSWORD} {PASSWORD}\n")
    with pytest.raises(FleetError, match="line 1 is malformed") as caught:
        get(site, "basic/file.bin", tmp_path / "y", {"netrc": str(place)})
    assert PASSWORD not in caught.value.message
    with pytest.raises(FleetError, match="gone: No such file"):
        get(site, "basic/file.bin", tmp_path / "y", {"netrc": str(tmp_path / "gone")})


def test_wrong_credentials_are_told_without_them(site: GuardedSite, tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="HTTP 401: credentials are missing or wrong") as caught:
        get(site, "basic/file.bin", tmp_path / "x", {"username": USER, "password": "wr0ng-pw"})
    assert "wr0ng" not in caught.value.message
    assert "wr0ng" not in repr(download.Access.of({}, {"token": "wr0ng-pw"}, "https://h/"))


def test_a_module_gets_user_and_password_as_one_word(site: GuardedSite, tmp_path: Path) -> None:
    # Ansible masks every value of a secret option wherever it occurs in a result: a user called conda would blot paths.
    auth = access_module.packed(BASIC)
    assert USER not in str(auth)
    assert get(site, "basic/file.bin", tmp_path / "x", auth)
    assert access_module.packed({"token": TOKEN}) == {"token": TOKEN}


def test_they_go_nowhere_else(site: GuardedSite, tmp_path: Path) -> None:
    # /moved/ leads to /open/ at the mirror's other name.
    assert get(site, "moved/file.bin", tmp_path / "x", BASIC)
    first, second = site.mirror_log.read(2)
    assert (first["status"], first["login"]) == (302, "basic")
    assert second["host"].startswith("localhost:")
    assert second["login"] is None


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://h.example/mirror/a/b.sh", True),
        ("https://h.example:443/mirror/x", True),
        ("https://h.example/mirror", False),
        ("https://h.example/mirrored/x", False),
        ("https://h.example/mirror/../x", False),
        ("https://h.example/mirror/%2e%2e/x", False),
        ("http://h.example/mirror/x", False),
        ("https://h.example:8443/mirror/x", False),
        ("https://h.example.evil/mirror/x", False),
        ("https://other.example/mirror/x", False),
    ],
)
def test_what_is_below_the_mirror(url: str, sent: bool) -> None:
    for base in ("https://h.example/mirror", "https://h.example/mirror/", "https://h.example/mirror/{version}/x"):
        access = access_module.Access.of({}, {"token": "t"}, base)
        assert access.authorization(url) == ("Bearer t" if sent else None), base


@pytest.mark.parametrize(
    "auth",
    [{"username": "u"}, {"token": ""}, {"token": "se\ncret"}, {"username": "a:b", "password": "secret"}, {"token": 12}],
)
def test_credentials_of_no_known_form_are_refused_unseen(auth: dict[str, Any]) -> None:
    with pytest.raises(FleetError, match="miniconda_mirror_auth: what was given is not accepted") as caught:
        access_module.Access.of({}, auth, "https://h/")
    assert "cret" not in caught.value.message


def test_a_declared_proxy_carries_all_but_the_exceptions(
    site: GuardedSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Were the environment's to count, nothing would be reached, or nothing would go through the proxy.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    proxies = {"https": site.proxy_url, "http": site.proxy_url, "no_proxy": []}
    assert get(site, "basic/file.bin", tmp_path / "x", BASIC, proxies=proxies)
    assert [entry["method"] for entry in site.proxy_log.read(1)] == ["CONNECT"]
    assert get(site, "open/file.bin", tmp_path / "y", proxies={**proxies, "no_proxy": ["127.0.0.1"]})
    assert len(site.proxy_log.read()) == 1


def test_the_environment_s_proxy_counts_where_none_is_declared(
    site: GuardedSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", site.proxy_url)
    assert get(site, "open/file.bin", tmp_path / "x")
    assert [entry["target"] for entry in site.proxy_log.read(1)] == [site.url.removeprefix("https://")]


def test_trouble_with_a_proxy_names_the_proxy(site: GuardedSite, tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"proxy http://127\.0\.0\.1:9: connection: Connection refused"):
        get(site, "open/file.bin", tmp_path / "x", proxies={"https": "http://127.0.0.1:9"})
    access = download.Access.of({"retries": 0, "proxies": {"https": site.proxy_url}})
    with pytest.raises(FleetError, match=r"proxy http://127\.0\.0\.1:\d+: HTTP 503: it could not reach the host"):
        download.fetch("https://127.0.0.1:9/x", str(tmp_path / "x"), sha256=SHA256, access=access)


def test_busy_servers_are_waited_for_and_cut_downloads_resumed(site: GuardedSite, tmp_path: Path) -> None:
    assert get(site, "busy/file.bin", tmp_path / "x", retries=1)
    assert get(site, "cut/file.bin", tmp_path / "y", retries=1)
    busy, again, cut, rest = site.mirror_log.read(4)
    assert (busy["status"], again["status"]) == (429, 200)
    assert cut["sent"] + rest["sent"] == len(CONTENT)
    assert (rest["status"], rest["range"]) == (206, f"bytes={cut['sent']}-")
