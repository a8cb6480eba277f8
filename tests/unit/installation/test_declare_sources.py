"""Which installer is wanted, every place that may have it, and how it is reached: one clear error each."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import catalog as known
from ansible_collections.condafleet.core.plugins.module_utils.declare_access import check_access
from ansible_collections.condafleet.core.plugins.module_utils.declare_sources import check_installers
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError

sys.path.insert(0, str(Path(__file__).parents[2] / "containers"))
from guarded_site import make_certificates

CATALOG = json.loads((Path(__file__).parents[3] / "roles/miniconda/files/installers.json").read_text())
DEPOT_URL = "file:///srv/depot"
FORGE = "https://github.com/conda-forge/miniforge/releases/download/{0}/Miniforge3-{0}-Linux-{1}.sh"
OLD = "23.1.0-0"
OLD_SHA256 = "9bbcc29e8e43151bd4634fbe086e3d7914aba3963ac6b1e8d59c530435bd33d9"


def offer(distribution: str, version: str, sha256: str = "b" * 64, arch: str = "x86_64") -> dict[str, Any]:
    path = f"installers/C-{version}-{arch}.sh"
    return {"distribution": distribution, "version": version, "arch": arch, "path": path, "sha256": sha256, "size": 7}


MANIFEST = {"glibc": "2.36", "installers": [offer("embedded", "24.7.1-0"), offer("embedded", "24.10.0-0")]}
FORGE_DEPOT = {"installers": [offer("miniforge", OLD, OLD_SHA256), offer("miniforge", "99.1.0-0", "d" * 64)]}


def check(manifest: dict[str, Any] | None = None, catalog: dict[str, Any] = CATALOG, **values: Any) -> dict[str, Any]:
    given = {"distribution": "miniforge", "version": "newest", **values}
    return check_installers(given, catalog, manifest, DEPOT_URL if manifest else None)


def kinds(found: dict[str, Any], arch: str = "x86_64") -> list[str]:
    return [source["kind"] for source in found[arch]["sources"]]


def test_the_newest_of_the_catalog_for_every_architecture() -> None:
    found = check()
    assert found["x86_64"] == {
        "filename": "Miniforge3-26.3.2-3-Linux-x86_64.sh",
        "sha256": "848194851a98903134187fbb4ab50efe87b003e0c0f808f97644b7524a62bf2c",
        "size": None,
        "version": "26.3.2-3",
        "distribution": "miniforge",
        "glibc": None,
        "sources": [{"kind": "upstream", "url": FORGE.format("26.3.2-3", "x86_64")}],
    }
    # One run over mixed machines: each node takes its own. conda alone runs on ppc64le and s390x.
    assert set(found) == {"x86_64", "aarch64", "ppc64le"}
    assert found["ppc64le"]["sources"][0]["url"] == FORGE.format("26.3.2-3", "ppc64le")
    old = check(distribution="miniconda", version="py310_23.1.0-1")
    assert set(old) == {"x86_64", "aarch64", "ppc64le", "s390x"}
    assert (
        old["s390x"]["sources"][0]["url"]
        == "https://repo.anaconda.com/miniconda/Miniconda3-py310_23.1.0-1-Linux-s390x.sh"
    )


def test_versions_are_ordered_by_conda_s_version_then_python_s() -> None:
    ordered = sorted(["py39_26.1.0-1", "py313_25.9.1-3", "py312_26.1.0-1", "py310_26.1.0-1"], key=known.sort_key)
    assert ordered == ["py313_25.9.1-3", "py39_26.1.0-1", "py310_26.1.0-1", "py312_26.1.0-1"]
    assert known.versions(CATALOG, "anaconda")[0] == "2025.12-2"
    assert [one for one in map(known.FILE_NAME.match, (i["file"] for i in CATALOG["installers"])) if not one] == []


def test_sources_are_tried_in_the_declared_order() -> None:
    mirror = "http://mirror.example/miniforge/{version}/"
    found = check(FORGE_DEPOT, version=OLD, mirror=mirror)
    assert [source["url"] for source in found["x86_64"]["sources"]] == [
        f"{DEPOT_URL}/installers/C-{OLD}-x86_64.sh",
        f"http://mirror.example/miniforge/{OLD}/Miniforge3-{OLD}-Linux-x86_64.sh",
        FORGE.format(OLD, "x86_64"),
    ]
    assert kinds(check(FORGE_DEPOT, version=OLD, mirror=mirror, sources=["upstream", "depot"])) == ["upstream", "depot"]
    assert kinds(check(FORGE_DEPOT, version=OLD, sources=["mirror", "depot"])) == ["depot"]
    # The depot has none for this architecture.
    assert kinds(found, "aarch64") == ["mirror", "upstream"]


def test_a_mirror_has_the_files_by_upstream_s_names() -> None:
    found = check(FORGE_DEPOT, version=OLD, mirror="https://m.example/{version}", sources=["mirror"])
    assert found["x86_64"]["sources"] == [
        {"kind": "mirror", "url": f"https://m.example/{OLD}/Miniforge3-{OLD}-Linux-x86_64.sh"}
    ]


def test_the_depot_s_newest_counts_where_the_depot_stands_first() -> None:
    assert check(FORGE_DEPOT)["x86_64"]["version"] == "99.1.0-0"
    # The catalog does not know it, so how a mirror calls it is not known either.
    assert kinds(check(FORGE_DEPOT, mirror="http://m.example/")) == ["depot"]
    assert check(FORGE_DEPOT, sources=["upstream", "depot"])["x86_64"]["version"] == "26.3.2-3"
    # A depot without the distribution says nothing of its versions.
    assert check(MANIFEST)["x86_64"]["version"] == "26.3.2-3"


def test_the_embedded_one_comes_from_a_depot_alone() -> None:
    found = check(MANIFEST, distribution="embedded", mirror="http://m.example/")
    assert (found["x86_64"]["version"], found["x86_64"]["glibc"]) == ("24.10.0-0", "2.36")
    assert kinds(found) == ["depot"]
    assert check(FORGE_DEPOT, version=OLD)["x86_64"]["glibc"] is None


def test_an_explicit_installer_goes_before_all() -> None:
    url = "https://h.example/Miniconda3-py311_24.7.1-0-Linux-aarch64.sh"
    assert check(MANIFEST, installer_url=url, installer_sha256="C" * 64) == {
        "aarch64": {
            "filename": "Miniconda3-py311_24.7.1-0-Linux-aarch64.sh",
            "sha256": "c" * 64,
            "size": None,
            "version": "py311_24.7.1-0",
            "distribution": "miniconda",
            "glibc": None,
            "sources": [{"kind": "url", "url": url}],
        }
    }
    unnamed = check(installer_url="file:///srv/get", installer_sha256="c" * 64)
    assert (unnamed["any"]["filename"], unnamed["any"]["distribution"]) == ("installer.sh", "custom")
    here = check(installer_path="/srv/My3-1.2-Linux-x86_64.sh", installer_sha256="c" * 64)["x86_64"]
    assert (here["distribution"], here["version"]) == ("my", "1.2")
    assert here["sources"] == [{"kind": "path", "url": "/srv/My3-1.2-Linux-x86_64.sh"}]


def test_a_catalog_of_ones_own_lies_over_the_built_in() -> None:
    own = {
        "base_url": {"sitebase": "https://i.example/{version}/"},
        "installers": [
            {"distribution": "sitebase", "version": "1.0", "arch": "x86_64", "file": "S-1.0.sh", "sha256": "1" * 64},
            {
                "distribution": "sitebase", "version": "2.0", "arch": "x86_64", "file": "S-2.0.sh", "sha256": "2" * 64,
                "url": "https://else.example/S-2.0.sh",
            },
            {
                "distribution": "sitebase", "version": "2.0", "arch": "aarch64", "file": "S-2.0-a.sh",
                "sha256": "3" * 64, "path": "/srv/S-2.0-a.sh",
            },
            {
                "distribution": "miniforge", "version": "26.3.2-3", "arch": "x86_64", "sha256": "4" * 64,
                "file": "Miniforge3-26.3.2-3-Linux-x86_64.sh",
            },
        ],
    }  # fmt: skip
    merged = known.merge(CATALOG, known.check("miniconda_catalog", "own.json", own))
    newest = check(catalog=merged, distribution="sitebase")
    assert newest["x86_64"]["sources"] == [{"kind": "upstream", "url": "https://else.example/S-2.0.sh"}]
    assert newest["aarch64"]["sources"] == [{"kind": "path", "url": "/srv/S-2.0-a.sh"}]
    older = check(catalog=merged, distribution="sitebase", version="1.0")
    assert older["x86_64"]["sources"][0]["url"] == "https://i.example/1.0/S-1.0.sh"
    assert check(catalog=merged)["x86_64"]["sha256"] == "4" * 64
    assert len(known.versions(merged, "miniforge")) == len(known.versions(CATALOG, "miniforge"))


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ([], "own.json .without a list of installers"),
        ({"installers": [{"distribution": "x"}]}, "installer 1: version is None"),
        ({"installers": [], "base_url": {"x": "https://u:p@h/"}}, r"own.json \(base_url\)"),
        (
            {
                "installers": [
                    {"distribution": "x", "version": "1", "arch": "riscv", "file": "x.sh", "sha256": "a" * 64}
                ]
            },
            "arch is 'riscv'",
        ),
    ],
)
def test_a_catalog_that_is_none_is_refused(own: Any, told: str) -> None:
    with pytest.raises(InputError, match=f"^miniconda_catalog: .*{told}.*Next: "):
        known.check("miniconda_catalog", "own.json", own)


@pytest.mark.parametrize(
    ("manifest", "values", "told"),
    [
        (None, {"distribution": "miniforgge"}, "miniconda_distribution: miniforgge.*embedded.*miniforge.*catalog add"),
        (None, {"version": "1.2.3"}, "miniconda_version: 1.2.3 is not accepted.*26.3.2-3.*36 others"),
        (None, {"version": "25.3.0-9"}, "miniconda_version.*: newest or a version of miniforge: 25.3.0-"),
        (None, {"distribution": "embedded"}, "miniconda_distribution.*depot build --embedded.*depot_url"),
        (
            MANIFEST,
            {"distribution": "embedded", "sources": ["mirror", "upstream"]},
            "miniconda_distribution: embedded.*one of miniconda_sources",
        ),
        (MANIFEST, {"distribution": "embedded", "version": "23.1.0-0"}, "24.10.0-0, 24.7.1-0"),
        (MANIFEST, {"sources": ["depot"]}, "miniconda_sources: depot.*have miniforge 26.3.2-3"),
        (None, {"sources": ["mirror"]}, "miniconda_sources: mirror.*once miniconda_mirror is set"),
        (None, {"sources": ["depot", "moon"]}, "miniconda_sources: moon.*depot, mirror, upstream"),
        (None, {"sources": "upstream"}, "miniconda_sources: upstream"),
        (None, {"sources": ["mirror", "mirror"]}, "each source once"),
        (None, {"sources": []}, "miniconda_sources"),
        (
            {"installers": [offer("miniforge", OLD, "e" * 64)]},
            {"version": OLD},
            "depot_url: file:///srv/depot .its C-23.1.0-0-x86_64.sh has sha256 eeeeeeeeeeee.*9bbcc29e8e43",
        ),
        (None, {"installer_url": "https://h/x.sh"}, "miniconda_installer_sha256: an empty value.*sha256sum"),
        (None, {"installer_sha256": "a" * 64}, "miniconda_installer_url: an empty value"),
        (None, {"installer_path": "x.sh", "installer_sha256": "a" * 64}, "miniconda_installer_path: x.sh"),
        (
            None,
            {"installer_path": "/x.sh", "installer_url": "https://h/x.sh", "installer_sha256": "a" * 64},
            "leave out one of the two",
        ),
        (None, {"mirror": "/srv"}, "miniconda_mirror: /srv"),
        (None, {"mirror": "https://u:p4ss@h/x"}, r"miniconda_mirror: a URL with a password \(host h\)"),
        (None, {"mirror_auth": ["token"]}, "miniconda_mirror_auth: given with miniconda_mirror unset"),
        (None, {"mirror": "file:///m", "mirror_auth": ["token"]}, "with miniconda_mirror file:///m.*an http"),
        (
            None,
            {"mirror": "https://h/", "mirror_auth": ["username", "p4ss"]},
            r"a dictionary with \(another\), username.*\{username, password\}, \{token\} or \{netrc",
        ),
    ],
)
def test_one_clear_error(manifest: dict[str, Any] | None, values: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        check(manifest, **values)
    assert "Next: " in caught.value.message
    assert "p4ss" not in caught.value.message


def test_the_forms_of_credentials() -> None:
    for names in (["username", "password"], ["token"], ["netrc"], []):
        assert check(mirror="https://h/", mirror_auth=names)


class TestAccess:
    """Proxies, CA and limits."""

    def test_without_a_declaration(self) -> None:
        assert check_access({}) == {"proxies": {}, "ca": None, "retries": 4, "timeout": 60}

    def test_as_declared(self, tmp_path: Path) -> None:
        make_certificates(tmp_path / "ca.pem", tmp_path / "server.pem", ["h"])
        text = (tmp_path / "ca.pem").read_text()
        proxies = {"http": "http://p.example:3128", "https": "http://10.0.0.1:3128/", "no_proxy": "h1, .d.example"}
        found = check_access(
            {"proxies": proxies, "ca": "ca.pem", "ca_text": "# ours\n" + text, "retries": "0", "download_timeout": 5}
        )
        assert found == {
            "proxies": {
                "http": "http://p.example:3128", "https": "http://10.0.0.1:3128", "no_proxy": ["h1", ".d.example"],
            },
            "ca": text,
            "retries": 0,
            "timeout": 5,
        }  # fmt: skip
        server = (tmp_path / "server.pem").read_text()
        with pytest.raises(InputError, match="it holds a private key"):
            check_access({"ca": "server.pem", "ca_text": server})

    @pytest.mark.parametrize(
        ("values", "told"),
        [
            ({"proxies": "http://p"}, "environments_proxies: a str"),
            ({"proxies": {"ftp": "http://p"}}, "environments_proxies: ftp"),
            (
                {"proxies": {"https": "http://me:p4ss@p.example:1"}},
                r"environments_proxies.https: a proxy with a password \(host p.example\)",
            ),
            ({"proxies": {"https": "p.example:3128"}}, "environments_proxies.https: p.example:3128.*http://HOST:PORT"),
            ({"proxies": {"https": "socks5://p.example"}}, "environments_proxies.https"),
            ({"proxies": {"no_proxy": ["h"]}}, "no_proxy alone"),
            ({"proxies": {"http": "http://p", "no_proxy": ["10.0.0.0/8"]}}, "no_proxy: 10.0.0.0/8.*no ranges"),
            ({"retries": -1}, "environments_retries: -1"),
            ({"retries": 99}, "environments_retries: 99.*0 to 20"),
            ({"download_timeout": 0}, "environments_download_timeout: 0"),
            ({"ca": "/gone.pem"}, "environments_ca: /gone.pem.*PEM"),
            ({"ca": "/c.pem", "ca_text": "nothing"}, r"environments_ca: /c.pem \(it holds no certificate\)"),
            (
                {"ca": "/c.pem", "ca_text": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
                r"environments_ca: /c.pem \(",
            ),
        ],
    )
    def test_one_clear_error(self, values: dict[str, Any], told: str) -> None:
        with pytest.raises(InputError, match=told) as caught:
            check_access(values, "environments")
        assert "p4ss" not in caught.value.message
