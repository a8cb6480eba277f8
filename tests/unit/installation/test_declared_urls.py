"""No secret stands in a declared URL: what is declared is shown by callbacks, and stored in receipts and results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.declare_sources import check_installers
from ansible_collections.condafleet.core.plugins.module_utils.depot_manifest import check_depot
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError

CATALOG = json.loads((Path(__file__).parents[3] / "roles/miniconda/files/installers.json").read_text())
SECRETS = [
    ("https://me:s3cret@h.example/x", r"a password \(host h.example\)"),
    ("https://s3cret@h.example/x", "a password"),
    ("https://h.example/t/s3cret/x", r"a token \(host h.example\)"),
    ("https://h.example/t/s3cret", "a token"),
    ("https://h.example/x?key=s3cret", r"a query \(host h.example\)"),
    ("https://h.example/x?u=a@b&key=s3cret", "a query"),
    ("https://h.example/x#s3cret", "a query"),
    ("file:///srv/x?key=s3cret", "a query is not"),
    # Malformed beside that: the error must not show it either.
    ("htps://me:s3cret@h.example/x", "a password"),
    ("me:s3cret@h.example/x", "a password"),
    ("https://me:s3cret@[h/x", "a password"),
    ("https://me:s3cret/more@h/x", "a password"),
]


def declare(variable: str, url: str) -> None:
    if variable == "depot_url":
        check_depot(url, "a" * 64)
        return
    sha256 = {"installer_sha256": "a" * 64} if variable == "miniconda_installer_url" else {}
    values = {"distribution": "miniforge", "version": "newest", variable.replace("miniconda_", ""): url, **sha256}
    check_installers(values, CATALOG, None, None)


@pytest.mark.parametrize(
    ("variable", "next_step"),
    [
        ("miniconda_installer_url", "miniconda_mirror_auth, or set miniconda_installer_path"),
        ("miniconda_mirror", "give it by miniconda_mirror_auth"),
        ("depot_url", "serve the depot where the nodes may read it"),
    ],
)
@pytest.mark.parametrize(("url", "told"), SECRETS)
def test_a_secret_is_refused_and_not_shown(variable: str, next_step: str, url: str, told: str) -> None:
    with pytest.raises(InputError, match=f"^{variable}: a URL with {told}") as caught:
        declare(variable, url)
    assert "s3cret" not in caught.value.message
    assert "Next: " in caught.value.message and next_step in caught.value.message


@pytest.mark.parametrize("variable", ["miniconda_installer_url", "miniconda_mirror", "depot_url"])
def test_others_are_taken_or_named(variable: str) -> None:
    for url in (
        "https://h.example:8443/t/",
        "http://10.0.0.1/a/b",
        "https://[2001:db8::1]/x@1/y",
        "file:///srv/t/x/a@b",
    ):
        declare(variable, url)
    for url in ("https://[h/x", "https://h:port/x", "/srv/x", "ftp://h/x", "https://h/a b", "https://"):
        with pytest.raises(InputError, match=f"^{variable}: .*Accepted: file:///PATH, http://HOST/PATH"):
            declare(variable, url)
