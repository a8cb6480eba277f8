"""The controller fetches an installer once, however many of Ansible's forks want it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.access import Access
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.plugin_utils.handed_out import cache_folder, came_from, fetch_once

sys.path.insert(0, str(Path(__file__).parents[2] / "containers"))
from guarded_site import TOKEN, GuardedSite

CONTENT = b"#!/bin/sh\n" * 100_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GuardedSite]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "x.sh").write_bytes(CONTENT)
    with GuardedSite(tmp_path / "site", "127.0.0.1", tmp_path / "files") as running:
        yield running


def pending(*sources: tuple[str, str]) -> dict[str, Any]:
    listed = [{"kind": kind, "url": url} for kind, url in sources]
    return {"filename": "x.sh", "sha256": SHA256, "size": len(CONTENT), "sources": listed}


def access(site: GuardedSite) -> Access:
    return Access.of({"ca": site.ca.read_text(), "retries": 0}, {"token": TOKEN}, f"{site.url}/token/")


def test_one_download_serves_all(site: GuardedSite) -> None:
    wanted = pending(("mirror", f"{site.url}/token/x.sh"))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: fetch_once(wanted, access(site), lambda text: None), range(4)))
    assert {path for path, _source in found} == {cache_folder() / SHA256 / "x.sh"}
    # Each node's receipt says where the file came from, also where it was in the cache by then.
    assert {source for _path, source in found} == {f"{site.url}/token/x.sh"}
    assert [one["login"] for one in site.mirror_log.read(1)] == ["token"]
    # Damaged since: fetched again, never handed out.
    found[0][0].write_bytes(b"changed")
    assert fetch_once(wanted, access(site), lambda text: None)[0].read_bytes() == CONTENT


def test_a_path_is_a_file_of_the_controller_s(site: GuardedSite, tmp_path: Path) -> None:
    place = str(tmp_path / "files" / "x.sh")
    path, source = fetch_once(pending(("path", place)), Access(), lambda text: None)
    assert path.read_bytes() == CONTENT
    assert source == Path(place).as_uri()


def test_what_broke_off_is_resumed_and_the_trouble_told(site: GuardedSite) -> None:
    wanted = pending(("mirror", f"{site.url}/cut/x.sh"), ("upstream", f"{site.url}/gone/x.sh"))
    with pytest.raises(
        FleetError, match=r"\(1\) https://.*/cut/x.sh: the connection ended.*\(2\) .*/gone/x.sh: HTTP 404"
    ):
        fetch_once(wanted, access(site), lambda text: None)
    assert fetch_once(wanted, access(site), lambda text: None)[1] == f"{site.url}/cut/x.sh"
    assert site.mirror_log.read(3)[-1]["status"] == 206
    assert sorted(path.name for path in (cache_folder() / SHA256).iterdir()) == ["origin", "x.sh"]


def test_a_cache_that_cannot_be_used_is_named(site: GuardedSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(site.ca))
    with pytest.raises(
        FleetError, match=r"^XDG_CACHE_HOME: .*Next: set XDG_CACHE_HOME to one, or miniconda_fetch to node"
    ):
        fetch_once(pending(("path", "/x")), Access(), lambda text: None)


def test_the_node_is_told_the_place_that_had_it() -> None:
    wanted = pending(("depot", "file:///gone/x.sh"), ("mirror", "https://m/x.sh"), ("path", "/srv/x.sh"))
    declared = {
        "x86_64": {"sha256": SHA256, "sources": wanted["sources"]},
        "aarch64": {"sha256": "0" * 64, "sources": [{"kind": "depot", "url": "file:///y.sh"}]},
    }

    def order(source: str | None) -> list[str]:
        told = came_from(declared, wanted, source)
        assert told["aarch64"] == declared["aarch64"]
        return [one["url"] for one in told["x86_64"]["sources"]]

    assert order("https://m/x.sh") == ["https://m/x.sh", "file:///gone/x.sh", "/srv/x.sh"]
    # A path is the controller's, and is told as it was declared.
    assert order("file:///srv/x.sh")[0] == "/srv/x.sh"
    # It may have come from a place that is declared no more.
    assert order("https://former/x.sh")[0] == "https://former/x.sh"
    assert order(None) == ["file:///gone/x.sh", "https://m/x.sh", "/srv/x.sh"]
    assert declared["x86_64"]["sources"][0]["kind"] == "depot"
