"""Credentials by host: which URL gets which, and what is sent where."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.condafleet.core.plugins.module_utils.access import Access, packed
from ansible_collections.condafleet.core.plugins.module_utils.declare_indexes import check_indexes
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError
from ansible_collections.condafleet.core.plugins.module_utils.host_auth import (
    auth_for,
    check_hosts,
    needed,
    refuse_login,
)
from ansible_collections.condafleet.core.plugins.module_utils.url_secrets import masked, without_login

sys.path.insert(0, str(Path(__file__).parents[2] / "containers"))
from private_index import BASIC, BEARER, PASSWORD, TOKEN, USER, Site

LOGIN = {"username": USER, "password": PASSWORD}
HOSTS = {"h.example.com": LOGIN, "h.example.com:8443": {"token": TOKEN}, "[::1]:8080": LOGIN}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h.example.com/x", LOGIN),
        ("https://H.Example.com:443/x", LOGIN),
        ("http://h.example.com/x", LOGIN),
        ("https://h.example.com:8443/x", {"token": TOKEN}),
        ("https://h.example.com:9000/x", None),
        ("http://h.example.com:443/x", None),
        ("https://other.example.com/x", None),
        ("https://h.example.com.other.example/x", None),
        ("https://other.example/h.example.com", None),
        ("http://[::1]:8080/x", LOGIN),
        ("file:///h.example.com/x", None),
    ],
)
def test_a_url_gets_the_credentials_of_its_own_host_and_port(url: str, expected: object) -> None:
    assert auth_for(url, HOSTS) == expected


def test_a_node_gets_no_more_than_its_urls_need() -> None:
    urls = ["https://h.example.com/a", "https://h.example.com/b", "https://free.example.com/c"]
    assert needed(urls, HOSTS) == {"h.example.com:443": LOGIN}
    assert needed(urls[2:], HOSTS) == {}
    # By host and port, so that what was for https goes to nothing else.
    assert auth_for("http://h.example.com/a", needed(urls, HOSTS)) is None


@given(st.dictionaries(st.sampled_from(["A.example.com", "b:1", "c"]), st.sampled_from([LOGIN, {"token": TOKEN}])))
def test_the_checked_form_is_its_own(declared: dict[str, dict[str, str]]) -> None:
    found = check_hosts(declared)
    assert check_hosts(found) == found
    assert list(found) == [host.lower() for host in declared]


@pytest.mark.parametrize(
    "url",
    [
        "https://u:pw@h.example.com/x",
        "https://tok@h.example.com",
        "https://h.example.com/t/tk",
        "https://u:pw@pw@h.example.com/x",
        "https://u:pw/pw@h.example.com/x",
        "https://u:12/pw@h.example.com/x",
        "https://u:12?pw@h.example.com/x",
        "https://u:pw#pw@h.example.com/x",
        "https://pw/pw@h.example.com/t/pw/x",
        "u:pw@h.example.com/x",
    ],
)
def test_a_login_in_a_url_is_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"WHERE: .* Next: take it out, and give it in environments_auth") as caught:
        refuse_login("WHERE", url)
    assert "pw" not in str(caught.value).replace("password", "") and "tok@" not in str(caught.value)
    if "://" in url:
        assert "{h.example.com: {username" in str(caught.value)
    refuse_login("WHERE", "https://h.example.com/team/simple")


@pytest.mark.parametrize("url", ["https://[::1/x", "https://h:port/x", "https://h:99999/x"])
def test_a_url_that_nothing_can_read_is_refused_in_words(url: str) -> None:
    with pytest.raises(InputError, match=r"WHERE: .* is not accepted. Accepted: a URL whose host and port can be read"):
        refuse_login("WHERE", url)


PART = st.text("ab1@/:?#t.", min_size=1, max_size=8)


@given(PART, PART)
def test_whatever_a_login_is_made_of_no_message_shows_it_and_no_lock_takes_it(user: str, password: str) -> None:
    secret = f"SECRET{password}"
    for login in (f"{user}:{secret}", secret):
        url = f"https://{login}@h.example.com/simple"
        assert "SECRET" not in masked(f"can't read {url} now")
        assert "SECRET" not in str(InputError("x", url, "y", "z"))
        with pytest.raises(InputError) as caught:
            check_indexes("environments_indexes", [url])
        assert "SECRET" not in str(caught.value)


def test_of_a_url_in_a_lock_only_the_login_goes() -> None:
    for login in ("u:p@", "u:p@p@", "u:p/p@", ""):
        assert without_login(f"https://{login}h.example.com:8443/a@b/c.whl") == (
            "https://h.example.com:8443/a@b/c.whl" if login != "u:p/p@" else "https://b/c.whl"
        )
    assert without_login("https://[::1]:8443/a@b") == "https://[::1]:8443/a@b"


def test_what_is_sent_follows_a_redirect_to_no_stranger() -> None:
    with Site({"/f": b"stranger"}) as stranger, Site({"/f": b"mine"}, [BASIC]) as own:
        access = Access(hosts={own.host: packed(LOGIN), "127.0.0.1:1": {"token": TOKEN}})
        assert access.open(f"{own.url}/f", {}).read() == b"mine"
        assert access.open(f"{stranger.url}/f", {}).read() == b"stranger"
        assert [header for _, header, _ in stranger.asked] == [None]
        assert BEARER not in str(own.asked)
        stranger.redirects["/to-own"] = f"{own.url}/f"
        own.redirects["/to-stranger"] = f"{stranger.url}/f"
        assert access.open(f"{stranger.url}/to-own", {}).read() == b"mine"
        assert access.open(f"{own.url}/to-stranger", {}).read() == b"stranger"
    assert {header for _, header, _ in stranger.asked} == {None}
    assert PASSWORD not in repr(access)
