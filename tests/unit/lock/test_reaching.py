"""Proxies and a private CA reach all that solves: py-rattler, uv and httpx, through a real proxy and real TLS."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from condafleet.errors import LockError
from condafleet.lock.child import run_child
from condafleet.lock.reaching import access_environment

sys.path.insert(0, str(Path(__file__).parents[2] / "containers"))
from guarded_site import GuardedSite

DEPOT = os.environ.get("CONDAFLEET_TEST_DEPOT")


def test_declared_proxies_replace_those_of_this_process() -> None:
    with access_environment({"proxies": {"https": "http://p:1", "no_proxy": ["h", ".d"]}}) as found:
        assert found["HTTPS_PROXY"] == found["https_proxy"] == "http://p:1"
        assert found["http_proxy"] == found["HTTP_PROXY"] == found["ALL_PROXY"] == ""
        assert found["NO_PROXY"] == "h,.d"
    with access_environment({}) as found:
        assert found == {}


def test_a_private_ca_stands_beside_the_public_ones_as_long_as_the_child_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trusted.pem").write_text("public\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    with access_environment({"ca": "private\n"}) as found:
        bundle = Path(found["SSL_CERT_FILE"])
        assert bundle.read_text() == "public\nprivate\n"
    assert not bundle.exists()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[GuardedSite]:
    with GuardedSite(tmp_path / "site", "127.0.0.1", Path(str(DEPOT))) as running:
        yield running


@pytest.mark.skipif(not DEPOT, reason="no depot given: set CONDAFLEET_TEST_DEPOT to its folder")
def test_a_depot_behind_both_is_solved_from(site: GuardedSite, tmp_path: Path) -> None:
    sha256 = hashlib.sha256((Path(str(DEPOT)) / "manifest.json").read_bytes()).hexdigest()
    solve = {
        "environment": "small",
        "spec": {"conda": ["python"], "pip": ["numpy"], "variables": {}, "channels": None},
        "target": "linux-64-cpu",
        "definition": {"platform": "linux-64", "glibc": "2.36"},
        "channels": [],
        "inputs": {},
        "hold": False,
        "upgrade": [],
        "conda_lock": str(tmp_path / "small/linux-64-cpu.conda-lock.yml"),
        "pylock": str(tmp_path / "small/linux-64-cpu.pylock.toml"),
    }
    request: dict[str, Any] = {
        "schema_version": 1,
        "depot": {"url": f"{site.url}/open", "sha256": sha256},
        "timeout": 120,
        "write": True,
        "solves": [solve],
    }
    with pytest.raises(LockError, match="CERTIFICATE_VERIFY_FAILED"):
        run_child(request, timeout=120)
    access = {"ca": site.ca.read_text(), "proxies": {"https": site.proxy_url}}
    run_child({**request, "access": access}, timeout=120)
    assert "numpy" in Path(str(solve["pylock"])).read_text()
    asked = site.mirror_log.read(1)
    assert {str(record["agent"]).split("/")[0] for record in asked} == {"python-httpx", "py-rattler", "uv"}
    # Whatever reached the mirror has come through the proxy.
    assert sum(record["bytes"] for record in site.proxy_log.read(3)) > sum(record["sent"] for record in asked) > 0
