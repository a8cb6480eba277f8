"""Anaconda's terms of service, recorded as conda's plugin does it and taken back again.

The plugin itself is not on the Python index: `CONDA` stands in its place, asks a real server for a channel's terms.json
and writes what the plugin writes, where it writes it (tried with conda-anaconda-tos and conda 26.7.1).
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import receipt, tos_record
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError

CONDA = """\
import datetime, hashlib, json, os, sys, urllib.request
assert sys.argv[1:6] == ["tos", "accept", "--system", "--override-channels", "--channel"], sys.argv
assert "CI" not in os.environ
url = sys.argv[6]
try:
    terms = json.load(urllib.request.urlopen(url + "/terms.json", timeout=5))
except OSError:
    print("Terms of Service not found for", url)
    sys.exit(0)
version = datetime.datetime.fromisoformat(terms["version"])
folder = os.path.join(%r, "conda-meta", "tos", hashlib.sha256(url.encode()).hexdigest())
os.makedirs(folder, exist_ok=True)
with open(os.path.join(folder, "%%s.json" %% version.timestamp()), "w") as stream:
    json.dump({**terms, "base_url": url, "tos_accepted": True, "acceptance_timestamp": "2026-01-01T00:00:00Z"}, stream)
"""


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    """An installation that has the plugin."""
    made = tmp_path / "prefix"
    (made / "conda-meta").mkdir(parents=True)
    (made / "conda-meta" / "conda-anaconda-tos-0.2.1-py311h06a4308_0.json").write_text("{}")
    (made / "bin").mkdir()
    (made / "bin" / "conda").write_text(f"#!{sys.executable}\n" + CONDA % str(made))
    (made / "bin" / "conda").chmod(0o755)
    return str(made)


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[str]:
    """The address of a channel that has terms."""
    folder = tmp_path / "channel"
    folder.mkdir()
    (folder / "terms.json").write_text(
        json.dumps({"version": "2025-07-15T00:00:00+00:00", "text": "…", "support": "…"})
    )
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def observed(prefix: str) -> dict[str, Any]:
    return {"prefix": prefix, "receipt": receipt.read(prefix), **tos_record.observe(prefix)}


def wants(*urls: str) -> dict[str, Any]:
    return {"condarc": {"terms": list(urls)}}


def tos(prefix: str) -> list[str]:
    return [str(path) for path in Path(prefix, "conda-meta").glob("tos/**/*")]


def test_accepted_terms_are_recorded_once_for_all_users(prefix: str, channel: str) -> None:
    before = tos_record.plan(observed(prefix), wants(channel))
    assert [(change["what"], change["after"]) for change in before] == [
        ("terms of service", f"accepted for {channel}\n")
    ]
    former = os.umask(0o077)
    try:
        tos_record.carry_out(prefix, observed(prefix), wants(channel))
    finally:
        os.umask(former)
    assert observed(prefix)["terms"]["accepted"] == [channel]
    assert tos_record.plan(observed(prefix), wants(channel)) == []
    assert {oct(Path(path).stat().st_mode & 0o777) for path in tos(prefix)} == {"0o755", "0o644"}


def test_declined_later_the_record_goes(prefix: str, channel: str) -> None:
    tos_record.carry_out(prefix, observed(prefix), wants(channel))
    assert [change["after"] for change in tos_record.plan(observed(prefix), wants())] == [""]
    tos_record.carry_out(prefix, observed(prefix), wants())
    assert tos(prefix) == []
    assert not Path(prefix, "conda-meta", "tos").exists()
    assert tos_record.plan(observed(prefix), wants()) == []


def test_what_an_administrator_accepted_is_theirs(prefix: str, channel: str) -> None:
    tos_record.carry_out(prefix, observed(prefix), wants(channel))
    receipt.note(prefix, terms={})
    assert tos_record.plan(observed(prefix), wants(channel)) == []
    assert tos_record.plan(observed(prefix), wants()) == []
    assert tos_record.remove(prefix, observed(prefix)) == []
    assert len(tos(prefix)) == 2


def test_newer_terms_that_were_rejected_count(prefix: str, channel: str) -> None:
    tos_record.carry_out(prefix, observed(prefix), wants(channel))
    record = next(Path(path) for path in tos(prefix) if path.endswith(".json"))
    newer = {**json.loads(record.read_text()), "version": "2026-01-01T00:00:00+00:00", "tos_accepted": False}
    record.with_name("1767225600.0.json").write_text(json.dumps(newer))
    assert observed(prefix)["terms"]["accepted"] == []


def test_without_the_plugin_nothing_asks_and_nothing_is_recorded(prefix: str, channel: str) -> None:
    next(Path(prefix, "conda-meta").glob("conda-anaconda-tos-*.json")).unlink()
    assert tos_record.plan(observed(prefix), wants(channel)) == []


def test_a_server_that_cannot_be_reached_is_told(prefix: str) -> None:
    url = "http://127.0.0.1:9/pkgs/main"
    with pytest.raises(
        FleetError, match=r"miniconda_tos: accept could not be recorded for http://127\.0\.0\.1:9"
    ) as told:
        tos_record.carry_out(prefix, observed(prefix), wants(url))
    assert "Terms of Service not found" in told.value.message
    assert "Next: let this node reach http://127.0.0.1:9/pkgs/main/terms.json" in told.value.message


def test_an_uninstallation_takes_out_what_was_recorded(prefix: str, channel: str) -> None:
    tos_record.carry_out(prefix, observed(prefix), wants(channel))
    assert len(tos_record.remove(prefix, observed(prefix))) == 1
    assert tos(prefix) == []
